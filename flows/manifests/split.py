"""What every kind of manifest is read into: who shares the traffic, how, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any

from flows.manifests.values import quantity_of
from flows.spec.experiment import Mesh


class Severity(StrEnum):
    """How sure it is that a finding is a mistake."""

    WRONG = "wrong"
    """The cluster refuses or ignores the field, or it can't mean what it says."""
    DOUBT = "doubt"
    """It is allowed, but hardly ever meant, or it changes what can be compared."""


@dataclass(frozen=True, slots=True, order=True)
class ManifestFinding:
    """What is wrong at a field of a manifest, and what would be right."""

    file: str
    line: int
    field: str
    message: str
    manifest: str
    severity: Severity = Severity.WRONG

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {self.manifest}: {where}{self.message}"


@dataclass(frozen=True, slots=True)
class Origin:
    """The manifest, and the route in it, that configures something."""

    file: str
    line: int
    kind: str
    namespace: str
    name: str
    route: str = ""

    def __str__(self) -> str:
        route = f", {self.route}" if self.route else ""
        return f"{self.kind} {self.namespace}/{self.name}{route}"


@dataclass(frozen=True, slots=True)
class Backend:
    """One receiver of traffic, with everything by which a mesh may name it.

    percent: its share of the route's requests; None where no split is configured.
    labels: labels of its pods, as far as the manifests say (subset, or selector of its Service).
    deployment: the workload behind it, where the manifests say.
    cluster: what an Envoy calls it, where that is certain.
    """

    name: str
    service: str
    namespace: str
    percent: float | None = None
    subset: str | None = None
    labels: tuple[tuple[str, str], ...] = ()
    deployment: str | None = None
    cluster: str | None = None

    @property
    def version(self) -> str | None:
        """The pods' version label, which Istio takes as the version."""
        labels = dict(self.labels)
        names = ("version", "app.kubernetes.io/version", "service.istio.io/canonical-revision")
        return next((labels[name] for name in names if labels.get(name)), None)


@dataclass(frozen=True, slots=True)
class MatchedRequests:
    """Whose requests a route takes: any of the alternatives, each with all of its conditions."""

    alternatives: tuple[tuple[str, ...], ...] = ()

    @property
    def is_everyone(self) -> bool:
        """Whether no rule narrows the requests."""
        return not self.alternatives or any(not conditions for conditions in self.alternatives)

    def __str__(self) -> str:
        if self.is_everyone:
            return "all requests"
        return " or ".join(" and ".join(conditions) for conditions in self.alternatives)


STICKY = (
    "CHECK: sessions stay with their version, so shares of requests drift from their weights: name "
    "a counter of new sessions (`sessions`, docs/reference/metrics.md)"
)


@dataclass(frozen=True, slots=True)
class Mirror:
    """A copy of the requests; nobody sees its answers."""

    target: Backend
    percent: float


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that the mesh injects: `what` is "delay 5s" or "abort 503"."""

    what: str
    percent: float


@dataclass(frozen=True, slots=True)
class RolloutStage:
    """A stretch of a rollout. duration_s: None where a person or an analysis ends it."""

    candidate_percent: float
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Driven:
    """An object whose weights another one sets; routes: those of it, empty for all."""

    kind: str
    namespace: str
    name: str
    routes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """One configured split of the requests to one service.

    backends: who receives requests; kinds that know the baseline put it first (knows_baseline).
    mesh: which metrics count the requests, as far as the kind tells.
    stages: of kinds that shift the traffic themselves.
    is_service_known: whether the manifests say which service clients call.
    drives: of kinds that shift the traffic themselves, the objects that they do it by.
    one_cluster: why the mesh's metrics don't tell the backends apart; empty where they do.
    notes: what a person must know to read the numbers.
    """

    origin: Origin
    mesh: Mesh | None
    service: str
    namespace: str
    backends: tuple[Backend, ...]
    cohort: MatchedRequests = MatchedRequests()
    mirrors: tuple[Mirror, ...] = ()
    faults: tuple[Fault, ...] = ()
    stages: tuple[RolloutStage, ...] = ()
    knows_baseline: bool = False
    is_service_known: bool = True
    drives: tuple[Driven, ...] = ()
    one_cluster: str = ""
    notes: tuple[str, ...] = ()

    @property
    def own_copies(self) -> tuple[Mirror, ...]:
        """Copies of its requests that one of its own receivers gets beside requests."""
        receives = {
            (one.service, one.namespace, one.subset)
            for one in self.backends
            if one.percent or self.stages
        }
        return tuple(
            one
            for one in self.mirrors
            if (one.target.service, one.target.namespace, one.target.subset) in receives
        )

    @property
    def percents(self) -> dict[str, float]:
        """The configured percent of each backend by name; empty where none is configured."""
        shares = {backend.name: backend.percent for backend in self.backends}
        return {name: share for name, share in shares.items() if share is not None}


def percents_of(targets: Sequence[Mapping[str, Any]], *, missing: int = 0) -> list[float] | None:
    """The weights in percent of their sum; None if nobody gets anything, or one can't be read.

    missing: the weight of a target that has none.
    """
    weights: list[Fraction] = []
    for written in (target.get("weight") for target in targets):
        weight = Fraction(missing) if written is None else quantity_of(written)
        if weight is None:
            return None
        weights.append(weight)
    total = sum(weights, start=Fraction(0))
    return [float(100 * weight / total) for weight in weights] if total > 0 else None
