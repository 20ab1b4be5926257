"""What a dashboard needs to know of an experiment; made from the spec by flows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MeshName = Literal["istio", "linkerd", "linkerd-route", "linkerd-policy", "envoy"]
Reporter = Literal["destination", "source", "waypoint"]

# Grafana refuses a longer one.
_UID_LENGTH = 40
FLEET_UID = "split-verdict-fleet"
CONVERSIONS_UID = "split-verdict-conversions"
PIPELINE_UID = "split-verdict-pipeline"
TAG = "split-verdict"
EXPERIMENT_TAG = "split-verdict-experiment"


@dataclass(frozen=True, slots=True)
class VariantView:
    """One arm of the split: its name, and how the mesh names it.

    version: value of the version label; None if only the labels tell the variant.
    labels: further conditions on its series.
    """

    name: str
    version: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def deployment_version(self) -> str:
        """The label value under which exported metrics speak of the variant."""
        return self.version or self.name

    @property
    def legend(self) -> str:
        """Name and version, once if they are the same."""
        if self.version in (None, self.name):
            return self.name
        return f"{self.name} ({self.version})"


@dataclass(frozen=True, slots=True)
class MetricView:
    """One judged metric; is_share: its values are shares of requests or users, 0..1."""

    name: str
    is_share: bool


@dataclass(frozen=True, slots=True)
class ExperimentView:
    """One experiment as its dashboards show it.

    mesh: None if no requests are measured, only users.
    version_label: which of the mesh's version labels names the variants; None is the usual one.
    match: conditions on all series of the experiment.
    has_conversions: whether users' outcomes are measured.
    metrics: what is judged, in the order of the spec.
    success_objective: share of good requests, 0..1, below which the page turns red.
    latency_bound_ms: what a p99 is drawn against.
    pass_score, marginal_score: from where on a health score (0..100) is green, or amber.
    scrape_interval_s: no panel asks for finer steps.
    page_url, verdict_url: its report and its verdict's JSON; "" if nobody has said where they are.
    datasource: name and uid of the datasource to show at first; None is Grafana's default one.
    """

    name: str
    service: str
    namespace: str
    mesh: MeshName | None
    baseline: VariantView
    candidates: tuple[VariantView, ...]
    description: str = ""
    reporter: Reporter = "destination"
    version_label: str | None = None
    match: Mapping[str, str] = field(default_factory=dict)
    has_conversions: bool = False
    metrics: tuple[MetricView, ...] = ()
    success_objective: float | None = 0.95
    latency_bound_ms: float | None = 1000.0
    pass_score: float = 95.0
    marginal_score: float = 75.0
    scrape_interval_s: int = 15
    page_url: str = ""
    verdict_url: str = ""
    datasource: tuple[str, str] | None = None

    @property
    def variants(self) -> tuple[VariantView, ...]:
        """All arms, the baseline first."""
        return (self.baseline, *self.candidates)

    @property
    def uid(self) -> str:
        """The dashboard's stable id."""
        return uid_of(self.name)


def uid_of(experiment: str) -> str:
    """The stable id of an experiment's dashboard, from its name alone, at most 40 characters."""
    uid = f"sv-{experiment}"
    if len(uid) <= _UID_LENGTH:
        return uid
    digest = hashlib.sha256(experiment.encode()).hexdigest()[:8]
    return f"{uid[: _UID_LENGTH - 9]}-{digest}"
