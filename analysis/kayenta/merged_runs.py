"""Two samples in one order, as runs of equal values: what rank statistics are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class MergedRuns:
    """Runs of equal values of each row's x and y together; none reaches into the next row.

    m, n: how many values of x and of y each of so many rows has.
    row: int64[runs]; value: float64[runs]; of_x, of_y: float64[runs], how many values of each.
    """

    rows: int
    m: int
    n: int
    row: IntArray
    value: FloatArray
    of_x: FloatArray
    of_y: FloatArray

    @property
    def wins(self) -> FloatArray:
        """U of x: pairs of values in which x is larger; ties count half: float64[rows]."""
        below = np.cumsum(self.of_y) - self.of_y - self.row * self.n
        wins = np.bincount(self.row, self.of_x * (below + self.of_y / 2), self.rows)
        return np.asarray(wins, dtype=np.float64)

    @property
    def sigma(self) -> FloatArray:
        """Standard deviation of U under no shift, corrected for ties: float64[rows]."""
        return self._sigma(_ties(self.of_x + self.of_y))

    @property
    def sigma_off_ties(self) -> FloatArray:
        """The same of samples shifted to where only ties within each of them are left."""
        return self._sigma(_ties(self.of_x) + _ties(self.of_y))

    def _sigma(self, ties: FloatArray) -> FloatArray:
        m, n, total = self.m, self.n, self.m + self.n
        tied = np.bincount(self.row, ties, self.rows)
        return np.asarray(np.sqrt(m * n / 12 * (total + 1 - tied / (total * (total - 1)))))


def _ties(size: FloatArray) -> FloatArray:
    """Of runs of t equal values, t^3 - t."""
    return np.asarray(size**3 - size)


def merged_runs(x: FloatArray, y: FloatArray) -> MergedRuns:
    """x: float64[rows, m]; y: float64[rows, n]; finite, in any order."""
    (rows, m), n = x.shape, y.shape[1]
    both = np.concatenate([y, x], axis=1)
    order = np.argsort(both, axis=1)
    ordered = np.take_along_axis(both, order, axis=1)
    begins = np.ones(both.shape, dtype=np.bool_)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    starts = np.flatnonzero(begins)
    size = np.diff(starts, append=both.size).astype(np.float64)
    of_x = np.add.reduceat((order >= n).ravel(), starts, dtype=np.float64)
    return MergedRuns(rows, m, n, starts // (m + n), ordered.ravel()[starts], of_x, size - of_x)
