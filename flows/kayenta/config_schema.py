"""The blocks of Spinnaker's canary config that say how to judge."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from analysis.kayenta.config import (
    Direction,
    EffectMeasure,
    MetricConfig,
    NanStrategy,
    OutlierStrategy,
)

# What Spinnaker's user interface offers; a request to Kayenta brings its own.
_PASS, _MARGINAL = 95.0, 75.0


class JudgeName(StrEnum):
    """The judges whose configs are read; dredd is an old name in Kayenta's samples."""

    NETFLIX = "NetflixACAJudge-v1.0"
    DREDD = "dredd-v1.0"


def written_fields(value: Any) -> Any:
    """Fields that are null aren't written."""
    if isinstance(value, dict):
        return {name: item for name, item in value.items() if item is not None}
    return value


class _Block(BaseModel):
    """A block that is judged by: a field that isn't known is a mistake."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, allow_inf_nan=False
    )


class _OpenBlock(_Block):
    """A block with fields of Spinnaker's own beside ours."""

    model_config = ConfigDict(extra="ignore")


class EffectSize(_Block):
    """How large a difference must be; a limit that isn't written is the one for no difference."""

    measure: EffectMeasure = EffectMeasure.MEAN_RATIO
    allowed_increase: float | None = None
    allowed_decrease: float | None = None
    critical_increase: float | None = None
    critical_decrease: float | None = None


class Outliers(_Block):
    """Whether values far outside are dropped."""

    strategy: OutlierStrategy = OutlierStrategy.KEEP
    outlier_factor: float = Field(default=3.0, ge=0)


class CanaryAnalysis(_Block):
    """How one metric is judged."""

    direction: Direction = Direction.EITHER
    nan_strategy: NanStrategy = NanStrategy.REMOVE
    critical: bool = False
    must_have_data: bool = False
    muted: bool = False
    effect_size: Annotated[EffectSize, BeforeValidator(written_fields)] = EffectSize()
    outliers: Annotated[Outliers, BeforeValidator(written_fields)] = Outliers()


class AnalysisConfigurations(_OpenBlock):
    """Kayenta reads `canary` only."""

    canary: Annotated[CanaryAnalysis, BeforeValidator(written_fields)] = CanaryAnalysis()


class Metric(_OpenBlock):
    """One metric; its query and scope are left to whoever fetched the values."""

    name: str = Field(min_length=1)
    groups: tuple[str, ...] = ()
    analysis_configurations: Annotated[AnalysisConfigurations, BeforeValidator(written_fields)] = (
        Field(
            default=AnalysisConfigurations(),
            validation_alias=AliasChoices("analysisConfigurations", "extensions"),
        )
    )

    def config(self) -> MetricConfig:
        """The metric as the judge wants it."""
        canary = self.analysis_configurations.canary
        effect = canary.effect_size
        return MetricConfig(
            name=self.name,
            groups=self.groups,
            direction=canary.direction,
            nan_strategy=canary.nan_strategy,
            critical=canary.critical,
            must_have_data=canary.must_have_data,
            muted=canary.muted,
            measure=effect.measure,
            allowed_increase=effect.allowed_increase,
            allowed_decrease=effect.allowed_decrease,
            critical_increase=effect.critical_increase,
            critical_decrease=effect.critical_decrease,
            outliers=canary.outliers.strategy,
            outlier_factor=canary.outliers.outlier_factor,
        )


class ScoreThresholds(_Block):
    """From which scores on the canary passes, and is marginal."""

    pass_: float = Field(default=_PASS, alias="pass", ge=0, le=100)
    marginal: float = Field(default=_MARGINAL, ge=0, le=100)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.marginal > self.pass_:
            raise ValueError(f"marginal {self.marginal:g} must not exceed pass {self.pass_:g}")
        return self


class Classifier(_OpenBlock):
    """Weights of groups in percent, and thresholds."""

    group_weights: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    score_thresholds: Annotated[ScoreThresholds, BeforeValidator(written_fields)] = (
        ScoreThresholds()
    )

    @model_validator(mode="after")
    def _within_the_whole(self) -> Self:
        total = sum(self.group_weights.values())
        if total > 100 + 1e-6:
            raise ValueError(f"groupWeights sum to {total:g}, must sum to 100")
        return self


class JudgeSection(_OpenBlock):
    """Which judge the config was written for."""

    name: JudgeName = JudgeName.NETFLIX


class CanaryConfigFile(_OpenBlock):
    """A whole canary config as Spinnaker stores it."""

    name: str = ""
    judge: Annotated[JudgeSection, BeforeValidator(written_fields)] = JudgeSection()
    metrics: tuple[Annotated[Metric, BeforeValidator(written_fields)], ...] = Field(min_length=1)
    classifier: Annotated[Classifier, BeforeValidator(written_fields)] = Classifier()
