"""The experiment spec: what a person writes in one YAML file, and nothing else."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from flows.spec_delivery import Delivery
from flows.spec_fields import URL_PATTERN, Duration, Instant, Name, Strict


class Mesh(StrEnum):
    """Which metric families describe the requests."""

    ISTIO = "istio"
    LINKERD = "linkerd"
    LINKERD_ROUTE = "linkerd-route"
    LINKERD_POLICY = "linkerd-policy"
    ENVOY = "envoy"


class Variant(Strict):
    """One arm of the split and how the mesh names it."""

    baseline: bool = Field(False, description="The control; without a mark the first variant is.")
    version: str | None = Field(
        None, description="Value of the mesh's version label (Envoy: the cluster name)."
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Further labels that pick out this variant's series."
    )


class Role(StrEnum):
    """A guardrail must not get worse by more than its margin; a goal should improve."""

    GUARDRAIL = "guardrail"
    GOAL = "goal"


def _parse_margin(value: object) -> object:
    """A number is absolute; a text like 5% is relative to the baseline."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value):
        return {"relative": float(value[:-1]) / 100}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"absolute": value}
    if not isinstance(value, dict | Margin):
        raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
    return value


class Margin(Strict):
    """The largest harm that is acceptable: absolute, or relative to the baseline."""

    absolute: Annotated[float, Field(ge=0)] | None = None
    relative: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.absolute is None) == (self.relative is None):
            raise ValueError("must be a number (absolute, such as 0.005) or a percentage (5%)")
        return self


MarginField = Annotated[
    Margin, BeforeValidator(_parse_margin, json_schema_input_type=Margin | float | str)
]


class _Metric(Strict):
    role: Role = Role.GUARDRAIL
    weight: Annotated[float, Field(gt=0)] = Field(1.0, description="Weight in the score.")
    critical: bool = Field(False, description="If it fails, the score is 0.")
    group: str = Field("all", description="Metrics of a group are scored together.")


class ErrorShare(_Metric):
    """Share of requests that failed: 5xx, failed gRPC status, or classified as failure."""

    kind: Literal["error_share"]
    margin: MarginField = Margin(absolute=0.005)
    objective: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="The share that must not be exceeded, whatever the baseline does."
    )


class SlowShare(_Metric):
    """Share of requests slower than a bound; with `quantile`, that quantile is reported too."""

    kind: Literal["slow_share"]
    above: Duration
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    margin: MarginField = Margin(absolute=0.01)
    objective: Annotated[float, Field(gt=0, lt=1)] | None = None


def _parse_percent(value: object) -> object:
    """A text like 10% is a share."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value):
        return float(value[:-1]) / 100
    if isinstance(value, float):
        return value
    raise ValueError("must be a percentage such as 10%")


def _parse_percentile(value: object) -> object:
    """A text like 99.5% is a share."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%", value):
        return float(value[:-1]) / 100
    if isinstance(value, float):
        return value
    raise ValueError("must be a percentile such as 99.5%")


class Covariate(Strict):
    """What a user did before the first exposure; it takes noise off the metric (CUPED)."""

    before: Duration = Field(description="How long before the first exposure outcomes count.")
    outcome: str | None = Field(None, description="By default the metric's own outcome.")


