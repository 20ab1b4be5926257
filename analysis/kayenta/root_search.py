"""Where Kayenta's search for the shift stops: Brent's method, to within 1e-4 of a root.

The statistic of a shift is a step function. At a root of exactly 0, which most values tied on both
sides bring about, the place where the search stops decides Kayenta's label, so it is found here by
the same steps, of all such pairs at once. Elsewhere our own roots are exact (mann_whitney.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.kayenta.mann_whitney import Shifts
from analysis.kayenta.merged_runs import merged_runs

_ACCURACY = 1e-4
_EPSILON = float(np.finfo(np.float64).eps)
_MOST_STEPS = 1001


def stopped_beside_zero(
    shifts: Shifts, experiment: FloatArray, control: FloatArray, *, confidence: float
) -> Shifts:
    """The shifts, those of 0 that a label hangs on moved to where Kayenta's search stops.

    experiment: float64[pairs, m]; control: float64[pairs, n]. It is the estimate and an end that
    are 0: an end elsewhere has a side of 0, however near the search comes to it.
    """
    found = np.stack([shifts.estimate, shifts.lower, shifts.upper])
    hangs = (found == 0) & (found[0] == 0) & (found[1:] == 0).any(axis=0)
    ends, rows = np.nonzero(hangs)
    if not rows.size:
        return shifts
    z = float(ndtri(0.5 + confidence / 2))
    x, y = np.sort(experiment[rows], axis=1), np.sort(control[rows], axis=1)
    found[ends, rows] = searched_shifts(x, y, np.array([0.0, z, -z])[ends])
    return replace(shifts, estimate=found[0], lower=found[1], upper=found[2])


def searched_shifts(experiment: FloatArray, control: FloatArray, wanted: FloatArray) -> FloatArray:
    """The shift of each pair of series at which its statistic is the wanted one: float64[pairs].

    experiment: float64[pairs, m]; control: float64[pairs, n], each ordered, and the two of a pair
    differ somewhere. wanted: float64[pairs], 0 for the estimate, z and -z for the interval's ends.
    """
    low, high = experiment[:, 0] - control[:, -1], experiment[:, -1] - control[:, 0]
    at_low, at_high = (_statistics(experiment, control, d) - wanted for d in (low, high))
    is_low, is_high = (wanted != 0) & (at_low <= 0), (wanted != 0) & (at_high >= 0)
    found = np.where(is_low | (at_low == 0), low, high)
    left = np.flatnonzero(~(is_low | is_high) & (at_low != 0) & (at_high != 0))
    brackets = _Points(low[left], at_low[left]), _Points(high[left], at_high[left])
    found[left] = _search(experiment[left], control[left], wanted[left], *brackets)
    return found


def _statistics(x: FloatArray, y: FloatArray, shift: FloatArray) -> FloatArray:
    """The rank statistic of each row's x - shift and y, with both corrections: float64[rows]."""
    runs = merged_runs(x - shift[:, None], y)
    w = runs.wins - x.shape[1] * y.shape[1] / 2
    return np.asarray((w - np.sign(w) * 0.5) / runs.sigma, dtype=np.float64)


class _StatisticOf:
    """The statistic of rows, which is a step function: evaluated once on each side of 0.

    It is constant from 0 to the smallest difference x - y, where most of a search's steps lie.
    """

    def __init__(self, x: FloatArray, y: FloatArray) -> None:
        self._x, self._y = x, y
        runs = merged_runs(x, y)
        # A shift of less is lost in rounding, which may also make values equal that lie as close.
        self._least = 4 * _EPSILON * np.maximum(np.abs(x).max(axis=1), np.abs(y).max(axis=1))
        gap = np.diff(runs.value)
        gap[np.diff(runs.row) != 0] = np.inf
        across = (runs.of_x[:-1] > 0) & (runs.of_y[1:] > 0)
        across |= (runs.of_y[:-1] > 0) & (runs.of_x[1:] > 0)
        reach, closest = np.full((2, len(x)), np.inf)
        np.minimum.at(reach, runs.row[:-1][across], gap[across])
        np.minimum.at(closest, runs.row[:-1], gap)
        self._reach = np.where(closest > 2 * self._least, reach - self._least, 0.0)
        # By the sign of the shift: of 0, above it, and below it.
        self._beside = np.full((3, len(x)), np.nan)

    def at(self, rows: IntArray, shift: FloatArray) -> FloatArray:
        """Of these rows, at a shift each: float64[rows]."""
        size, side = np.abs(shift), np.sign(shift).astype(np.int64)
        near = (size < self._reach[rows]) & ((size > self._least[rows]) | (size == 0))
        found = np.where(near, self._beside[side, rows], np.nan)
        left = np.flatnonzero(np.isnan(found))
        found[left] = _statistics(self._x[rows[left]], self._y[rows[left]], shift[left])
        self._beside[side[near], rows[near]] = found[near]
        return found


