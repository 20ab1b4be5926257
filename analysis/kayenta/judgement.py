"""What Kayenta's judge says of one metric: its label, the numbers of its test, and the reason."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from analysis.kayenta.config import EffectMeasure, MetricConfig

# Of the interval from lower to upper.
CONFIDENCE = 0.98
# The interval must clear zero by this part of the estimate.
TOLERANCE = 0.25


class MetricLabel(StrEnum):
    """Kayenta's words. NodataFailMetric counts as a failure within its groups."""

    PASS = "Pass"
    HIGH = "High"
    LOW = "Low"
    NODATA = "Nodata"
    NODATA_FAIL_METRIC = "NodataFailMetric"


# Tuples: thousands of frozen dataclasses take longer to make than their numbers.
class ShiftTest(NamedTuple):
    """The test's numbers of one metric; see mann_whitney.Shifts.

    searched: the shift is 0, and an end, and the estimate where that end clears 0, are where
    Kayenta's search stops beside it. An end of 0 stays where the search can't stop beyond it.
    """

    statistic: float
    p_value: float
    estimate: float
    lower: float
    upper: float
    searched: bool

    @property
    def bound(self) -> float:
        """What the interval must clear on either side."""
        return TOLERANCE * abs(self.estimate)

    @property
    def is_higher(self) -> bool:
        """Whether the experiment's values are clearly higher."""
        return self.lower > self.bound

    @property
    def is_lower(self) -> bool:
        """Whether the experiment's values are clearly lower."""
        return self.upper < -self.bound


class MetricJudgement(NamedTuple):
    """What the judge says of one metric.

    critical_failure: this label of a critical metric sets the whole score to 0.
    effect: in the measure's unit; NaN where it can't be said. numbers: of the test; None where none
    was needed, for the reason in untested.
    """

    config: MetricConfig
    label: MetricLabel
    critical_failure: bool = False
    effect: float = math.nan
    numbers: tuple[float, ...] | None = None
    untested: str = ""

    @property
    def name(self) -> str:
        """The metric's."""
        return self.config.name

    @property
    def test(self) -> ShiftTest | None:
        """The numbers of the test by their names."""
        return None if self.numbers is None else ShiftTest._make(self.numbers)

    @property
    def measure(self) -> EffectMeasure:
        """What the effect is measured in."""
        return self.config.measure

    @property
    def reason(self) -> str:
        """Why it has its label, in a sentence; put into words only where somebody reads it."""
        test, config = self.test, self.config
        if test is None:
            return self.untested
        # Beside 0 Kayenta's search may stop with its ends in the other order.
        low, high = sorted((test.lower, test.upper))
        interval = f"the shift lies between {low:.4g} and {high:.4g}"
        if test.lower == test.upper == 0:
            return "no clear difference: the shift is 0, as most values are tied"
        if not (test.is_higher or test.is_lower):
            return (
                f"no clear difference: {interval}, "
                f"which doesn't clear {test.bound:.4g} on either side"
            )
        told = f"the experiment is {'higher' if test.is_higher else 'lower'}"
        size = f"{config.measure.value} is {self.effect:.4g}"
        if self.label is not MetricLabel.PASS:
            return f"{told}: {interval}, {size}"
        direction = config.direction
        if not (direction.harmed_by_increase if test.is_higher else direction.harmed_by_decrease):
            return f"{told}, which is not harm here: {interval}"
        limit = config.limit(config.allowed_increase if test.is_higher else config.allowed_decrease)
        return f"the difference is within what is allowed ({limit:g}): {interval}, {size}"


def judgement_by_test(tested: MetricJudgement) -> MetricJudgement:
    """The label by the interval, the tolerance around zero, and the effect size."""
    config, effect, test = tested.config, tested.effect, tested.test
    if test is None:
        return tested
    if test.is_higher and config.direction.harmed_by_increase:
        harm, sign = MetricLabel.HIGH, 1
        allowed, critical = config.allowed_increase, config.critical_increase
    elif test.is_lower and config.direction.harmed_by_decrease:
        harm, sign = MetricLabel.LOW, -1
        allowed, critical = config.allowed_decrease, config.critical_decrease
    else:
        return tested
    # An effect that isn't known is beyond any limit.
    if sign * effect < sign * config.limit(allowed):
        return tested
    fails = config.critical and not sign * effect < sign * config.limit(critical)
    return tested._replace(label=harm, critical_failure=fails)
