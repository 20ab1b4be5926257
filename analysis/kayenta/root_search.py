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
from analysis.kayenta.merged_runs import MergedRuns, Tallies, merged_runs, tallied

_ACCURACY = 1e-4
_EPSILON = float(np.finfo(np.float64).eps)
_MOST_STEPS = 1001
# Values looked at at once, which stay in a processor's cache.
_VALUES = 30_000


def stopped_beside_zero(
    shifts: Shifts,
    experiment: FloatArray,
    control: FloatArray,
    *,
    confidence: float,
    harmed: tuple[BoolArray, BoolArray],
) -> Shifts:
    """The shifts, those of 0 that a label hangs on moved to where Kayenta's search stops.

    experiment: float64[pairs, m]; control: float64[pairs, n]; each ordered. harmed: bool[pairs]
    each, by an increase and by a decrease. A label hangs on the end on the side of harm where that
    and the estimate are 0 and the search may stop beyond 0; where it does, all three are searched.
    """
    z = float(ndtri(0.5 + confidence / 2))
    estimate, lower, upper = shifts.estimate.copy(), shifts.lower.copy(), shifts.upper.copy()

    for end, other, wanted, is_harmed in (
        (lower, upper, z, harmed[0]),
        (upper, lower, -z, harmed[1]),
    ):
        rows = np.flatnonzero(is_harmed & (estimate == 0) & (end == 0))
        rows = rows[_may_stop_beyond_zero(shifts, rows, wanted)]
        end[rows] = searched_shifts(experiment[rows], control[rows], np.full(rows.size, wanted))
        beyond = rows[np.sign(wanted) * end[rows] > 0]
        tied = beyond[other[beyond] == 0]
        both = np.concatenate([beyond, tied])
        ends = np.repeat([0.0, -wanted], [beyond.size, tied.size])
        found = searched_shifts(experiment[both], control[both], ends)
        estimate[beyond], other[tied] = np.split(found, [beyond.size])
    return replace(shifts, estimate=estimate, lower=lower, upper=upper)


def _may_stop_beyond_zero(shifts: Shifts, rows: IntArray, wanted: float) -> BoolArray:
    """Whether the search for an end at 0 may stop at a shift of the sign of wanted: bool[rows].

    Of two points on either side of the root it stops at the one whose statistic is nearer to the
    wanted one. Beyond 0 the statistic only falls, so the root is at 0 or on the other side where
    the statistic just beyond 0 has the other sign.
    """
    at_0 = shifts.at_0[rows] - wanted
    sides = shifts.above_0[rows], shifts.below_0[rows]
    beyond, before = sides if wanted > 0 else sides[::-1]
    away = beyond * wanted <= 0
    nearest = np.maximum(np.abs(before - wanted), np.where(at_0 * wanted > 0, np.abs(at_0), 0))
    # No other root is as near as the search comes to this one.
    apart = shifts.gap[rows] > 2 * _ACCURACY
    return np.asarray(~(away & (np.abs(beyond - wanted) > nearest) & apart))


def searched_shifts(experiment: FloatArray, control: FloatArray, wanted: FloatArray) -> FloatArray:
    """The shift at which the statistic of each pair of series is the wanted one: float64[pairs].

    experiment: float64[pairs, m]; control: float64[pairs, n], each ordered, and the two of a pair
    differ somewhere. wanted: float64[pairs], 0 for the estimate, z and -z for the interval's ends.
    """
    if not wanted.size:
        return np.empty(0)
    x, y = tallied(experiment), tallied(control)
    low, high = experiment[:, 0] - control[:, -1], experiment[:, -1] - control[:, 0]
    at_low, at_high = (_statistics(x, y, d) - wanted for d in (low, high))
    is_low, is_high = (wanted != 0) & (at_low <= 0), (wanted != 0) & (at_high >= 0)
    found = np.where(is_low | (at_low == 0), low, high)
    left = np.flatnonzero(~(is_low | is_high) & (at_low != 0) & (at_high != 0))
    brackets = _Points(low[left], at_low[left]), _Points(high[left], at_high[left])
    found[left] = _search(_StatisticOf(x, y), left, wanted[left], *brackets)
    return found


def _statistics(x: Tallies, y: Tallies, shift: FloatArray) -> FloatArray:
    """The rank statistic of each row's x - shift and y: float64[rows], at least one."""
    step = max(1, _VALUES // (x.value.shape[1] + y.value.shape[1]))
    blocks = [slice(at, at + step) for at in range(0, shift.size, step)]
    runs = (merged_runs(x.of(rows).less(shift[rows]), y.of(rows)) for rows in blocks)
    return np.concatenate([_statistic(each) for each in runs])


def _statistic(runs: MergedRuns) -> FloatArray:
    """With both corrections, for ties and for continuity: float64[rows]."""
    return runs.deviations(runs.wins, runs.sigma)


class _StatisticOf:
    """The statistic of pairs, which is a step function: known on each side of 0 by the ties at 0.

    It is constant from 0 to the smallest difference x - y, where most of a search's steps lie.
    """

    def __init__(self, x: Tallies, y: Tallies) -> None:
        self._x, self._y = x, y
        runs = merged_runs(x, y)
        # A shift of less is lost in rounding, which may also make values equal that lie as close.
        largest = (np.abs(side.value).max(axis=1, initial=0.0) for side in (x, y))
        self._least = 4 * _EPSILON * np.maximum(*largest)
        gap = np.diff(runs.value, append=np.inf)
        gap[runs.first[1:] - 1] = np.inf
        closest = np.minimum.reduceat(gap, runs.first)
        is_x, is_y = runs.of_x > 0, runs.of_y > 0
        gap[:-1][~(is_x[:-1] & is_y[1:] | is_y[:-1] & is_x[1:])] = np.inf
        reach = np.minimum.reduceat(gap, runs.first) - self._least
        self._reach = np.where(closest > 2 * self._least, reach, 0.0)
        wins, ties, sigma = runs.wins, runs.ties, runs.sigma_off_ties
        above, below = (runs.deviations(wins + side * ties / 2, sigma) for side in (-1, 1))
        # By the sign of the shift: of 0, above it, and below it.
        self._beside = np.stack([_statistic(runs), above, below])

    def at(self, pair: IntArray, shift: FloatArray) -> FloatArray:
        """Of these pairs, at a shift each: float64[shifts]."""
        size = np.abs(shift)
        near = (size < self._reach[pair]) & ((size > self._least[pair]) | (size == 0))
        found = self._beside[np.sign(shift).astype(np.int64), pair]
        far = np.flatnonzero(~near)
        if far.size:
            rows = pair[far]
            found[far] = _statistics(self._x.of(rows), self._y.of(rows), shift[far])
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
    statistic: _StatisticOf, pair: IntArray, wanted: FloatArray, low: _Points, high: _Points
) -> FloatArray:
    """Brent 1973, chapter 4: the best of two points between which the function changes its sign.

    A step is by inverse quadratic interpolation, or linear with two points only; a bisection where
    that would leave the bracket or be no shorter than half the step before the last.
    """
    found = high.at.copy()
    left = np.arange(found.size)
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
        if not on.all():
            left, before, tolerance = left[on], before[on], tolerance[on]
            previous, best, across = previous.of(on), best.of(on), across.of(on)
        step = _step(previous, best, across, before, tolerance)
        at = best.at + step
        value = statistic.at(pair[left], at) - wanted[left]
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
