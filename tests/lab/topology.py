"""What runs in the lab: services, their variants and pods, and the routes between them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

DEFAULT_ROUTE = "default"


@dataclass(frozen=True, slots=True)
class VariantSpec:
    """One version of a service: its pods and its share of the default route."""

    name: str
    version: str
    pods: int = 2
    weight: int = 0
    max_requests: int | None = None
    """Envoy's circuit breaker: more requests at once are answered 503 UO."""
    policy: str = "ROUND_ROBIN"
    """Envoy's lb_policy; the hashing ones hash x-user-id."""
    ejects_after: int | None = None
    """Consecutive 5xx after which outlier detection ejects a pod."""
    tokens: int | None = None
    """A token bucket of so many a second: more requests are answered 429 RL."""
    enforced: int = 100
    """Percent of those requests that are refused really."""
    stats_as: str = ""
    """What Envoy's statistics call its cluster, if not by its name."""


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """Faults that Envoy injects before any pod is reached, shares of the requests."""

    abort_share: float = 0.0
    abort_status: int = 503
    delay_share: float = 0.0
    delay_ms: int = 0


@dataclass(frozen=True, slots=True)
class RetrySpec:
    """How a route waits, tries again, and hedges."""

    retries: int = 0
    on: str = "5xx"
    timeout_s: float = 15.0
    per_try_s: float | None = None
    hedges: bool = False
    """A try that is late is not given up: the next one runs beside it."""


@dataclass(frozen=True, slots=True)
class RouteSpec:
    """A route tried before the default one: all its headers and its prefix must match."""

    name: str
    weights: Mapping[str, int]
    headers: Mapping[str, str] = field(default_factory=dict)
    prefix: str = "/"
    sticky: bool = False
    """The variant depends on x-user-id alone, as long as the weights stay."""
    percent: int = 100
    """Of the requests that match, so many, by chance, are of this route."""
    fault: FaultSpec | None = None
    retry: RetrySpec | None = None
    lua: str = ""
    """What runs before the route is chosen again."""
    is_limited: bool = True
    """Whether its variants' token buckets count here."""


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """A service behind the gateway, addressed by its name as the Host header."""

    name: str
    namespace: str
    variants: Sequence[VariantSpec]
    routes: Sequence[RouteSpec] = ()
    retries: int = 0
    timeout_s: float = 15.0
    sticky: bool = False
    fault: FaultSpec = FaultSpec()
    tags: tuple[str, ...] = ()
    """Labels that Telemetry adds to the gateway's Istio metrics (access_log.TAGS)."""
    own_services: bool = False
    """Whether clients call each variant by a Service of its own."""

    def variant(self, name: str) -> VariantSpec:
        """The variant of that name; raises KeyError."""
        return {variant.name: variant for variant in self.variants}[name]

    def all_routes(self) -> list[RouteSpec]:
        """The routes in the order in which Envoy tries them; the default one is the last."""
        weights = {variant.name: variant.weight for variant in self.variants}
        return [*self.routes, RouteSpec(DEFAULT_ROUTE, weights, sticky=self.sticky)]

    def with_weights(self, route: str, weights: Mapping[str, int]) -> ServiceSpec:
        """The same service with another split; raises ValueError unless it sums to 100."""
        if sum(weights.values()) != 100:
            raise ValueError(f"{self.name}: weights sum to {sum(weights.values())}, must be 100")
        unknown = set(weights) - {variant.name for variant in self.variants}
        if unknown:
            raise ValueError(f"{self.name} has no variant {', '.join(sorted(unknown))}")
        if route == DEFAULT_ROUTE:
            variants = [replace(v, weight=weights.get(v.name, 0)) for v in self.variants]
            return replace(self, variants=variants)
        if route not in {known.name for known in self.routes}:
            raise ValueError(f"{self.name} has no route {route}")
        routes = [replace(r, weights=weights) if r.name == route else r for r in self.routes]
        return replace(self, routes=routes)


@dataclass(frozen=True, slots=True)
class Destination:
    """What a metric label says about the pods behind one cluster."""

    service: str
    namespace: str
    variant: str
    version: str
    tags: tuple[str, ...] = ()
    own_service: bool = False

    @property
    def workload(self) -> str:
        """Name of the deployment, and of the Envoy cluster."""
        return workload(self.service, self.variant)

    @property
    def host(self) -> str:
        """The service's full name, as clients may write it."""
        return f"{self.service}.{self.namespace}.svc.cluster.local"


def workload(service: str, variant: str) -> str:
    """Name of a variant's deployment, which is also the name of its Envoy cluster."""
    return f"{service}-{variant}"


def destinations(services: Sequence[ServiceSpec]) -> list[Destination]:
    """One per variant."""
    return [
        Destination(
            service.name,
            service.namespace,
            variant.name,
            variant.version,
            service.tags,
            service.own_services,
        )
        for service in services
        for variant in service.variants
    ]


def write_destinations(path: Path, services: Sequence[ServiceSpec]) -> None:
    """Replaces the file from which the gateway's sidecar knows the clusters."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps([asdict(one) for one in destinations(services)]))
    partial.rename(path)


def read_destinations(path: Path) -> list[Destination]:
    """What write_destinations wrote."""
    found = json.loads(path.read_text())
    return [Destination(**{**one, "tags": tuple(one["tags"])}) for one in found]