class UnitMetric(_Metric):
    """A metric per user.

    proportion: did it happen; count: how often; mean: how much in total; ratio: one total over
    another's, of all users; retention: did it happen on the given day after the first exposure;
    quantile: of the users' totals.
    """

    kind: Literal["proportion", "count", "mean", "ratio", "retention", "quantile"]
    outcome: str
    per: str | None = Field(None, description="ratio: the outcome whose total is divided by.")
    day: Annotated[int, Field(ge=1)] | None = Field(
        None, description="retention: the day after the first exposure, which is day 0."
    )
    quantile: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None, description="quantile: which one, such as 0.9."
    )
    role: Role = Role.GOAL
    better: Literal["higher", "lower"] = "higher"
    window: Duration = Field(
        timedelta(days=7), description="Outcomes count this long after a user's first exposure."
    )
    margin: MarginField = Margin(relative=0.02)
    cap: (
        Annotated[
            float,
            Field(gt=0.5, lt=1),
            BeforeValidator(_parse_percentile, json_schema_input_type=str),
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
    prior: Annotated[float, Field(ge=1e-6, le=1e6), BeforeValidator(_parse_percent)] = Field(
        0.1,
        description="Typical size of true relative effects, as a standard deviation: 10%.",
        json_schema_extra={"type": "string"},
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


Metric = Annotated[ErrorShare | SlowShare | UnitMetric, Field(discriminator="kind")]


def _default_metrics() -> dict[str, Any]:
    """The guide's validate_canary: success rate >= 0.95 and p99 <= 1000 ms."""
    return {
        "errors": ErrorShare(kind="error_share", objective=0.05, critical=True),
        "p99": SlowShare(
            kind="slow_share", above=timedelta(seconds=1), quantile=0.99, objective=0.01
        ),
    }


class Stage(Strict):
    """A stretch of the plan with one configured split."""

    duration: Duration = Field(description="Length; when delivered: the shortest.")
    at_most: Duration | None = Field(
        None, description="When delivered: the longest; by default twice the duration."
    )
    weights: dict[str, Annotated[float, Field(ge=0, le=100)]] = Field(
        description="Percent of the traffic for each variant; must sum to 100."
    )
    approval: bool = Field(
        False, description="When delivered: a person must approve before the stage begins."
    )

    @property
    def longest(self) -> timedelta:
        """How long the stage may last before a person is asked."""
        return self.at_most or 2 * self.duration


class Plan(Strict):
    """When the experiment runs, how often one looks, and what risk of a false alarm is taken."""

    start: Instant | None = Field(
        None, description="Without it, the first bucket in which a candidate has requests."
    )
    duration: Duration | None = Field(None, description="Length, when the split doesn't change.")
    stages: list[Stage] = Field(default_factory=list)
    look_every: Duration = timedelta(minutes=1)
    bucket: Duration = Field(
        timedelta(seconds=15), description="The unit of time; not shorter than a scrape interval."
    )
    alpha: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.05, description="Error rate of the whole experiment, over all looks and metrics."
    )
    users: Annotated[int, Field(ge=1)] | None = Field(
        None,
        description="Users expected in all variants over the whole plan: where the bounds that "
        "hold at every look are tightest. Without it, by the rate of arrivals at the first look.",
    )
    minimum_duration: Duration = Field(timedelta(minutes=5), description="No promote before.")
    minimum_requests: Annotated[int, Field(ge=1)] = Field(
        100, description="No promote before each variant has so many requests (or users)."
    )


class Quality(Strict):
    """When the data is not good enough for any verdict but `invalid`."""

    split_tolerance: Annotated[float, Field(gt=0)] = Field(
        0.25, description="How far the odds of the split may be off, relatively: requests."
    )
    user_split_tolerance: Annotated[float, Field(gt=0)] = Field(
        0.01, description="How far the odds of the split may be off, relatively: users."
    )
    lost_exposure: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="Largest share of requests that may have gone unseen."
    )
    mixed_users: Annotated[float, Field(gt=0, le=1)] = Field(
        0.01, description="Largest share of users that may have been seen in two variants."
    )
    stale_after: Duration = Field(
        timedelta(minutes=5), description="Data that ends this long before the look is stale."
    )


class PrometheusSource(Strict):
    """A Prometheus (or compatible) server."""

    url: str = Field(pattern=URL_PATTERN)
    scrape_interval: Duration = timedelta(seconds=15)
    token_env: str | None = Field(None, description="Environment variable with a bearer token.")
    ca_file: str | None = None


class RecordingSource(Strict):
    """A recording of raw samples (Parquet, one row per series)."""

    recording: str
    scrape_interval: Duration = timedelta(seconds=15)


_SEGMENTS: Any = Field(
    default_factory=list, description="Exposures: columns to split users by, such as country."
)


class FileSource(Strict):
    """Parquet, CSV or JSON lines files; a glob, relative to the spec."""

    files: str
    columns: dict[Literal["user", "variant", "outcome", "value", "at", "experiment"], str] = Field(
        default_factory=dict, description="Column names, where they differ from the defaults."
    )
    segments: list[str] = _SEGMENTS


class PostgresSource(Strict):
    """A query on a PostgreSQL server."""

    dsn_env: str = Field(description="Environment variable with the connection URI.")
    query: str
    columns: dict[Literal["user", "variant", "outcome", "value", "at", "experiment"], str] = Field(
        default_factory=dict
    )
    segments: list[str] = _SEGMENTS


class CounterSource(Strict):
    """Counters with the labels experiment, variant and outcome."""

    prometheus: PrometheusSource
    metric: str
    exposed: str = Field("exposed", description="Value of `outcome` that counts exposures.")


def _requests_source(value: object) -> object:
    """The short forms `prometheus: URL` and `recording: PATH` stand for their one field."""
    if isinstance(value, dict) and isinstance(value.get("prometheus"), str):
        rest = {key: item for key, item in value.items() if key != "prometheus"}
        return {"url": value["prometheus"], **rest}
    return value


def _kind_of_requests(value: Any) -> str:
    return "recording" if _has(value, "recording") else "prometheus"


def _kind_of_rows(value: Any) -> str:
    return "postgres" if _has(value, "query") or _has(value, "dsn_env") else "files"


def _has(value: Any, field: str) -> bool:
    return field in value if isinstance(value, dict) else hasattr(value, field)


RequestsField = Annotated[
    Annotated[PrometheusSource, Tag("prometheus")] | Annotated[RecordingSource, Tag("recording")],
    Discriminator(_kind_of_requests),
    BeforeValidator(_requests_source),
]
RowsField = Annotated[
    Annotated[FileSource, Tag("files")] | Annotated[PostgresSource, Tag("postgres")],
    Discriminator(_kind_of_rows),
]


class Sources(Strict):
    """Where requests, exposures and outcomes come from."""

    requests: RequestsField | None = None
    exposures: RowsField | None = None
    outcomes: RowsField | None = None
    conversions: CounterSource | None = None


class Experiment(Strict):
    """One traffic split under observation."""

    experiment: Name
    description: str = ""
    service: str
    namespace: str = "default"
    mesh: Mesh | None = Field(None, description="Needed for request metrics.")
    reporter: Literal["destination", "source", "waypoint"] = Field(
        "destination",
        description="Whose count is taken; Linkerd: destination is inbound, source outbound.",
    )
    match: dict[str, str] = Field(
        default_factory=dict, description="Further labels that every series must have."
    )
    variants: dict[Name, Variant]
    split: dict[str, Annotated[float, Field(ge=0, le=100)]] | None = Field(
        None, description="Percent of the traffic for each variant, when it doesn't change."
    )
    manifests: list[str] = Field(
        default_factory=list,
        description="Files that configure the split, relative to the spec: they are compared with "
        "it, and say the split where the spec doesn't.",
    )
    metrics: dict[Name, Metric] = Field(default_factory=_default_metrics)
    plan: Plan = Plan()
    quality: Quality = Quality()
    sources: Sources
    delivery: Delivery | None = Field(
        None, description="How `verdict deliver` shifts the traffic from stage to stage."
    )

    @property
    def baseline(self) -> str:
        """The name of the control."""
        marked = [name for name, variant in self.variants.items() if variant.baseline]
        return marked[0] if marked else next(iter(self.variants))

    @property
    def candidates(self) -> tuple[str, ...]:
        """The names of the other variants, in the order of the spec."""
        return tuple(name for name in self.variants if name != self.baseline)

    @property
    def request_metrics(self) -> dict[str, ErrorShare | SlowShare]:
        """The metrics that are counted in requests."""
        return {k: m for k, m in self.metrics.items() if isinstance(m, ErrorShare | SlowShare)}

    @property
    def unit_metrics(self) -> dict[str, UnitMetric]:
        """The metrics that are counted in users."""
        return {k: m for k, m in self.metrics.items() if isinstance(m, UnitMetric)}

    @property
    def segments(self) -> tuple[str, ...]:
        """The columns of the exposures by which users are split."""
        return tuple(self.sources.exposures.segments) if self.sources.exposures else ()

    def strata_of(self, metric: UnitMetric) -> tuple[str, ...]:
        """The segments that a metric is compared within, in the order of the spec; mostly none."""
        if isinstance(metric.stratify, bool):
            return self.segments if metric.stratify else ()
        return tuple(column for column in self.segments if column in metric.stratify)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The plan's stages; the guide's 5, 25, 50 % where the spec names neither.

        A configured split without stages is one stage. Weights are empty where no split is
        configured (blue-green: the test traffic decides).
        """
        if self.plan.stages:
            return tuple(self.plan.stages)
        if self.plan.duration is not None or self.split is not None:
            duration = self.plan.duration or timedelta(minutes=30)
            return (Stage(duration=duration, weights=self.split or {}),)
        candidate = self.candidates[0]
        return tuple(
            Stage(
                duration=timedelta(minutes=minutes),
                weights={self.baseline: 100 - percent, candidate: percent},
            )
            for percent, minutes in ((5, 5), (25, 10), (50, 15))
        )

    @property
    def spec_hash(self) -> str:
        """Identity of what was asked: the same for two files that mean the same."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @field_validator("variants")
    @classmethod
    def _two_variants_one_baseline(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        if len(variants) < 2:
            raise ValueError("must name at least two variants, a baseline and a candidate")
        marked = [name for name, variant in variants.items() if variant.baseline]
        if len(marked) > 1:
            raise ValueError(f"must mark one baseline, not {len(marked)} ({', '.join(marked)})")
        return variants
