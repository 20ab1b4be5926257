"""What a Spinnaker canary config says of the judgement; its queries are no concern here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self


class Direction(StrEnum):
    """Which change of the experiment counts as harm."""

    INCREASE = "increase"
    DECREASE = "decrease"
    EITHER = "either"

    @property
    def harmed_by_increase(self) -> bool:
        """Whether more is worse."""
        return self is not Direction.DECREASE

    @property
    def harmed_by_decrease(self) -> bool:
        """Whether less is worse."""
        return self is not Direction.INCREASE


class NanStrategy(StrEnum):
    """What a missing value means: nothing known, or zero."""

    REMOVE = "remove"
    REPLACE = "replace"


class OutlierStrategy(StrEnum):
    """Whether values far outside are dropped before the test."""

    KEEP = "keep"
    REMOVE = "remove"


class EffectMeasure(StrEnum):
    """How large a difference is: mean against mean, or P(experiment > control)."""

    MEAN_RATIO = "meanRatio"
    CLES = "cles"

    @property
    def no_difference(self) -> float:
        """The measure's value where both series are alike."""
        return 1.0 if self is EffectMeasure.MEAN_RATIO else 0.5


@dataclass(frozen=True, slots=True)
class MetricConfig:
    """How one metric is judged.

    allowed_*: High needs an effect of at least allowed_increase, Low of at most allowed_decrease.
    critical_*: from these effects on a critical metric fails the whole canary.
    A limit that is None is the measure's value for no difference: 1 for meanRatio, 0.5 for cles.
    """

    name: str = ""
    groups: tuple[str, ...] = ()
    direction: Direction = Direction.INCREASE
    nan_strategy: NanStrategy = NanStrategy.REMOVE
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    measure: EffectMeasure = EffectMeasure.MEAN_RATIO
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical_increase: float | None = None
    critical_decrease: float | None = None
    outliers: OutlierStrategy = OutlierStrategy.KEEP
    outlier_factor: float = 3.0

    @classmethod
    def default(cls, name: str = "", *, direction: Direction = Direction.INCREASE) -> Self:
        """A metric that says nothing but its name and which way is worse."""
        return cls(name=name, direction=direction)

    def limit(self, written: float | None) -> float:
        """One of the four limits as written, or the measure's value for no difference."""
        return self.measure.no_difference if written is None else written


@dataclass(frozen=True, slots=True)
class CanaryConfig:
    """A whole canary config: its metrics, the weights of their groups in percent, thresholds."""

    metrics: tuple[MetricConfig, ...]
    name: str = ""
    group_weights: Mapping[str, float] = field(default_factory=dict)
    pass_threshold: float = 95.0
    marginal_threshold: float = 75.0


@dataclass(frozen=True, slots=True)
class ValuePlan:
    """What our judge is asked of all metrics.

    alpha: probability that any metric fails although no harm exceeds its margin, at any look.
    margin: allowed relative change of a metric whose config allows none, or has no ratio.
    absolute: beside it, allowed change in the metric's unit, by its name; "" for all others.
    spread_growth: allowed relative growth of the mean distance from the median.
    intervals: the number of intervals at which bounds are to be tightest; None: those at hand,
        which suits a single look.
    """

    alpha: float = 0.05
    margin: float = 0.1
    absolute: Mapping[str, float] = field(default_factory=dict)
    spread_growth: float = 0.5
    intervals: int | None = None

    def absolute_of(self, metric: str) -> float:
        """What is allowed of a metric in its own unit."""
        return self.absolute.get(metric, self.absolute.get("", 0.0))