@dataclass(frozen=True, slots=True)
class _Points:
    """A shift of each row, and its statistic less the wanted one: float64[rows] each."""

    at: FloatArray
    value: FloatArray

    def of(self, rows: BoolArray | IntArray) -> _Points:
        return _Points(self.at[rows], self.value[rows])

    def where(self, chosen: BoolArray, others: _Points) -> _Points:
        at, value = np.where(chosen, self.at, others.at), np.where(chosen, self.value, others.value)
        return _Points(at, value)


def _search(
    x: FloatArray, y: FloatArray, wanted: FloatArray, low: _Points, high: _Points
) -> FloatArray:
    """Brent 1973, chapter 4: the best of two points between which the function changes its sign.

    A step is by inverse quadratic interpolation, or linear with two points only; a bisection where
    that would leave the bracket or be no shorter than half the step before the last.
    """
    found = high.at.copy()
    left = np.arange(found.size)
    statistic = _StatisticOf(x, y)
    previous, best, across = low, high, low
    for _ in range(_MOST_STEPS):
        before = best.at - previous.at
        swapped = np.abs(across.value) < np.abs(best.value)
        previous, best, across = (
            best.where(swapped, previous),
            across.where(swapped, best),
            best.where(swapped, across),
        )
        tolerance = 2 * _EPSILON * np.abs(best.at) + _ACCURACY / 2
        found[left] = best.at
        on = (np.abs(across.at - best.at) / 2 > tolerance) & (best.value != 0)
        if not on.any():
            break
        left, before, tolerance = left[on], before[on], tolerance[on]
        previous, best, across = previous.of(on), best.of(on), across.of(on)
        step = _step(previous, best, across, before, tolerance)
        at = best.at + step
        value = statistic.at(left, at) - wanted[left]
        previous, best = best, _Points(at, value)
        across = previous.where(best.value * across.value > 0, across)
    return found


def _step(
    previous: _Points, best: _Points, across: _Points, before: FloatArray, tolerance: FloatArray
) -> FloatArray:
    """The step by interpolation where it is good enough, else half the way across."""
    reach = across.at - best.at
    tried = (np.abs(before) >= tolerance) & (np.abs(previous.value) > np.abs(best.value))
    with np.errstate(divide="ignore", invalid="ignore"):
        to_previous = best.value / previous.value
        skew, to_across = previous.value / across.value, best.value / across.value
        quadratic = to_previous * (
            reach * skew * (skew - to_across) - (best.at - previous.at) * (to_across - 1)
        )
        is_linear = previous.at == across.at
        numerator = np.where(is_linear, reach * to_previous, quadratic)
        of_quadratic = (skew - 1) * (to_across - 1) * (to_previous - 1)
        denominator = np.where(is_linear, 1 - to_previous, of_quadratic)
        denominator = np.where(numerator > 0, -denominator, denominator)
        numerator = np.abs(numerator)
        inside = numerator < 0.75 * reach * denominator - np.abs(tolerance * denominator) / 2
        shorter = numerator < np.abs(before * denominator / 2)
        step = np.where(tried & inside & shorter, numerator / denominator, reach / 2)
    return np.where(np.abs(step) < tolerance, np.copysign(tolerance, step), step)
