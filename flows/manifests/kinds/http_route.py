"""Gateway API's HTTPRoute and GRPCRoute (Linkerd's too): weights of each rule's backendRefs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import Enum
from fractions import Fraction
from typing import Any

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.objects import Manifest, ManifestSet, busiest, tell_apart
from flows.manifests.split import (
    STICKY,
    Backend,
    MatchedRequests,
    Mirror,
    Severity,
    Split,
    percents_of,
)
from flows.manifests.values import fields_of, items_of, number_of, quantity_of, text_of
from flows.spec.experiment import Mesh

_LINKERD = "policy.linkerd.io"
_WORDS = {
    "PathPrefix": "starts with",
    "RegularExpression": "matches",
    "Exact": "is",
}


def read_splits(manifest: Manifest, around: ManifestSet) -> Iterator[Split]:
    """One split for each rule with backends."""
    for index, item in enumerate(items_of(manifest.spec.get("rules"))):
        rule = fields_of(item)
        if items_of(rule.get("backendRefs")):
            yield _read_rule(manifest, around, rule, index)


def _read_rule(manifest: Manifest, around: ManifestSet, rule: dict[str, Any], index: int) -> Split:
    references = [fields_of(item) for item in items_of(rule.get("backendRefs"))]
    shares = percents_of(references, missing=1)
    parent = _parent_service(manifest)
    gateway = None if parent else _gateway(manifest, around)
    cluster = _gateway_cluster(manifest, index) if gateway is _Gateway.ENVOY_GATEWAY else ""
    # Envoy Gateway makes a cluster for each backend if any of them has a filter.
    has_own = any(items_of(reference.get("filters")) for reference in references)
    backends = [
        replace(
            _backend(manifest, around, item, shares[place] if shares else None),
            cluster=f"{cluster}/backend/{place}" if cluster and has_own else None,
        )
        for place, item in enumerate(references)
    ]
    service, namespace = parent or busiest(backends)
    name = text_of(rule.get("name"))
    return Split(
        origin=manifest.origin(
            f"rules[{index}]" + (f" ({name})" if name else ""), ("spec", "rules", index)
        ),
        mesh=_mesh(manifest, around, gateway, has_service_parent=parent is not None),
        service=service,
        namespace=namespace,
        is_service_known=parent is not None,
        backends=tell_apart(backends),
        cohort=MatchedRequests(
            tuple(map(_conditions, map(fields_of, items_of(rule.get("matches")))))
        ),
        mirrors=tuple(_mirrors(manifest, around, rule, shares)),
        one_cluster=_shared(cluster) if cluster and not has_own and len(references) > 1 else "",
        notes=tuple(_notes(rule, has_service_parent=parent is not None)),
    )


def _notes(rule: dict[str, Any], *, has_service_parent: bool) -> Iterator[str]:
    if not has_service_parent:
        yield "the route hangs on a Gateway: requests inside the mesh pass by"
    if rule.get("sessionPersistence"):
        yield STICKY


def _gateway_cluster(manifest: Manifest, index: int) -> str:
    """Envoy Gateway's name for the cluster of a rule."""
    return f"{manifest.kind.lower()}/{manifest.namespace}/{manifest.name}/rule/{index}"


def _shared(cluster: str) -> str:
    return (
        f"Envoy Gateway sends all backends of a rule through one cluster, {cluster}: the versions "
        "can't be told apart in its metrics. Give one backendRef a filter (a "
        "ResponseHeaderModifier will do), then each has a cluster of its own"
    )


def _weight(reference: dict[str, Any]) -> Fraction:
    """A backend without a weight has 1; one whose weight is none gets nothing."""
    weight = reference.get("weight")
    return Fraction(1) if weight is None else quantity_of(weight) or Fraction(0)


def _backend(
    manifest: Manifest, around: ManifestSet, reference: dict[str, Any], percent: float | None
) -> Backend:
    namespace = text_of(reference.get("namespace")) or manifest.namespace
    return around.backend(text_of(reference.get("name")) or "(no name)", namespace, percent=percent)


def _parent_service(manifest: Manifest) -> tuple[str, str] | None:
    """The Service that the route hangs on, which makes it a route of the mesh."""
    for parent in map(fields_of, items_of(manifest.spec.get("parentRefs"))):
        name = text_of(parent.get("name"))
        if parent.get("kind") == "Service" and name:
            return name, text_of(parent.get("namespace")) or manifest.namespace
    return None


class _Gateway(Enum):
    """Which program a Gateway is, as far as the difference matters."""

    ISTIO = "istio"
    ENVOY_GATEWAY = "gateway.envoyproxy.io"


_CLASSES = {
    "eg": _Gateway.ENVOY_GATEWAY,
    "envoy": _Gateway.ENVOY_GATEWAY,
    "envoy-gateway": _Gateway.ENVOY_GATEWAY,
    "envoy-gateway-class": _Gateway.ENVOY_GATEWAY,
}


