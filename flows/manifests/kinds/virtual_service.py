"""Istio's VirtualService: each HTTP, TLS or TCP route is a split of the requests it matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.kinds.istio_matches import cohort_of
from flows.manifests.objects import Manifest, ManifestSet, busiest, tell_apart
from flows.manifests.split import (
    Backend,
    Fault,
    MatchedRequests,
    Mirror,
    Severity,
    Split,
    percents_of,
)
from flows.manifests.values import fields_of, items_of, number_of, quantity_of, text_of
from flows.spec.experiment import Mesh

_NO_REQUESTS = "TCP and TLS routes carry connections: Istio counts no requests for them"
# Percent.
_ALL = 100.0
_ANSWERS = ("route", "redirect", "directResponse", "delegate")


def read_splits(manifest: Manifest, around: ManifestSet) -> Iterator[Split]:
    """One split for each route that has destinations."""
    for protocol in ("http", "tls", "tcp"):
        for index, item in enumerate(items_of(manifest.spec.get(protocol))):
            route = fields_of(item)
            if items_of(route.get("route")):
                yield _read_route(manifest, around, route, protocol, index)


def _read_route(
    manifest: Manifest, around: ManifestSet, route: dict[str, Any], protocol: str, index: int
) -> Split:
    destinations = [fields_of(item) for item in items_of(route.get("route"))]
    # One that stands alone takes everything.
    shares = [100.0] if len(destinations) == 1 else percents_of(destinations)
    backends = [
        _backend(
            manifest, around, fields_of(item.get("destination")), shares[place] if shares else None
        )
        for place, item in enumerate(destinations)
    ]
    name = text_of(route.get("name"))
    label = f"{protocol}[{index}]" + (f" ({name})" if name else "")
    known = _apex(manifest, around, backends)
    service, namespace = known or busiest(backends)
    return Split(
        origin=manifest.origin(label, ("spec", protocol, index)),
        mesh=Mesh.ISTIO,
        service=service,
        namespace=namespace,
        is_service_known=known is not None,
        backends=tell_apart(backends),
        cohort=_cohort(manifest, around, route) if protocol == "http" else MatchedRequests(),
        mirrors=tuple(_mirrors(manifest, around, route)),
        faults=tuple(_faults(fields_of(route.get("fault")))),
        notes=() if protocol == "http" else (_NO_REQUESTS,),
    )


def _cohort(manifest: Manifest, around: ManifestSet, route: dict[str, Any]) -> MatchedRequests:
    """The requests that a route matches, of those that another VirtualService leaves to it."""
    own = cohort_of(route.get("match"))
    left = [
        cohort_of(fields_of(item).get("match"))
        for one in around.of_kind("VirtualService")
        for item in items_of(one.spec.get("http"))
        for to in [fields_of(fields_of(item).get("delegate"))]
        if to.get("name") == manifest.name
        and (text_of(to.get("namespace")) or one.namespace) == manifest.namespace
    ]
    if not left or any(one.is_everyone for one in left):
        return own
    outer = [conditions for one in left for conditions in one.alternatives]
    return MatchedRequests(tuple((*o, *i) for o in outer for i in own.alternatives or ((),)))


def _backend(
    manifest: Manifest, around: ManifestSet, destination: dict[str, Any], percent: float | None
) -> Backend:
    host = text_of(destination.get("host")) or text_of(destination.get("name")) or "(no host)"
    service, namespace = around.service_of(host, manifest.namespace)
    subset = text_of(destination.get("subset"))
    return around.backend(service, namespace, subset=subset, percent=percent)


def _apex(
    manifest: Manifest, around: ManifestSet, backends: list[Backend]
) -> tuple[str, str] | None:
    """The service that clients call: where all go, else the host for which the manifest stands.

    None if it stands for names outside the cluster only.
    """
    services = {(backend.service, backend.namespace) for backend in backends}
    if len(services) == 1:
        return services.pop()
    hosts = [host for host in items_of(manifest.spec.get("hosts")) if text_of(host)]
    gateways = items_of(manifest.spec.get("gateways"))
    is_public = bool(gateways) and "mesh" not in gateways
    found = (around.find_service(host, manifest.namespace, is_public=is_public) for host in hosts)
    return next((service for service in found if service), None)


def _mirrors(manifest: Manifest, around: ManifestSet, route: dict[str, Any]) -> Iterator[Mirror]:
    found = [(fields_of(one).get("destination"), one) for one in items_of(route.get("mirrors"))]
    if isinstance(route.get("mirror"), dict):
        old = route.get("mirrorPercent", route.get("mirror_percent"))
        share = route.get("mirrorPercentage", None if old is None else {"value": old})
        found.append((route["mirror"], {"percentage": share}))
    for target, of_target in found:
        part = fields_of(of_target).get("percentage")
        # Without the field all are copied; with one that has no value none is.
        percent = _ALL if part is None else float(quantity_of(fields_of(part).get("value")) or 0)
        if percent:
            yield Mirror(_backend(manifest, around, fields_of(target), None), percent)


def _faults(fault: dict[str, Any]) -> Iterator[Fault]:
    delay, abort = fields_of(fault.get("delay")), fields_of(fault.get("abort"))
    shares = injected_percents(fault)
    if delay:
        yield Fault(f"delay {delay.get('fixedDelay') or 'without a length'}", shares["delay"])
    if abort:
        status = next((abort[key] for key in ("httpStatus", "grpcStatus") if key in abort), None)
        yield Fault(f"abort {status or 'without a status'}", shares["abort"])


def injected_percents(fault: Mapping[str, Any]) -> dict[str, float]:
    """The percent of the requests that are delayed and aborted; without a number none is."""
    shares = {}
    for kind in ("delay", "abort"):
        of_kind = fields_of(fault.get(kind))
        written = fields_of(of_kind.get("percentage")).get("value")
        if written is None and kind == "delay":  # of an abort Istio doesn't read it any more
            written = of_kind.get("percent")
        shares[kind] = float(quantity_of(written) or 0)
    return shares


def _fault_problems(route: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    fault = fields_of(route.get("fault"))
    for kind in ("delay", "abort"):
        of_kind = fields_of(fault.get(kind))
        written = fields_of(of_kind.get("percentage")).get("value")
        number = number_of(written)
        if of_kind and written is None and not (kind == "delay" and "percent" in of_kind):
            message = "has no `percentage: {value: ...}`: it is injected into no request"
            yield FieldFinding((*path, "fault", kind), message, Severity.DOUBT)
        elif number is not None and not 0 <= number <= _ALL:
            where = (*path, "fault", kind, "percentage", "value")
            yield FieldFinding(where, f"is {number:g}, must be a percent from 0 to 100")


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """What the fields' names and types can't tell."""
    spec = manifest.spec
    if not any(items_of(spec.get(protocol)) for protocol in ("http", "tls", "tcp")):
        yield FieldFinding(("spec",), "has no route (http, tls or tcp)", Severity.DOUBT)
    routes = [fields_of(item) for item in items_of(spec.get("http"))]
    for index, route in enumerate(routes):
        yield from _route_problems(route, ("spec", "http", index))
    yield from _order_problems(manifest, routes)


def _route_problems(route: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    answers = [name for name in _ANSWERS if route.get(name)]
    if not answers:
        yield FieldFinding(path, f"answers nothing; it needs one of {', '.join(_ANSWERS)}")
    if len(answers) > 1:
        yield FieldFinding(path, f"can't have {' and '.join(answers)} at once")
    if not (route.get("mirror") or route.get("mirrors")) and "mirrorPercentage" in route:
        yield FieldFinding((*path, "mirrorPercentage"), "does nothing without `mirror`")
    yield from _weight_problems(route, path)
    yield from _fault_problems(route, path)
    yield from _match_problems(items_of(route.get("match")), (*path, "match"))


def _weight_problems(route: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    destinations = [fields_of(item) for item in items_of(route.get("route"))]
    weights = [item.get("weight") for item in destinations]
    for index, weight in enumerate(weights):
        if isinstance(weight, int | float) and (weight < 0 or weight % 1):
            where = (*path, "route", index, "weight")
            yield FieldFinding(where, f"is {weight}, must be a whole number from 0")
    total = sum(quantity_of(weight) or 0 for weight in weights)
    if len(weights) == 1 and weights[0] is not None and total != 100:
        message = f"is {weights[0]}, but it is the only destination and gets 100 %"
        yield FieldFinding((*path, "route", 0, "weight"), message, Severity.DOUBT)
    elif len(weights) > 1 and total == 0:
        yield FieldFinding((*path, "route"), "has no weight above 0; Istio refuses it")
    elif len(weights) > 1 and total != 100:
        message = f"has weights that sum to {float(total):g}; write percents that sum to 100"
        yield FieldFinding((*path, "route"), message, Severity.DOUBT)


def _match_problems(matches: list[Any], path: FieldPath) -> Iterator[FieldFinding]:
    entries = [fields_of(item) for item in matches]
    for index, entry in enumerate(entries):
        for name in fields_of(entry.get("headers")):
            if name != name.lower():
                message = f"must be lower-case: {name.lower()}"
                yield FieldFinding((*path, index, "headers", name), message)
    subjects = [_subjects(entry) for entry in entries]
    if (
        len(entries) > 1
        and all(subjects)
        and len(set().union(*subjects)) == sum(map(len, subjects))
    ):
        message = (
            "has entries that are alternatives: a request that fits any of them is taken. "
            "If all must hold, write them in one entry (one dash)"
        )
        yield FieldFinding(path, message, Severity.DOUBT)


def _subjects(entry: dict[str, Any]) -> set[str]:
    """What the conditions of one entry look at."""
    headers = {f"header {name}" for name in fields_of(entry.get("headers"))}
    return headers | {name for name in entry if name not in ("headers", "name", "gateways")}


def _order_problems(manifest: Manifest, routes: list[dict[str, Any]]) -> Iterator[FieldFinding]:
    """Routes are tried in order: what follows one for all requests is never reached."""
    takes_all = [_takes_all(route) for route in routes]
    first = takes_all.index(True) if any(takes_all) else len(routes)
    for index in range(first + 1, len(routes)):
        message = f"is never reached: http[{first}] takes every request; put it before"
        yield FieldFinding(("spec", "http", index), message)
    gateways = items_of(manifest.spec.get("gateways"))
    if routes and not any(takes_all) and (not gateways or "mesh" in gateways):
        message = "has no route without `match`: requests that fit none are answered with 404"
        yield FieldFinding(("spec", "http"), message, Severity.DOUBT)


def _takes_all(route: dict[str, Any]) -> bool:
    everything: tuple[Any, ...] = ({"uri": {"prefix": "/"}}, {"uri": {"regex": ".*"}}, {})
    matches = items_of(route.get("match"))
    return not matches or any(fields_of(entry) in everything for entry in matches)
