"""Differences between two samples by their rank, of many pairs of samples: ends of intervals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.kayenta.merged_runs import Tallies

# Differences held at once, which stay in a processor's cache.
_DIFFERENCES = 100_000
_GOLDEN_RATIO = 0.618
# Halvings after which an interval of floats holds one difference only.
_MOST_HALVINGS = 2_100


def ranked(x: FloatArray, y: FloatArray, rank: IntArray) -> FloatArray:
    """Of all differences x - y those of a rank, the middle two, and that of the rank from above.

    x: float64[rows, m]; y: float64[rows, n]; ordered. rank: int64[rows], from 1 to the middle.
    Yields float64[4, rows].
    """
    m, n = x.shape[1], y.shape[1]
    # Differences in no order are partitioned a tenth faster.
    y = np.take(y, np.argsort(np.arange(n) * _GOLDEN_RATIO % 1), axis=1)
    found = np.empty((4, len(x)))
    for rows in _of_one_rank(rank, max(1, _DIFFERENCES // (m * n))):
        differences = (x[rows, :, None] - y[rows, None, :]).reshape(rows.size, m * n)
        found[:, rows] = _in_place(differences, int(rank[rows[0]]))
    return found


def _symmetric(rank: IntArray, size: int) -> IntArray:
    """The ranks of `ranked`, from 1: int64[4, rows]."""
    middle = np.full_like(rank, (size + 1) // 2)
    return np.stack([rank, middle, size + 1 - middle, size + 1 - rank])


def _of_one_rank(rank: IntArray, most: int) -> Iterator[IntArray]:
    """Rows that want the same rank, so many at once."""
    order = np.argsort(rank, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
        yield from (rows[at : at + most] for at in range(0, rows.size, most))


def _in_place(differences: FloatArray, rank: int) -> tuple[FloatArray, ...]:
    """`ranked` of rows of differences, which it reorders: at the middle, then either half.

    By several ranks at once numpy takes twice as long.
    """
    size = differences.shape[1]
    middle = (size + 1) // 2
    differences.partition(middle - 1, axis=1)
    below, median, above = np.split(differences, [middle - 1, middle], axis=1)
    low_median = median[:, 0]
    high_median = low_median if size % 2 else above.min(axis=1)
    if rank == middle:
        return low_median, low_median, high_median, high_median
    below.partition(rank - 1, axis=1)
    above.partition(size - rank - middle, axis=1)
    return below[:, rank - 1], low_median, high_median, above[:, size - rank - middle]


def ranked_by_tallies(x: Tallies, y: Tallies, rank: IntArray) -> FloatArray:
    """The same of samples with few different values: float64[4, rows]."""
    size, rows = x.size * y.size, len(x.value)
    wanted = _symmetric(rank, size) + size * np.arange(rows)
    found = np.empty((4, rows))
    step = max(1, _DIFFERENCES // (x.value.shape[1] * y.value.shape[1]))
    for at in range(0, rows, step):
        part = slice(at, at + step)
        # Ascending for each x: a stable sort merges them.
        differences = x.value[part, :, None] - y.value[part, None, ::-1]
        counts = x.count[part, :, None] * y.count[part, None, ::-1]
        flat = differences.reshape(len(differences), -1)
        order = np.argsort(flat, axis=1, kind="stable")
        order += flat.shape[1] * np.arange(len(flat))[:, None]
        up_to = np.cumsum(counts.ravel()[order.ravel()])
        first = np.searchsorted(up_to, wanted[:, part] - size * at)
        found[:, part] = flat.ravel()[order.ravel()[first]]
    return found


def searched(x: FloatArray, y: FloatArray, rank: IntArray) -> FloatArray:
    """The same of long samples, whose differences aren't laid out: float64[4, rows]."""
    ranks = _symmetric(rank, x.shape[1] * y.shape[1])
    found = [[_searched(*one) for one in zip(x, y, each, strict=True)] for each in ranks.tolist()]
    return np.array(found).reshape(ranks.shape)


def _searched(x: FloatArray, y: FloatArray, rank: int) -> float:
    """The difference x - y of this rank, from 1, without laying all of them out.

    x, y: ordered. Halves the range of floats until no float lies between its ends.
    """
    low, high = np.nextafter(x[0] - y[-1], -np.inf), x[-1] - y[0]
    for _ in range(_MOST_HALVINGS):
        middle = low + (high - low) / 2
        if middle in (low, high):
            break
        # Values y >= x - d make differences of at most d.
        at_most = y.size * x.size - int(np.searchsorted(y, x - middle, side="left").sum())
        low, high = (low, middle) if at_most >= rank else (middle, high)
    return float(high)