def _gateway(manifest: Manifest, around: ManifestSet) -> _Gateway | None:
    """The Gateway that the route hangs on, by the controller of its class or the class's name."""
    for parent in map(fields_of, items_of(manifest.spec.get("parentRefs"))):
        where = text_of(parent.get("namespace")) or manifest.namespace
        gateway = around.named("Gateway", str(parent.get("name")), where)
        class_ = text_of(gateway.spec.get("gatewayClassName")) if gateway else None
        found = around.named("GatewayClass", class_, where) if class_ else None
        controller = text_of(found.spec.get("controllerName")) if found else None
        if (controller or "").startswith(_Gateway.ENVOY_GATEWAY.value):
            return _Gateway.ENVOY_GATEWAY
        if "istio" in (controller or class_ or ""):
            return _Gateway.ISTIO
        if controller is None and class_ in _CLASSES:
            return _CLASSES[class_]
    return None


def _mesh(
    manifest: Manifest, around: ManifestSet, gateway: _Gateway | None, *, has_service_parent: bool
) -> Mesh | None:
    """Linkerd takes routes on Services, Gateways tell by their class; None if nothing tells."""
    if manifest.group == _LINKERD:
        return Mesh.LINKERD_POLICY
    if has_service_parent:
        istio = around.of_kind("VirtualService") or around.of_kind("DestinationRule")
        return Mesh.ISTIO if istio else Mesh.LINKERD_POLICY
    if gateway is None:
        return None
    return Mesh.ISTIO if gateway is _Gateway.ISTIO else Mesh.ENVOY


def _conditions(match: dict[str, Any]) -> tuple[str, ...]:
    """One alternative in words; the prefix / is every path."""
    found = []
    path = fields_of(match.get("path"))
    path_kind, value = path.get("type", "PathPrefix"), path.get("value", "/")
    if path and (path_kind, value) != ("PathPrefix", "/"):
        found.append(f"uri {_word(path_kind)} {value!r}")
    for field, word in (("headers", "header"), ("queryParams", "query parameter")):
        for item in map(fields_of, items_of(match.get(field))):
            how = _word(item.get("type", "Exact"))
            found.append(f"{word} {item.get('name')} {how} {item.get('value')!r}")
    method = match.get("method")
    if isinstance(method, dict):
        called = [str(method[key]) for key in ("service", "method") if key in method]
        found.append(f"gRPC call {_word(method.get('type', 'Exact'))} {'/'.join(called)}")
    elif method is not None:
        found.append(f"method is {method}")
    return tuple(found)


def _word(kind: Any) -> str:
    return _WORDS.get(str(kind), str(kind))


def _mirrors(
    manifest: Manifest, around: ManifestSet, rule: dict[str, Any], shares: list[float] | None
) -> Iterator[Mirror]:
    """The copies of all requests of a rule, and of those of one backend of it."""
    yield from _copies(manifest, around, rule, 1.0)
    for place, reference in enumerate(map(fields_of, items_of(rule.get("backendRefs")))):
        of_all = shares[place] / 100 if shares else 0.0
        yield from _copies(manifest, around, reference, of_all)


def _copies(
    manifest: Manifest, around: ManifestSet, owner: dict[str, Any], of_all: float
) -> Iterator[Mirror]:
    for item in map(fields_of, items_of(owner.get("filters"))):
        mirror = fields_of(item.get("requestMirror"))
        if not mirror:
            continue
        target = _backend(manifest, around, fields_of(mirror.get("backendRef")), None)
        fraction = fields_of(mirror.get("fraction"))
        part, whole = number_of(fraction.get("numerator")), number_of(fraction.get("denominator"))
        percent = number_of(mirror.get("percent"))
        if part is not None:
            percent = 100 * part / (whole or 100)
        yield Mirror(target, of_all * (100.0 if percent is None else percent))


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """Weights out of range, rules that send everything nowhere, filters that don't fit."""
    for index, item in enumerate(items_of(manifest.spec.get("rules"))):
        yield from _rule_problems(fields_of(item), ("spec", "rules", index))


def _rule_problems(rule: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    references = [fields_of(item) for item in items_of(rule.get("backendRefs"))]
    for index, reference in enumerate(references):
        weight = reference.get("weight")
        where = (*path, "backendRefs", index)
        if isinstance(weight, int | float) and (weight % 1 or not 0 <= weight <= 1_000_000):
            message = f"is {weight}, must be a whole number from 0 to 1000000"
            yield FieldFinding((*where, "weight"), message)
        port = reference.get("port")
        if isinstance(port, int | float) and not 0 < port < 65536:
            yield FieldFinding((*where, "port"), f"is {port}, must be from 1 to 65535")
    if references and not any(_weight(item) for item in references):
        message = "has no weight above 0: every request is answered with 500"
        yield FieldFinding((*path, "backendRefs"), message, Severity.DOUBT)
    written = ["weight" in item for item in references]
    if any(written) and not all(written):
        lacking = written.index(False)
        message = "is missing: it counts as 1 beside the other weights"
        yield FieldFinding((*path, "backendRefs", lacking, "weight"), message, Severity.DOUBT)
