"""The spec's `metrics` section: what is compared, and how much harm is acceptable."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, Tag

from analysis.plan import Role
from flows.spec.failures import Failures
from flows.spec.fields import Duration, Number, Percent, Share, Strict, Whole, parse_share
from flows.spec.measured import CounterRate, CounterRatio, Gauge
from flows.spec.metric_fields import MarginField, MarginSpec, MetricFields, ShareMarginField


class ErrorShare(MetricFields):
    """Share of answered requests that failed; abandoned and injected ones are left out.

    Failed are 5xx, failing gRPC statuses and response flags, or what the mesh classifies so.
    """

    kind: Literal["error_share"]
    margin: ShareMarginField = MarginSpec(absolute=0.005)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share that must not be exceeded, whatever the baseline does."
    )
    failures: Failures | None = Field(
        None, description="Which responses fail, if other ones than for the experiment."
    )


class OutcomeShare(MetricFields):
    """Share of all requests that ended in one way; injected faults are left out."""

    kind: Literal["outcome_share"]
    outcome: Literal["abandoned", "rejected", "client_error", "failure"] = Field(
        description="How the requests ended."
    )
    margin: ShareMarginField = MarginSpec(absolute=0.005)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share that must not be exceeded, whatever the baseline does."
    )


class SlowShare(MetricFields):
    """Share of requests slower than a bound; with `quantile`, that quantile is reported too."""

    kind: Literal["slow_share"]
    above: Duration = Field(description="A request is slow above this time.")
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The quantile that is reported beside the share, such as 0.99."
    )
    margin: ShareMarginField = MarginSpec(absolute=0.01)
    objective: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="The share of slow requests that must not be exceeded."
    )


def _percent_as(wanted: str) -> BeforeValidator:
    """Reads a text like 10% as a share."""

    def parse(value: object) -> object:
        found = parse_share(value)
        if isinstance(found, float):
            return found
        raise ValueError(f"must be a {wanted}")

    return BeforeValidator(parse, json_schema_input_type=float | Percent)


class Covariate(Strict):
    """What a user did before the first exposure; it takes noise off the metric (CUPED)."""

    before: Duration = Field(description="How long before the first exposure outcomes count.")
    outcome: str | None = Field(None, description="By default the metric's own outcome.")


class UserMetric(MetricFields):
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
    outcome: str = Field(description="The outcome's name in the rows.")
    per: str | None = Field(None, description="ratio: the outcome whose total is divided by.")
    day: Annotated[Whole, Field(ge=1, le=3650)] | None = Field(
        None, description="retention: the day after the first exposure, which is day 0."
    )
    quantile: Annotated[Share, Field(gt=0, lt=1)] | None = Field(
        None, description="quantile: which one, such as 0.9."
    )
    role: Role = Field(Role.GOAL, description="What follows from the metric.")
    better: Literal["higher", "lower"] = Field(
        "higher",
        description="Whether higher or lower values are better: lower for refunds or complaints.",
    )
    window: Duration = Field(
        timedelta(days=7), description="Outcomes count this long after a user's first exposure."
    )
    margin: MarginField = MarginSpec(relative=0.02)
    cap: (
        Annotated[
            Number,
            Field(gt=0.5, lt=1),
            _percent_as("percentile such as 99.5%"),
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
        _percent_as("percentage such as 10%"),
    ] = Field(
        0.1, description="Typical size of true relative effects, as a standard deviation: 10%."
    )

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share of users."""
        return self.kind in ("proportion", "retention")

    @property
    def counted(self) -> str:
        """What its values are of, as in a sentence; "" of a mean or a share of users."""
        if self.kind == "ratio":
            return f"{self.outcome} per {self.per}"
        return f"at quantile {self.quantile:g} of users" if self.quantile else ""

    @property
    def span(self) -> tuple[timedelta, timedelta]:
        """From when to when after the first exposure outcomes count."""
        if self.day is None:
            return timedelta(0), self.window
        return timedelta(days=self.day), timedelta(days=self.day + 1)


RequestMetric = ErrorShare | SlowShare | OutcomeShare

# By the name that pydantic's paths have for them.
METRIC_MODELS: dict[str, type[MetricFields]] = {
    "error_share": ErrorShare,
    "slow_share": SlowShare,
    "outcome_share": OutcomeShare,
    "user": UserMetric,
    "ratio of counters": CounterRatio,
    "rate": CounterRate,
    "gauge": Gauge,
}


def _kind_of(value: Any) -> str | None:
    """Which model a metric is of; a ratio of counters names some, one per user outcomes."""
    if isinstance(value, MetricFields):
        return next(name for name, model in METRIC_MODELS.items() if isinstance(value, model))
    if not isinstance(value, dict):
        return "error_share"  # which says that it must hold fields
    kind = value.get("kind")
    if kind == "ratio" and {"of", "bad", "good"} & set(value):
        return "ratio of counters"
    return "user" if kind in _USER_KINDS else kind if isinstance(kind, str) else None


_USER_KINDS = get_args(UserMetric.model_fields["kind"].annotation)
Metric = Annotated[
    Annotated[ErrorShare, Tag("error_share")]
    | Annotated[SlowShare, Tag("slow_share")]
    | Annotated[OutcomeShare, Tag("outcome_share")]
    | Annotated[UserMetric, Tag("user")]
    | Annotated[CounterRatio, Tag("ratio of counters")]
    | Annotated[CounterRate, Tag("rate")]
    | Annotated[Gauge, Tag("gauge")],
    Discriminator(_kind_of),
]


def default_metrics() -> dict[str, Any]:
    """The guide's validate_canary: success rate >= 0.95 and p99 <= 1000 ms."""
    return {
        "errors": ErrorShare(kind="error_share", objective=0.05, critical=True),
        "p99": SlowShare(
            kind="slow_share", above=timedelta(seconds=1), quantile=0.99, objective=0.01
        ),
    }
