"""The Mann-Whitney test and its interval for a shift, as R's wilcox.test has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.arrays import FloatArray, IntArray
from analysis.kayenta.merged_runs import merged_runs, tallied

# Differences held at once: 32 MB. A single longer pair of series is searched, not laid out.
_MOST_DIFFERENCES = 4_000_000
# Halvings after which an interval of floats holds one difference only.
_MOST_HALVINGS = 2_100


@dataclass(frozen=True, slots=True)
class Shifts:
    """Tests of several pairs of series of equal lengths: float64[pairs] each.

    statistic: the experiment's U, pairs of values in which it is larger; ties count half.
    p_value: two-sided, of no shift. estimate, lower, upper: of the shift experiment - control.
    """

    statistic: FloatArray
    p_value: FloatArray
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray


def location_shifts(experiment: FloatArray, control: FloatArray, *, confidence: float) -> Shifts:
    """The shift that makes both series alike, with its interval and the test of no shift.

    experiment: float64[pairs, m]; control: float64[pairs, n]; finite, and m, n at least 1.

    R's wilcox.test(experiment, control, conf.int = TRUE, exact = FALSE, correct = TRUE) solves
    z(d) = (W(d) - sign(W(d)) / 2) / sigma(d) = +-z by Brent's method; Kayenta does the same and
    stops at an error of 1e-4, in whatever unit the metric has. But W is a step function: between
    two of the m n differences it is constant, so z(d) crosses at one of them, and its rank is
    known. We take that difference, the exact root: R's with tol.root at zero.

    The estimate is the median of the differences (Hodges, Lehmann 1963). With the continuity
    correction z(d) is zero all the way between the differences beside it; Kayenta returns some
    point of that stretch, R (which leaves the correction out there) the median or a point between
    the middle two.

    Where values are not far above 1e-4 (a share of errors, seconds of a fast call), Kayenta's
    labels depend on where its search happened to stop, and on the unit; ours don't. Of 2,250
    random metrics of usual size one label differs, its interval's end lying exactly at the
    tolerance; of 750 with values near 1e-4, 113. Of roots of exactly 0 see root_search.py.

    Two constant series have one difference, which is the estimate and both ends. R and Kayenta
    can't solve there; Kayenta adds noise of 1e-5 of the value, so its last digits are random.
    """
    pairs = experiment.shape[0]
    m, n = experiment.shape[1], control.shape[1]
    step = max(1, _MOST_DIFFERENCES // (m * n))
    chunks = [
        _shifts(experiment[at : at + step], control[at : at + step], confidence)
        for at in range(0, pairs, step)
    ]
    return Shifts(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))


def _shifts(
    experiment: FloatArray, control: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """A chunk of location_shifts, as the fields of Shifts."""
    x, y = np.sort(experiment, axis=1), np.sort(control, axis=1)
    m, n = x.shape[1], y.shape[1]
    runs = merged_runs(tallied(x), tallied(y))
    reach = 0.5 + float(ndtri(0.5 + confidence / 2)) * runs.sigma_off_ties
    rank = np.maximum(np.ceil(m * n / 2 - reach), 1).astype(np.int64)
    median = np.full_like(rank, (m * n + 1) // 2)
    ranks = np.stack([rank, median, m * n + 1 - median, m * n + 1 - rank])
    if m * n > _MOST_DIFFERENCES:
        found = np.array([[_searched(x[0], y[0], int(k))] for k in ranks[:, 0]])
    else:
        differences = (x[:, :, None] - y[:, None, :]).reshape(len(x), m * n)
        found = _ranked(differences, ranks)
    lower, low_median, high_median, upper = found
    p_value = _p_value(runs.wins - m * n / 2, runs.sigma)
    return runs.wins, p_value, low_median + (high_median - low_median) / 2, lower, upper


def _p_value(w: FloatArray, sigma: FloatArray) -> FloatArray:
    """Two-sided, with the continuity correction; 1 where every value is tied."""
    corrected = w - np.sign(w) / 2
    z = np.divide(corrected, sigma, out=np.zeros_like(w), where=sigma > 0)
    return np.asarray(np.minimum(2 * ndtr(-np.abs(z)), 1.0))


def _ranked(differences: FloatArray, ranks: IntArray) -> FloatArray:
    """The differences of the given ranks, from 1: float64[ranks, pairs]. Reorders differences."""
    found = np.empty(ranks.shape)
    for rows, kth in _rows_by_rank(ranks):
        # Where all series have the same ties, which is usual, nothing is copied.
        block = differences if rows.size == len(differences) else differences[rows]
        block.partition(np.unique(kth), axis=1)
        found[:, rows] = block[:, kth].T
    return found


def _rows_by_rank(ranks: IntArray) -> Iterator[tuple[IntArray, IntArray]]:
    """Rows that want the same ranks, with these ranks from 0."""
    values, which = np.unique(ranks[0], return_inverse=True)
    for index in range(values.size):
        rows = np.flatnonzero(which == index)
        yield rows, ranks[:, rows[0]] - 1


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
