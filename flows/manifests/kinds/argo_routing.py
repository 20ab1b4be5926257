"""What a Rollout's trafficRouting drives, and which service its clients call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flows.manifests.kinds import http_route, traffic_split, virtual_service
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import Driven, Split
from flows.manifests.values import fields_of, items_of, text_of

_READERS = {
    "VirtualService": virtual_service.read_splits,
    "TrafficSplit": traffic_split.read_splits,
    "HTTPRoute": http_route.read_splits,
    "GRPCRoute": http_route.read_splits,
}


@dataclass(frozen=True, slots=True)
class Apex:
    """The service that clients call; is_known: whether the manifests say so.

    route: the split whose weights the rollout sets, where it is in the files.
    """

    service: str
    namespace: str
    is_known: bool = True
    route: Split | None = None


def find_apex(manifest: Manifest, around: ManifestSet, canary: dict[str, Any]) -> Apex:
    """The root service, the one that the VirtualServices route, or stable's."""
    routing = fields_of(canary.get("trafficRouting"))
    root = text_of(fields_of(routing.get("smi")).get("rootService")) or text_of(
        fields_of(routing.get("alb")).get("rootService")
    )
    if root:
        return Apex(root, manifest.namespace)
    routes = [
        route
        for one in driven_by(manifest, routing)
        if (found := around.named(one.kind, one.name, one.namespace))
        for route in _route_splits(found, around, one.routes)
        if len(route.backends) > 1
    ]
    known = [route for route in routes if route.is_service_known]
    for route in known or routes:
        return Apex(route.service, route.namespace, route.is_service_known, route)
    stable = text_of(canary.get("stableService"))
    return Apex(stable or manifest.name, manifest.namespace, "istio" not in routing)


def _route_splits(found: Manifest, around: ManifestSet, names: tuple[str, ...]) -> Iterator[Split]:
    """The splits of an object that the rollout drives; of the named routes where some are."""
    splits = list(_READERS[found.kind](found, around))
    named = [s for s in splits if s.origin.route.partition("(")[2].removesuffix(")") in names]
    yield from named or splits


def driven_by(manifest: Manifest, routing: dict[str, Any]) -> Iterator[Driven]:
    """The objects whose weights the rollout sets: a name may carry its namespace after a dot."""
    istio = fields_of(routing.get("istio"))
    for item in (istio.get("virtualService"), *items_of(istio.get("virtualServices"))):
        name, _, rest = (text_of(fields_of(item).get("name")) or "").partition(".")
        if name:
            routes = tuple(str(one) for one in items_of(fields_of(item).get("routes")))
            where = rest.partition(".")[0] or manifest.namespace
            yield Driven("VirtualService", where, name, routes)
    split = text_of(fields_of(routing.get("smi")).get("trafficSplitName"))
    if split or "smi" in routing:
        yield Driven("TrafficSplit", manifest.namespace, split or manifest.name)
    for plugin in map(fields_of, fields_of(routing.get("plugins")).values()):
        where = text_of(plugin.get("namespace")) or manifest.namespace
        for kind, field in (("HTTPRoute", "httpRoute"), ("GRPCRoute", "grpcRoute")):
            listed = map(fields_of, items_of(plugin.get(f"{field}s")))
            names = [text_of(plugin.get(field)), *(text_of(one.get("name")) for one in listed)]
            yield from (Driven(kind, where, name) for name in names if name)
