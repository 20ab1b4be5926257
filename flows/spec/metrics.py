"""The spec's `metrics` section: what is compared, and how much harm is acceptable."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from analysis.plan import Role
from flows.spec.failures import Failures
from flows.spec.fields import PERCENT_PATTERN, Duration, Number, Percent, Share, Strict, Whole


def _parse_margin(value: object) -> object:
    """A number is absolute; a text like 5% is relative to the baseline."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return {"relative": float(value[:-1]) / 100}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"absolute": value}
    if not isinstance(value, dict | MarginSpec):
        raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
    return value


class MarginSpec(Strict):
    """The largest harm that is acceptable: absolute, or relative to the baseline."""

    absolute: Annotated[Number, Field(ge=0)] | None = None
    relative: Annotated[Number, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
        return self


MarginField = Annotated[
    MarginSpec, BeforeValidator(_parse_margin, json_schema_input_type=MarginSpec | float | Percent)
]


class ShareMargin(MarginSpec):
    """The same of a share: no two shares are a whole apart, so 5 would allow any harm."""

    absolute: Annotated[Number, Field(ge=0, lt=1)] | None = None


def too_large_for_a_share(margin: MarginSpec) -> str | None:
    """What is wrong with a margin in points that was written as a number; None if nothing is."""
    written = margin.absolute
    if written is None or written < 1:
        return None
    points = written if written < 100 else 5
    unit = "point" if points == 1 else "points"
    return (
        f"that is {100 * written:g} points; say {points / 100:g} for {points:g} {unit}, or "
        f"{points:g}% of the baseline"
    )


def _no_larger_than_a_share(margin: MarginSpec) -> MarginSpec:
    problem = too_large_for_a_share(margin)
    if problem is not None:
        raise ValueError(problem)
    return margin


ShareMarginField = Annotated[
    MarginSpec,
    BeforeValidator(
        _parse_margin,
        json_schema_input_type=ShareMargin | Annotated[float, Field(ge=0, lt=1)] | Percent,
    ),
    AfterValidator(_no_larger_than_a_share),
]


class _Metric(Strict):
    role: Role = Role.GUARDRAIL
    weight: Annotated[Number, Field(ge=0.001, le=1000)] = Field(
        1.0, description="Weight in the score."
    )
    critical: bool = Field(False, description="If it fails, the score is 0.")
    group: str = Field(
        "all", description="A name for metrics that belong together; it changes no score."
    )


class ErrorShare(_Metric):
    """Share of answered requests that failed; clients that left and injected faults are no answer.

    Failed are 5xx, failing gRPC statuses and response flags, or what the mesh classifies so.
    """

    kind: Literal["error_share"]
    margin: ShareMarginField = MarginSpec(absolute=0.005)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share that must not be exceeded, whatever the baseline does."
    )
    failures: Failures | None = Field(
        None, description="What fails, where it is another thing than for the experiment."
    )


class OutcomeShare(_Metric):
    """Share of all requests that ended in one way; injected faults are left out."""

    kind: Literal["outcome_share"]
    outcome: Literal["abandoned", "rejected", "client_error", "failure"]
    margin: ShareMarginField = MarginSpec(absolute=0.005)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share that must not be exceeded, whatever the baseline does."
    )


class SlowShare(_Metric):
    """Share of requests slower than a bound; with `quantile`, that quantile is reported too."""

    kind: Literal["slow_share"]
    above: Duration
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = None
    margin: ShareMarginField = MarginSpec(absolute=0.01)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = None


def _parse_percent(value: object) -> object:
    """A text like 10% is a share."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return float(value[:-1]) / 100
    if isinstance(value, float):
        return value
    raise ValueError("must be a percentage such as 10%")


def _parse_percentile(value: object) -> object:
    """A text like 99.5% is a share."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return float(value[:-1]) / 100
    if isinstance(value, float):
        return value
    raise ValueError("must be a percentile such as 99.5%")


class Covariate(Strict):
    """What a user did before the first exposure; it takes noise off the metric (CUPED)."""

    before: Duration = Field(description="How long before the first exposure outcomes count.")
    outcome: str | None = Field(None, description="By default the metric's own outcome.")


class UserMetric(_Metric):
    """A metric per user.

    proportion: did it happen; count: how often; mean: how much in total; ratio: one total over
    another's, of all users; retention: did it happen on the given day after the first exposure;
    quantile: of the users' totals.
    """

    # A share's margin is less than 1; spec_user_rules.py says so in words.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"kind": {"enum": ["proportion", "retention"]}}},
            "then": {
                "properties": {
                    "margin": {
                        "exclusiveMaximum": 1,
                        "properties": {"absolute": {"exclusiveMaximum": 1}},
                    }
                }
            },
        }
    )

    kind: Literal["proportion", "count", "mean", "ratio", "retention", "quantile"]
    outcome: str
    per: str | None = Field(None, description="ratio: the outcome whose total is divided by.")
    day: Annotated[Whole, Field(ge=1)] | None = Field(
        None, description="retention: the day after the first exposure, which is day 0."
    )
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="quantile: which one, such as 0.9."
    )
    role: Role = Role.GOAL
    better: Literal["higher", "lower"] = "higher"
    window: Duration = Field(
        timedelta(days=7), description="Outcomes count this long after a user's first exposure."
    )
    margin: MarginField = MarginSpec(relative=0.02)
    cap: (
        Annotated[
            Number,
            Field(gt=0.5, lt=1),
            BeforeValidator(_parse_percentile, json_schema_input_type=float | Percent),
        ]
        | None
    ) = Field(None, description="Totals above this percentile of all users count as that much.")
    adjust: list[Covariate] = Field(
        default_factory=list, description="What is known of a user from before the exposure."
    )
    stratify: bool | list[str] = Field(
        default=False,
        description="Compare the variants within segments and weigh these alike (post-"
        "stratification): by all columns of sources.exposures.segments, or by those named.",
    )
    prior: Annotated[
        Number,
        Field(ge=1e-6, le=1e6),
        BeforeValidator(_parse_percent, json_schema_input_type=float | Percent),
    ] = Field(
        0.1, description="Typical size of true relative effects, as a standard deviation: 10%."
    )

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of users."""
        return self.kind in ("proportion", "retention")

    @property
    def span(self) -> tuple[timedelta, timedelta]:
        """From when to when after the first exposure outcomes count."""
        if self.day is None:
            return timedelta(0), self.window
        return timedelta(days=self.day), timedelta(days=self.day + 1)


RequestMetric = ErrorShare | SlowShare | OutcomeShare
Metric = Annotated[RequestMetric | UserMetric, Field(discriminator="kind")]


def default_metrics() -> dict[str, Any]:
    """The guide's validate_canary: success rate >= 0.95 and p99 <= 1000 ms."""
    return {
        "errors": ErrorShare(kind="error_share", objective=0.05, critical=True),
        "p99": SlowShare(
            kind="slow_share", above=timedelta(seconds=1), quantile=0.99, objective=0.01
        ),
    }
