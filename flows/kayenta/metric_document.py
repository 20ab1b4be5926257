"""One metric of a judgement, as `verdict judge --json` prints it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from analysis.kayenta.config import EffectMeasure, MetricConfig
from analysis.kayenta.judgement import MetricJudgement
from analysis.kayenta.known_limitations import KnownLimitation
from analysis.kayenta.value_judgement import ValueJudgement
from flows.kayenta.values_file import MetricSeries, titled


class DifferenceRange(BaseModel):
    """Experiment minus control, in the metric's unit; an end that isn't known is null."""

    estimate: float | None
    lower: float | None
    upper: float | None


class Effect(BaseModel):
    """The size of the difference by the config's measure."""

    measure: EffectMeasure
    value: float | None


class Side(BaseModel):
    """One version's values as given."""

    values: int
    missing: int
    mean: float | None
    median: float | None

    @classmethod
    def of(cls, values: NDArray[np.float64]) -> Self:
        """The summary of a series with NaN."""
        known = values[~np.isnan(values)]
        mean, median = (known.mean(), np.median(known)) if known.size else (np.nan, np.nan)
        missing = values.size - known.size
        return cls(values=known.size, missing=missing, mean=_number(mean), median=_number(median))


class JudgedMetric(BaseModel):
    """One metric: its label, why, and the numbers behind it."""

    name: str
    tags: dict[str, str]
    groups: tuple[str, ...]
    label: str = Field(description="Pass, High, Low, Nodata ... of kayenta; pass, high ... of ours")
    reason: str
    muted: bool = Field(description="Judged, but without a part in the score and the decision.")
    critical_failure: bool
    effect: Effect | None = None
    shift: DifferenceRange | None = None
    p_value: float | None = Field(None, description="Of no shift, by the rank test; kayenta only.")
    probability_within_margin: float | None = Field(
        None, description="Of the worst harm; ours only."
    )
    pairs: int | None = Field(None, description="Intervals with a value of both; ours only.")
    control: Side
    experiment: Side
    start: datetime | None
    step: float | None
    warnings: tuple[KnownLimitation, ...]

    @classmethod
    def by_kayenta(
        cls,
        series: MetricSeries,
        config: MetricConfig,
        judged: MetricJudgement,
        warnings: tuple[KnownLimitation, ...],
    ) -> Self:
        """A metric as Netflix's judge sees it."""
        found = cls(**_common(series, config, judged, warnings))
        if judged.test is not None:
            test, found.p_value = judged.test, judged.test.p_value
            found.effect = Effect(measure=judged.measure, value=_number(judged.effect))
            found.shift = DifferenceRange(
                estimate=test.estimate, lower=test.lower, upper=test.upper
            )
        return found

    @classmethod
    def by_verdict(
        cls,
        series: MetricSeries,
        config: MetricConfig,
        judged: ValueJudgement,
        warnings: tuple[KnownLimitation, ...],
    ) -> Self:
        """A metric as our judge sees it."""
        found = cls(**_common(series, config, judged, warnings), pairs=judged.pairs)
        if judged.pairs:
            found.shift = DifferenceRange(
                estimate=_number(judged.difference.value),
                lower=_number(judged.difference.lower),
                upper=_number(judged.difference.upper),
            )
            found.probability_within_margin = judged.probability_within_margin
        return found

    @property
    def title(self) -> str:
        """The name, with the tags that tell series of one metric apart."""
        return titled(self.name, self.tags)


def _common(
    series: MetricSeries,
    config: MetricConfig,
    judged: MetricJudgement | ValueJudgement,
    warnings: tuple[KnownLimitation, ...],
) -> dict[str, Any]:
    """What both judges say of a metric."""
    return {
        "name": series.name,
        "tags": series.tags,
        "groups": config.groups,
        "label": judged.label.value,
        "reason": judged.reason,
        "muted": config.muted,
        "critical_failure": judged.critical_failure,
        "control": Side.of(series.control),
        "experiment": Side.of(series.experiment),
        "start": series.start,
        "step": series.step,
        "warnings": warnings,
    }


def _number(value: float) -> float | None:
    """A number that JSON has; what isn't known is null."""
    return float(value) if math.isfinite(value) else None
