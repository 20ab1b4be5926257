"""Two samples in one order, as runs of equal values: what rank statistics are made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Tallies:
    """Samples as values, and how often each occurs: float64[rows, values] each.

    size: of each row's sample. A value may occur 0 times, or stand at several places.
    """

    value: FloatArray
    count: FloatArray
    size: int

    def of(self, rows: IntArray | slice) -> Tallies:
        return Tallies(self.value[rows], self.count[rows], self.size)

    def less(self, shift: FloatArray) -> Tallies:
        """Each row less a shift of its own."""
        return Tallies(self.value - shift[:, None], self.count, self.size)


def tallied(ordered: FloatArray) -> Tallies:
    """Each row's different values. ordered: float64[rows, n], ascending, n at least 1."""
    rows, n = ordered.shape
    begins = begins_of_runs(ordered)
    most = int(begins.sum(axis=1).max(initial=1))
    if most == n:
        return Tallies(ordered, np.ones_like(ordered), n)
    starts, of_row = np.flatnonzero(begins), begins.sum(axis=1)
    skipped = np.arange(rows) * most - (np.cumsum(of_row) - of_row)
    at = np.arange(starts.size) + np.repeat(skipped, of_row)
    value, count = np.repeat(ordered[:, -1:], most, axis=1), np.zeros((rows, most))
    value.ravel()[at] = ordered.ravel()[starts]
    count.ravel()[at] = np.diff(starts, append=ordered.size)
    return Tallies(value, count, n)


def begins_of_runs(ordered: FloatArray) -> BoolArray:
    """Where a row's value isn't the one before it: bool[rows, n]."""
    begins = np.ones(ordered.shape, dtype=np.bool_)
    np.not_equal(ordered[:, 1:], ordered[:, :-1], out=begins[:, 1:])
    return begins


@dataclass(frozen=True, slots=True)
class MergedRuns:
    """Runs of equal values of each row's x and y together; none reaches into the next row.

    m, n: how many values of x and of y each row has. first: int64[rows], each row's first run.
    value: float64[runs]; of_x, of_y: float64[runs], how many values of each.
    """

    m: int
    n: int
    first: IntArray
    value: FloatArray
    of_x: FloatArray
    of_y: FloatArray

    @property
    def wins(self) -> FloatArray:
        """U of x: pairs of values in which x is larger; ties count half: float64[rows]."""
        up_to = np.cumsum(self.of_y)
        earlier = self.n * self.m * np.arange(self.first.size)
        return np.asarray(self._by_row(self.of_x * (up_to - self.of_y / 2)) - earlier)

    @property
    def ties(self) -> FloatArray:
        """Pairs of equal values: float64[rows]."""
        return self._by_row(self.of_x * self.of_y)

    @property
    def sigma(self) -> FloatArray:
        """Standard deviation of U under no shift, corrected for ties: float64[rows]."""
        return self._sigma(_tied(self.of_x + self.of_y))

    @property
    def sigma_off_ties(self) -> FloatArray:
        """The same of samples shifted to where only ties within each of them are left."""
        return self._sigma(_tied(self.of_x) + _tied(self.of_y))

    def deviations(self, wins: FloatArray, sigma: FloatArray) -> FloatArray:
        """Such a U less its mean, in standard deviations, corrected for continuity: float64[rows].

        0 where every value is tied.
        """
        w = wins - self.m * self.n / 2
        off = w - np.sign(w) / 2
        return np.divide(off, sigma, out=np.zeros_like(off), where=sigma > 0)

    def _sigma(self, tied: FloatArray) -> FloatArray:
        m, n, total = self.m, self.n, self.m + self.n
        of_rows = self._by_row(tied)
        return np.asarray(np.sqrt(m * n / 12 * (total + 1 - of_rows / (total * (total - 1)))))

    def _by_row(self, of_runs: FloatArray) -> FloatArray:
        """Sums: float64[rows]."""
        return np.asarray(np.add.reduceat(of_runs, self.first), dtype=np.float64)


def _tied(size: FloatArray) -> FloatArray:
    """Of runs of t equal values, t^3 - t."""
    return np.asarray(size * size * size - size)


def merged_runs(x: Tallies, y: Tallies) -> MergedRuns:
    """The runs of each row of x and y, which needn't be ordered; finite."""
    both = np.concatenate([y.value, x.value], axis=1)
    order = np.argsort(both, axis=1, kind="stable")  # merges runs that are ordered
    order += both.shape[1] * np.arange(len(both))[:, None]
    ordered = both.ravel()[order]
    begins = begins_of_runs(ordered)
    starts, of_row = np.flatnonzero(begins), begins.sum(axis=1)
    # Both counts in one pass: x's as real part, y's as imaginary one.
    counts = np.concatenate([1j * y.count, x.count], axis=1).ravel()[order].ravel()
    size = counts if starts.size == counts.size else np.add.reduceat(counts, starts)
    first = np.cumsum(of_row) - of_row
    return MergedRuns(x.size, y.size, first, ordered.ravel()[starts], size.real, size.imag)
