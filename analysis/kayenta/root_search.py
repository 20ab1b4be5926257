"""Where Kayenta's search for the shift stops: Brent's method, to within 1e-4 of a root.

The statistic of a shift is a step function. At a root of exactly 0, which most values tied on both
sides bring about, the place where the search stops decides Kayenta's label, so it is found here by
the same steps. Elsewhere our own roots are exact (mann_whitney.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from analysis.arrays import FloatArray
from analysis.kayenta.mann_whitney import Shifts

_ACCURACY = 1e-4
_EPSILON = float(np.finfo(np.float64).eps)
_MOST_STEPS = 1001


@dataclass(frozen=True, slots=True)
class _Point:
    """A shift, and its statistic less the wanted one."""

    at: float
    value: float


def stopped_beside_zero(
    shifts: Shifts, experiment: FloatArray, control: FloatArray, *, confidence: float
) -> Shifts:
    """The shifts, those of 0 that a label hangs on moved to where Kayenta's search stops.

    experiment: float64[pairs, m]; control: float64[pairs, n]. It is the estimate and an end that
    are 0: an end elsewhere has a side of 0, however near the search comes to it.
    """
    found = np.stack([shifts.estimate, shifts.lower, shifts.upper])
    for row in np.flatnonzero((found[0] == 0) & (found[1:] == 0).any(axis=0)):
        x, y = np.sort(experiment[row]), np.sort(control[row])
        searched = searched_shifts(x, y, float(ndtri(0.5 + confidence / 2)))
        found[:, row] = np.where(found[:, row] == 0, searched, found[:, row])
    return replace(shifts, estimate=found[0], lower=found[1], upper=found[2])


def searched_shifts(
    experiment: FloatArray, control: FloatArray, z: float
) -> tuple[float, float, float]:
    """Estimate, lower and upper end of one pair of series, both ordered, that differ somewhere.

    The ends are where the statistic of the shift is z and -z, the estimate where it is 0.
    """
    low, high = float(experiment[0] - control[-1]), float(experiment[-1] - control[0])
    at_low, at_high = (_statistic(experiment, control, d) for d in (low, high))

    def root(wanted: float) -> float:
        if wanted != 0 and at_low - wanted <= 0:
            return low
        if wanted != 0 and at_high - wanted >= 0:
            return high
        return _search(
            lambda d: _statistic(experiment, control, d) - wanted,
            _Point(low, at_low - wanted),
            _Point(high, at_high - wanted),
        )

    return root(0.0), root(z), root(-z)


def _statistic(x: FloatArray, y: FloatArray, shift: float) -> float:
    """The rank statistic of x - shift and y, with both corrections."""
    m, n = x.size, y.size
    moved = x - shift
    below = np.searchsorted(y, moved, side="left").sum()
    at_most = np.searchsorted(y, moved, side="right").sum()
    w = (below + at_most) / 2 - m * n / 2
    ties = np.unique(np.concatenate([moved, y]), return_counts=True)[1].astype(np.float64)
    tied = float((ties**3 - ties).sum())
    sigma = math.sqrt(m * n / 12 * ((m + n + 1) - tied / ((m + n) * (m + n - 1))))
    return float((w - np.sign(w) * 0.5) / sigma)


def _search(function: Callable[[float], float], low: _Point, high: _Point) -> float:
    """Brent 1973, chapter 4: the best of two points between which the function changes its sign.

    A step is by inverse quadratic interpolation, or linear with two points only; a bisection where
    that would leave the bracket or be no shorter than half the step before the last.
    """
    if 0 in (low.value, high.value):
        return low.at if low.value == 0 else high.at
    previous, best, across = low, high, low
    for _ in range(_MOST_STEPS):
        before = best.at - previous.at
        if abs(across.value) < abs(best.value):
            previous, best, across = best, across, best
        tolerance = 2 * _EPSILON * abs(best.at) + _ACCURACY / 2
        step = (across.at - best.at) / 2
        if abs(step) <= tolerance or best.value == 0:
            break
        if abs(before) >= tolerance and abs(previous.value) > abs(best.value):
            step = _interpolated(previous, best, across, before, tolerance)
        if abs(step) < tolerance:
            step = tolerance if step > 0 else -tolerance
        at = best.at + step
        previous, best = best, _Point(at, function(at))
        if best.value * across.value > 0:
            across = previous
    return best.at


def _interpolated(
    previous: _Point, best: _Point, across: _Point, before: float, tolerance: float
) -> float:
    """The step by interpolation where it is good enough, else half the way across."""
    reach = across.at - best.at
    to_previous = best.value / previous.value
    if previous.at == across.at:
        numerator, denominator = reach * to_previous, 1 - to_previous
    else:
        skew, to_across = previous.value / across.value, best.value / across.value
        numerator = to_previous * (
            reach * skew * (skew - to_across) - (best.at - previous.at) * (to_across - 1)
        )
        denominator = (skew - 1) * (to_across - 1) * (to_previous - 1)
    denominator = math.copysign(1.0, -numerator) * denominator if numerator else denominator
    numerator = abs(numerator)
    inside = numerator < 0.75 * reach * denominator - abs(tolerance * denominator) / 2
    shorter = numerator < abs(before * denominator / 2)
    return numerator / denominator if inside and shorter else reach / 2
