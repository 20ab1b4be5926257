"""The levels of a look's bounds, and what an interval of harm says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.metric_result import Classification, Estimate
from analysis.plan import Plan
from analysis.requests.bounds import Estimator


@dataclass(frozen=True, slots=True)
class Levels:
    """The levels of a look's bounds; alpha: float64[metrics], of harm. known: not warming up."""

    plan: Plan
    alpha: FloatArray
    known: bool

    def bounded(
        self,
        estimator: Estimator,
        shift: FloatArray | float = 0.0,
        *,
        upper: FloatArray | None = None,
    ) -> list[Estimate]:
        """Estimates with a lower bound at the harm level and an upper at the promote level.

        upper: the upper bounds, where others are asked for.
        """
        lower = estimator.lower(alpha=self.alpha, n_opt=self.plan.harm_buckets)
        if upper is None:
            upper = estimator.upper(alpha=self.plan.promote_alpha, n_opt=self.plan.promote_buckets)
        if not self.known:
            lower, upper = (np.full_like(lower, end) for end in (-np.inf, np.inf))
        ends = (estimator.estimate - shift, lower - shift, upper - shift)
        return [Estimate(*map(float, row)) for row in zip(*ends, strict=True)]


def side_of_zero(lower: float, upper: float) -> Classification:
    """Which side of zero an interval of harm lies on: below is a pass."""
    if np.isnan(lower) or np.isnan(upper):
        return Classification.NO_DATA
    if lower > 0:
        return Classification.FAIL
    return Classification.PASS if upper <= 0 else Classification.UNCERTAIN
