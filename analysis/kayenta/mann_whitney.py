"""The Mann-Whitney test and its interval for a shift, as R's wilcox.test has them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from scipy.special import ndtr, ndtri

from analysis.arrays import FloatArray, IntArray
from analysis.kayenta.merged_runs import Tallies, begins_of_runs, merged_runs, tallied
from analysis.kayenta.ranked_differences import ranked, ranked_by_tallies, searched

_EPSILON = float(np.finfo(np.float64).eps)
# Of shifts: a thousandth of the accuracy of Kayenta's search (root_search.py).
_NEGLIGIBLE = 1e-7
# Values judged at once, which stay in a processor's cache, and differences laid out: 32 MB.
_VALUES = 60_000
_MOST_DIFFERENCES = 4_000_000


@dataclass(frozen=True, slots=True)
class Shifts:
    """Tests of several pairs of series of equal lengths: float64[pairs] each.

    statistic: the experiment's U, pairs of values in which it is larger; ties count half.
    p_value: two-sided, of no shift. estimate, lower, upper: of the shift experiment - control.
    at_0, above_0, below_0: U in standard deviations, corrected for continuity, with no shift and
    with the least one above and below 0. gap: the least distance between different values, less
    what is lost in rounding, where the estimate and an end are 0; else 0.
    """

    statistic: FloatArray
    p_value: FloatArray
    estimate: FloatArray
    lower: FloatArray
    upper: FloatArray
    at_0: FloatArray
    above_0: FloatArray
    below_0: FloatArray
    gap: FloatArray


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
    ordered = np.sort(experiment, axis=1), np.sort(control, axis=1)
    return shifts_of_ordered(*ordered, confidence=confidence)


def shifts_of_ordered(x: FloatArray, y: FloatArray, *, confidence: float) -> Shifts:
    """location_shifts of an experiment and a control whose rows are ascending."""
    found = np.empty((len(fields(Shifts)), len(x)))
    for rows in _alike(x, y):
        found[:, rows] = _shifts(x[rows], y[rows], confidence)
    return Shifts(*found)


def _alike(x: FloatArray, y: FloatArray) -> Iterator[IntArray]:
    """Rows with about as many different values, as few at once as stay in a processor's cache."""
    different = begins_of_runs(x).sum(axis=1) * begins_of_runs(y).sum(axis=1)
    order = np.argsort(different, kind="stable")
    rows = max(1, _VALUES // (x.shape[1] + y.shape[1]))
    yield from (order[at : at + rows] for at in range(0, order.size, rows))


def _shifts(x: FloatArray, y: FloatArray, confidence: float) -> FloatArray:
    """Of ordered rows, the fields of Shifts: float64[fields, rows]."""
    m, n = x.shape[1], y.shape[1]
    of_x, of_y = tallied(x), tallied(y)
    runs = merged_runs(of_x, of_y)
    wins, half = runs.wins, runs.ties / 2
    sigma, sigma_off_ties = runs.sigma, runs.sigma_off_ties
    reach = 0.5 + float(ndtri(0.5 + confidence / 2)) * sigma_off_ties
    rank = np.maximum(np.ceil(m * n / 2 - reach), 1).astype(np.int64)
    at_most_0 = m * n - wins + half
    # Where the differences of both ranks are 0 all between them are.
    is_0 = (rank > at_most_0 - 2 * half) & (m * n + 1 - rank <= at_most_0)
    found = np.zeros((4, len(x)))
    rows = np.flatnonzero(~is_0)
    if 4 * of_x.value.shape[1] * of_y.value.shape[1] < min(m * n, _MOST_DIFFERENCES):
        found[:, rows] = ranked_by_tallies(of_x.of(rows), of_y.of(rows), rank[rows])
    elif m * n <= _MOST_DIFFERENCES:
        found[:, rows] = ranked(x[rows], y[rows], rank[rows])
    else:
        found[:, rows] = searched(x[rows], y[rows], rank[rows])
    lower, low_median, high_median, upper = found
    estimate = low_median + (high_median - low_median) / 2
    at_0 = runs.deviations(wins, sigma)
    beside = (runs.deviations(wins + side * half, sigma_off_ties) for side in (-1, 1))
    p_value = np.minimum(2 * ndtr(-np.abs(at_0)), 1.0)
    gap = np.zeros(len(x))
    rows = np.flatnonzero((estimate == 0) & ((lower == 0) | (upper == 0)))
    gap[rows] = _gap(of_x.of(rows), of_y.of(rows))
    return np.stack([wins, p_value, estimate, lower, upper, at_0, *beside, gap])


def _gap(x: Tallies, y: Tallies) -> FloatArray:
    """The least distance between different values of a row, less rounding: float64[rows].

    0 where a shift of less may make different values equal, or one that isn't negligible is lost.
    """
    both = np.sort(np.concatenate([x.value, y.value], axis=1), axis=1)
    between = np.diff(both, axis=1)
    gap = np.where(between > 0, between, np.inf).min(axis=1, initial=np.inf)
    rounding = 4 * _EPSILON * np.maximum(np.abs(both[:, 0]), np.abs(both[:, -1]))
    known = (gap > 2 * rounding) & (rounding < _NEGLIGIBLE)
    return np.where(known, gap - rounding, 0.0)
