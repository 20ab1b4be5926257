"""How much worse a candidate is for users, with bounds: one comparison or thousands at once.

The bounds hold at every look; the upper one of a goal at the planned end is that of a single test.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from analysis.arrays import BoolArray, FloatArray
from analysis.fixed.comparison import Comparison, Pair
from analysis.plan import MetricPlan, Plan, Role
from analysis.sequential.confidence_sequence import one_sided_multiplier
from analysis.users.guarded_comparison import compare_guarded, student_multiplier


@dataclass(frozen=True, slots=True)
class UserHarm:
    """UserHarm beyond what is allowed, in the metric's unit: float64[...] each.

    lower, upper: its bounds, so many standard errors off (lower_z, upper_z).
    """

    comparison: Comparison
    value: FloatArray
    lower: FloatArray
    upper: FloatArray
    standard_error: FloatArray
    lower_z: FloatArray
    upper_z: FloatArray


def bound_harm(
    plan: Plan,
    metric: MetricPlan,
    variants: Pair,
    *,
    is_share: bool,
    n_opt: float,
    at_end: ArrayLike,
) -> UserHarm:
    """The harm that the second of two variants does; at_end: bool[...], at the planned end.

    What is allowed relatively is a part of the baseline's size, whatever its sign.
    """
    comparison = compare_guarded(variants[0], variants[1], is_share=is_share)
    lower_z, upper_z = _multipliers(plan, metric, comparison, n_opt, np.asarray(at_end))
    baseline = comparison.baseline
    sign = -1.0 if metric.higher_is_better else 1.0
    allowed = metric.allowed_harm
    growth = sign * allowed.relative * np.sign(baseline.mean)
    allowance = allowed.relative * np.abs(baseline.mean) + allowed.absolute
    value = sign * comparison.difference - allowance
    error = comparison.error_at(growth)
    with np.errstate(invalid="ignore"):
        lower, upper = value - lower_z * error, value + upper_z * error
    return UserHarm(comparison, value, lower, upper, error, lower_z, upper_z)


def _multipliers(
    plan: Plan,
    metric: MetricPlan,
    comparison: Comparison,
    n_opt: float,
    at_end: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Standard errors to the lower and to the upper bound of harm."""
    n = comparison.baseline.n + comparison.candidate.n
    dof = comparison.degrees_of_freedom
    lower, upper = (
        student_multiplier(one_sided_multiplier(n, alpha=level, n_opt=n_opt), dof)
        for level in (plan.harm_alpha(metric), plan.promote_alpha)
    )
    if plan.is_users_fixed_horizon:
        lower = _once(dof, plan.harm_alpha(metric))
        upper = _once(dof, plan.promote_alpha)
    elif metric.role is Role.GOAL:
        once = -stdtrit(np.maximum(dof, 1.0), plan.promote_alpha)
        upper = np.where(at_end & (dof >= 1), once, upper)
    return lower, upper


def _once(dof: FloatArray, level: float) -> FloatArray:
    """Student's multiplier of a test that is made once; infinite without a second user."""
    return np.where(dof >= 1, -stdtrit(np.maximum(dof, 1.0), level), np.inf)
