"""The experiment spec: what a person writes in one YAML file, and nothing else."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from analysis.plan import PodPolicy
from flows.spec.cohort_spec import CohortSpec
from flows.spec.delivery import Delivery
from flows.spec.engine import Engine
from flows.spec.failures import Failures
from flows.spec.fields import Name, Percents, Strict, as_text
from flows.spec.measured import SESSIONS, CounterRate, CounterText, MeasuredMetric
from flows.spec.metric_fields import MarginSpec
from flows.spec.metrics import (
    Covariate,
    ErrorShare,
    Metric,
    OutcomeShare,
    RequestMetric,
    SlowShare,
    UserMetric,
    default_metrics,
)
from flows.spec.plan_section import PlanSpec, Quality, StageSpec
from flows.spec.sources import (
    CounterSource,
    FileSource,
    PostgresSource,
    PrometheusSource,
    RecordingSource,
    Sources,
)
from flows.spec.strategies import STRATEGY, StrategyChoice, StrategyFields

# The sections' parts are known by this one name as well.
__all__ = [
    "CounterSource",
    "Covariate",
    "ErrorShare",
    "Experiment",
    "FileSource",
    "MarginSpec",
    "Mesh",
    "Metric",
    "OutcomeShare",
    "PlanSpec",
    "PostgresSource",
    "PrometheusSource",
    "Quality",
    "RecordingSource",
    "SlowShare",
    "Sources",
    "StageSpec",
    "UserMetric",
    "Variant",
]


_LEAST_DURATION = timedelta(minutes=30)


class Mesh(StrEnum):
    """Which metric families describe the requests."""

    ISTIO = "istio"
    LINKERD = "linkerd"
    LINKERD_ROUTE = "linkerd-route"
    LINKERD_POLICY = "linkerd-policy"
    ENVOY = "envoy"


class Variant(Strict):
    """One variant of the split and how the mesh names it."""

    baseline: bool = Field(False, description="The control; without a mark the first variant is.")
    version: str | None = Field(
        None, description="Value of the mesh's version label (Envoy: the cluster name)."
    )
    labels: dict[str, str] = Field(
        default_factory=dict, description="Further labels that pick out this variant's series."
    )
    service: str | None = Field(
        None,
        description="Its own Service, where each version has one (blue-green, Flagger, Argo): "
        "instead of the experiment's (mesh istio or linkerd-policy).",
    )
    value: Annotated[
        str | None,
        BeforeValidator(as_text, json_schema_input_type=str | int | float | bool | None),
    ] = Field(None, description="What rows of users call it, where that is not its name.")


def _named_by_service(variant: Variant, mesh: Mesh | None) -> Variant:
    """The variant with what a mesh's metrics call its Service; the same where they don't."""
    if mesh is Mesh.ISTIO:
        labels = {"destination_service_name": str(variant.service), **variant.labels}
        return variant.model_copy(update={"labels": labels})
    if mesh is Mesh.LINKERD_POLICY and variant.version is None:
        return variant.model_copy(update={"version": variant.service})
    return variant


class Experiment(Strict):
    """One traffic split under observation."""

    experiment: Name = Field(description="Its name, which is the file's name without `.yaml`.")
    description: str = Field("", description="What is compared, for people.")
    owner: str = Field("", description="The team or person responsible; it is only shown.")
    service: str = Field(description="Whose traffic is split, as the mesh calls it.")
    namespace: str = Field("default", description="The namespace of the service.")
    mesh: Mesh | None = Field(None, description="Needed for request metrics.")
    reporter: Literal["destination", "source", "waypoint"] = Field(
        "destination",
        description="Whose count is taken; Linkerd: destination is inbound, source outbound.",
    )
    match: dict[str, str] = Field(
        default_factory=dict, description="Further labels that every series must have."
    )
    variants: dict[Name, Variant] = Field(description="By name; the baseline is first or marked.")
    split: Percents | None = Field(
        None,
        description="Percent for each variant, 0 for none, where it doesn't change; sums to 100.",
    )
    cohorts: dict[Name, CohortSpec] = Field(
        default_factory=dict,
        description="The requests under each route rule, where rules have splits of their own.",
    )
    sessions: CounterText | None = Field(
        None,
        description="Where sessions are sticky: the counter of new ones of each variant. They are "
        "what the split divides, so they are checked, and not the requests.",
    )
    manifests: list[str] = Field(
        default_factory=list,
        description="Files that configure the split, relative to the spec: they are compared with "
        "it, and say the split where the spec doesn't.",
    )
    metrics: dict[Name, Metric] = Field(
        default_factory=default_metrics, description="By name; by default errors and p99."
    )
    strategy: StrategyChoice | None = Field(
        None,
        description="The traffic strategy that the variants differ in: it adds metrics (a "
        "metric of the same name overrides fields) and a check of what the strategy must do.",
    )
    failures: Failures | None = Field(
        None, description="Which responses fail; by default those that the table of outcomes has."
    )
    pods: PodPolicy = Field(
        PodPolicy.ASK,
        description="What follows from a single pod of a candidate that surely harms its users, "
        "where pods are known: `ask` holds for a person, `rollback` rolls back.",
    )
    plan: PlanSpec = Field(PlanSpec(), description="Its length, stages and looks.")
    quality: Quality = Field(Quality(), description="When the data is too bad to be judged.")
    sources: Sources = Field(description="Where requests and users are read from.")
    engine: Engine | None = Field(
        None, description="Where users' Parquet files are summed; by default on this machine."
    )
    after: list[Name] = Field(
        default_factory=list,
        description="Experiments that must have been promoted: until then this one holds.",
    )
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
    def request_metrics(self) -> dict[str, RequestMetric]:
        """The metrics that are counted in requests."""
        return {k: m for k, m in self.metrics.items() if isinstance(m, RequestMetric)}

    @property
    def user_metrics(self) -> dict[str, UserMetric]:
        """The metrics that are counted in users."""
        return {k: m for k, m in self.metrics.items() if isinstance(m, UserMetric)}

    @property
    def measured_metrics(self) -> dict[str, MeasuredMetric]:
        """The metrics of counters and queries that the spec names."""
        return {k: m for k, m in self.metrics.items() if isinstance(m, MeasuredMetric)}

    @property
    def pulled_series(self) -> dict[str, MeasuredMetric | StrategyFields]:
        """These, the counter of new sessions, and those of the strategy."""
        found: dict[str, MeasuredMetric | StrategyFields] = {**self.measured_metrics}
        if self.sessions is not None:
            found[SESSIONS] = CounterRate(
                kind="rate", counter=self.sessions, per="second", better="lower"
            )
        return found if self.strategy is None else {**found, STRATEGY: self.strategy}

    @property
    def metrics_server(self) -> PrometheusSource | RecordingSource | None:
        """Where the counters and queries of these are asked."""
        return self.sources.metrics or self.sources.requests

    @property
    def earliest_exposure(self) -> datetime | str:
        """From when on exposures count, as a parameter of SQL; -infinity if no start is said."""
        return self.plan.start or "-infinity"

    @property
    def segments(self) -> tuple[str, ...]:
        """The columns of the exposures by which users are split."""
        source = self.sources.exposures or self.sources.users
        return tuple(source.segments) if source else ()

    def span_of(self, metric: UserMetric) -> tuple[timedelta, timedelta]:
        """From when to when after the first exposure outcomes count.

        In a table or in sums without times all that is there counts, and is final.
        """
        if self.sources.is_timeless:
            return timedelta(0), timedelta(microseconds=1)
        return metric.span

    def strata_of(self, metric: UserMetric) -> tuple[str, ...]:
        """The segments that a metric is compared within, in the order of the spec; mostly none."""
        if isinstance(metric.stratify, bool):
            return self.segments if metric.stratify else ()
        return tuple(column for column in self.segments if column in metric.stratify)

    @property
    def stages(self) -> tuple[StageSpec, ...]:
        """The plan's stages; the guide's 5, 25, 50 % where the spec names neither.

        A configured split without stages is one stage, and so is an experiment with metrics per
        user only: nobody sends users to 5 % for five minutes. Weights are empty where no split is
        configured (blue-green: the test traffic decides).
        """
        if self.plan.stages:
            return tuple(self.plan.stages)
        split_or_length = self.plan.duration is not None or self.split is not None
        if split_or_length or not self.request_metrics:
            duration = self.plan.duration or self._usual_duration
            return (StageSpec(duration=duration, weights=self.split or {}),)
        candidate = self.candidates[0]
        return tuple(
            StageSpec(
                duration=timedelta(minutes=minutes),
                weights={self.baseline: 100 - percent, candidate: percent},
            )
            for percent, minutes in ((5, 5), (25, 10), (50, 15))
        )

    @property
    def _usual_duration(self) -> timedelta:
        """Of a plan that says none; users alone need their window, and as long to arrive."""
        if self.request_metrics:
            return _LEAST_DURATION
        return max(
            [_LEAST_DURATION, *(2 * self.span_of(one)[1] for one in self.user_metrics.values())]
        )

    @property
    def spec_hash(self) -> str:
        """Identity of what was asked: the same for two files that mean the same."""
        asked = self.model_dump_json(exclude={"owner", "engine"})
        return hashlib.sha256(asked.encode()).hexdigest()[:16]

    @model_validator(mode="after")
    def _own_services(self) -> Self:
        """A variant's own Service is one of the labels by which the mesh names it."""
        for name, variant in self.variants.items():
            if variant.service is not None:
                self.variants[name] = _named_by_service(variant, self.mesh)
        return self

    @field_validator("variants")
    @classmethod
    def _variants_with_one_baseline(cls, variants: dict[str, Variant]) -> dict[str, Variant]:
        called: dict[str, str] = {}
        for name, variant in variants.items():
            first = called.setdefault(name if variant.value is None else variant.value, name)
            if first != name:
                raise ValueError(f"must be told apart in data: {first} and {name} are called alike")
        if len(variants) < 2:
            raise ValueError("must name at least two variants, a baseline and a candidate")
        marked = [name for name, variant in variants.items() if variant.baseline]
        if len(marked) > 1:
            raise ValueError(f"must mark one baseline, not {len(marked)} ({', '.join(marked)})")
        return variants
