"""One metric of a judgement, as `verdict judge --json` prints it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from analysis.kayenta.classify import MetricJudgement
from analysis.kayenta.config import EffectMeasure, MetricConfig
from analysis.kayenta.paired_values import ValueJudgement
from flows.kayenta.values_file import MetricSeries, titled


class Caution(BaseModel):
    """Where a label says less than it seems to."""

    kind: str
    message: str


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
    effect: Effect | None
    shift: DifferenceRange | None
    p_value: float | None = Field(description="Of no shift, by the rank test; kayenta only.")
    probability_within_margin: float | None = Field(description="Of the worst harm; ours only.")
    pairs: int | None = Field(description="Intervals with a value of both; ours only.")
    control: Side
    experiment: Side
    start: datetime | None
    step: float | None
    warnings: tuple[Caution, ...]

    @classmethod
    def by_kayenta(
        cls,
        series: MetricSeries,
        config: MetricConfig,
        judged: MetricJudgement,
        warnings: tuple[Caution, ...],
    ) -> Self:
        """A metric as Netflix's judge sees it."""
        effect, shift, p_value = None, None, None
        if judged.test is not None:
            test, p_value = judged.test, judged.test.p_value
            effect = Effect(measure=judged.measure, value=_number(judged.effect))
            shift = DifferenceRange(estimate=test.estimate, lower=test.lower, upper=test.upper)
        return cls._of(
            series,
            config,
            warnings,
            label=judged.label.value,
            reason=judged.reason,
            critical_failure=judged.critical_failure,
            effect=effect,
            shift=shift,
            p_value=p_value,
        )

    @classmethod
    def by_verdict(
        cls,
        series: MetricSeries,
        config: MetricConfig,
        judged: ValueJudgement,
        warnings: tuple[Caution, ...],
    ) -> Self:
        """A metric as our judge sees it."""
        ends = (judged.difference.value, judged.difference.lower, judged.difference.upper)
        estimate, lower, upper = map(_number, ends)
        return cls._of(
            series,
            config,
            warnings,
            label=judged.label.value,
            reason=judged.reason,
            critical_failure=judged.critical_failure,
            effect=None,
            shift=DifferenceRange(estimate=estimate, lower=lower, upper=upper)
            if judged.pairs
            else None,
            probability=judged.probability_within_margin if judged.pairs else None,
            pairs=judged.pairs,
        )

    @classmethod
    def _of(
        cls,
        series: MetricSeries,
        config: MetricConfig,
        warnings: tuple[Caution, ...],
        *,
        label: str,
        reason: str,
        critical_failure: bool,
        effect: Effect | None,
        shift: DifferenceRange | None,
        p_value: float | None = None,
        probability: float | None = None,
        pairs: int | None = None,
    ) -> Self:
        return cls(
            name=series.name,
            tags=series.tags,
            groups=config.groups,
            label=label,
            reason=reason,
            muted=config.muted,
            critical_failure=critical_failure,
            effect=effect,
            shift=shift,
            p_value=p_value,
            probability_within_margin=probability,
            pairs=pairs,
            control=Side.of(series.control),
            experiment=Side.of(series.experiment),
            start=series.start,
            step=series.step,
            warnings=warnings,
        )

    @property
    def title(self) -> str:
        """The name, with the tags that tell series of one metric apart."""
        return titled(self.name, self.tags)


def _number(value: float) -> float | None:
    """A number that JSON has; what isn't known is null."""
    return float(value) if math.isfinite(value) else None
