"""Whether differences lie within a margin: non-inferiority to either side, and equivalence.

A metric may be better up or down, so both sides are answered: not lower, not higher, and both at
once (two one-sided tests). Each p-value agrees with the interval that a cell has anyway.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from analysis.arrays import BoolArray, FloatArray
from analysis.fixed.comparison import Bounds, Comparison, Sample
from analysis.fixed.proportions import share_bounds
from analysis.sequential.roots import bracket_root

_LARGEST_Z = 60.0  # beyond so many standard errors every p-value is 0


_MOST_DEGREES = 1e15


@dataclass(frozen=True, slots=True)
class WithinMargin:
    """One-sided p-values for one look, and the interval of level 1 - 2 alpha: float64[...] each.

    p_not_lower: of "lower by the margin or more"; p_not_higher: of "higher by it or more"; lower
    and upper in the margin's unit: of the difference, or relative to the baseline's size.
    """

    p_not_lower: FloatArray
    p_not_higher: FloatArray
    lower: FloatArray
    upper: FloatArray

    @property
    def p_equivalent(self) -> FloatArray:
        """Of "beyond the margin on some side": the larger one (Schuirmann 1987)."""
        return np.asarray(np.maximum(self.p_not_lower, self.p_not_higher))


def means_within(
    comparison: Comparison, margin: FloatArray, *, relative: bool, alpha: float
) -> WithinMargin:
    """Of means, by Welch's test.

    A relative margin is a part of the baseline's size, which is estimated: so the test is of the
    candidate less the scaled baseline, and the interval is Fieller's.
    """
    degrees = np.minimum(comparison.degrees_of_freedom, _MOST_DEGREES)
    if not relative:
        error, difference = comparison.standard_error, comparison.difference
        lower, upper = (
            non_inferiority(d, error, degrees, margin=margin, alpha=alpha).p_value
            for d in (difference, -difference)
        )
        both = equivalence(difference, error, degrees, margin=margin, alpha=alpha)
        return WithinMargin(lower, upper, both.lower, both.upper)
    b, c = comparison.baseline, comparison.candidate
    with np.errstate(invalid="ignore"):  # a multiplier of 0 (alpha 0.5) of an error not known
        low, high = comparison.relative_interval(-stdtrit(degrees, alpha))
    p_values = []
    for sign in (1.0, -1.0):
        factor = 1 - sign * margin * np.sign(b.mean)
        error = comparison.error_at(factor - 1)
        beyond = sign * (c.mean - factor * b.mean)
        found = non_inferiority(beyond, error, degrees, margin=0.0, alpha=alpha).p_value
        # As the interval beside it, nothing is claimed where the error isn't known.
        p_values.append(np.where(np.isfinite(comparison.standard_error), found, np.nan))
    return WithinMargin(p_values[0], p_values[1], low, high)


def shares_within(
    baseline: Sample, candidate: Sample, margin: FloatArray, *, relative: bool, alpha: float
) -> WithinMargin:
    """Of shares, by the multiplier at which their bounds touch the margin."""

    def bounds(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        found: Bounds = share_bounds(baseline, candidate, z)
        if relative:
            return found.relative_lower, found.relative_upper
        return found.lower, found.upper

    above = _statistic(bounds, -margin, baseline.n * candidate.n > 0)
    below = _statistic(bounds, margin, baseline.n * candidate.n > 0)
    return WithinMargin(
        np.asarray(ndtr(-above)), np.asarray(ndtr(below)), *bounds(np.asarray(-ndtri(alpha)))
    )


def _statistic(
    bounds: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    null: FloatArray,
    known: BoolArray,
) -> FloatArray:
    """How many standard errors the difference lies above null, by the bounds: float64[...].

    0 where even a multiplier of 0 doesn't tell them apart; nan where nothing is known.
    """

    def reaches_down(z: FloatArray) -> FloatArray:
        return np.where(known, null - bounds(z)[0], 1.0)

    def reaches_up(z: FloatArray) -> FloatArray:
        return np.where(known, bounds(z)[1] - null, 1.0)

    with np.errstate(invalid="ignore"):
        above, below = (
            bracket_root(reach, np.zeros(null.shape), _LARGEST_Z)[1]
            for reach in (reaches_down, reaches_up)
        )
    return np.where(known, above - below, np.nan)


_MOST_DEGREES = 1e15  # Student's t is the normal to the last digit there


@dataclass(frozen=True, slots=True)
class Shown:
    """p-values, whether they are below alpha, and the interval that says the same: float64[...]."""

    p_value: FloatArray
    shown: BoolArray
    lower: FloatArray
    upper: FloatArray


def non_inferiority(
    difference: ArrayLike,
    error: ArrayLike,
    degrees: ArrayLike = np.inf,
    *,
    margin: ArrayLike,
    alpha: float = 0.05,
) -> Shown:
    """Whether the difference (higher is better) is above -margin: one-sided.

    Not shown doesn't mean inferior: that the harm exceeds the margin is another test.
    """
    d, se, nu = _arrays(difference, error, degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = stdtr(nu, -(d + np.asarray(margin)) / se)
        lower = d + stdtrit(nu, alpha) * se
    return Shown(p_value, p_value < alpha, lower, np.full_like(d, np.inf))


def equivalence(
    difference: ArrayLike,
    error: ArrayLike,
    degrees: ArrayLike = np.inf,
    *,
    margin: ArrayLike,
    alpha: float = 0.05,
) -> Shown:
    """Whether the difference lies within the margin on both sides: two one-sided tests.

    Schuirmann 1987; the interval has the level 1 - 2 alpha and lies inside exactly then.
    """
    d, se, nu = _arrays(difference, error, degrees)
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.asarray(margin)
        p_value = np.maximum(stdtr(nu, -(d + least) / se), stdtr(nu, (d - least) / se))
        half_width = -stdtrit(nu, alpha) * se
    return Shown(p_value, p_value < alpha, d - half_width, d + half_width)


def _arrays(*values: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    d, se, nu = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in values))
    return np.array(d), np.array(se), np.minimum(nu, _MOST_DEGREES)
