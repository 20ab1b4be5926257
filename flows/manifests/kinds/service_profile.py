"""Linkerd's ServiceProfile: dstOverrides split the requests; its routes are what metrics tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import (
    ANY,
    FLAG,
    NUMBER,
    TEXT,
    TEXT_OR_NUMBER,
    FieldFinding,
    Shape,
    Table,
    whole,
)
from flows.manifests.objects import Manifest, ManifestSet, tell_apart
from flows.manifests.split import Severity, Split, percents_of
from flows.manifests.values import fields_of, items_of, number_of, quantity_of, seconds_of, text_of
from flows.spec.experiment import Mesh

_RANGE: Shape = {"min": NUMBER, "max": NUMBER}
# The API lets all, any and not hold any further conditions.
_NESTED: Table = {"all": [ANY], "any": [ANY], "not": ANY}
_CONDITION: Table = {"method": TEXT, "pathRegex": TEXT, **_NESTED}
_RESPONSE: Table = {"status": _RANGE, **_NESTED}
FIELDS = whole(
    {
        "routes": [
            {
                "name!": TEXT,
                "condition!": _CONDITION,
                "isRetryable": FLAG,
                "responseClasses": [{"condition!": _RESPONSE, "isFailure": FLAG}],
                "timeout": TEXT,
            }
        ],
        "retryBudget": {"retryRatio!": NUMBER, "minRetriesPerSecond!": NUMBER, "ttl!": TEXT},
        "dstOverrides": [{"authority!": TEXT, "weight!": TEXT_OR_NUMBER}],
        "opaquePorts": [TEXT_OR_NUMBER],
    }
)


def read_splits(manifest: Manifest, around: ManifestSet) -> Iterator[Split]:
    """One split if dstOverrides name where requests go."""
    overrides = [fields_of(item) for item in items_of(manifest.spec.get("dstOverrides"))]
    named = [item for item in overrides if text_of(item.get("authority"))]
    if not named:
        return
    shares = percents_of(named)
    service, namespace = around.service_of(manifest.name, manifest.namespace)
    backends = []
    for place, item in enumerate(named):
        host, _, _ = item["authority"].partition(":")
        name, where = around.service_of(host, namespace)
        percent = shares[place] if shares else None
        backends.append(around.backend(name, where, percent=percent))
    retried = _retries(manifest.spec)
    note = "failed requests are retried: count with mesh linkerd-route to see both attempts"
    yield Split(
        origin=manifest.origin(path=("spec", "dstOverrides")),
        mesh=Mesh.LINKERD,
        service=service,
        namespace=namespace,
        backends=tell_apart(backends),
        notes=(note,) if retried else (),
    )


def _retries(spec: dict[str, Any]) -> bool:
    return any(
        fields_of(route).get("isRetryable") is True for route in items_of(spec.get("routes"))
    )


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """A name that Linkerd doesn't look up, retries that never happen, limits that can't be read."""
    if manifest.name.count(".") < 2 and manifest.name != "(no name)":
        full = f"{manifest.name.split('.')[0]}.{manifest.namespace}.svc.cluster.local"
        message = f"is {manifest.name}, must be the full name {full}; Linkerd ignores the profile"
        yield FieldFinding(("metadata", "name"), message)
    spec = manifest.spec
    routes = [fields_of(item) for item in items_of(spec.get("routes"))]
    for index, route in enumerate(routes):
        yield from _route_problems(route, ("spec", "routes", index))
    budgets = "retryBudget" in spec or any("retryBudget" in route for route in routes)
    if budgets and routes and not _retries(spec):
        message = "has a retry budget, but no route has `isRetryable: true`: nothing is retried"
        yield FieldFinding(("spec", "routes"), message, Severity.DOUBT)
    ratio = number_of(fields_of(spec.get("retryBudget")).get("retryRatio"))
    if ratio is not None and ratio < 0:
        yield FieldFinding(("spec", "retryBudget", "retryRatio"), f"is {ratio:g}, must be from 0")
    for index, item in enumerate(map(fields_of, items_of(spec.get("dstOverrides")))):
        weight = item.get("weight")
        if weight is not None and quantity_of(weight) is None:
            where = ("spec", "dstOverrides", index, "weight")
            yield FieldFinding(where, f"is {weight!r}, must be a weight such as 90 or 500m")


def _route_problems(route: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    timeout = route.get("timeout")
    if timeout is not None and seconds_of(timeout) is None:
        yield FieldFinding((*path, "timeout"), f"is {timeout!r}, must be a duration such as 300ms")
    for index, item in enumerate(items_of(route.get("responseClasses"))):
        status = fields_of(fields_of(fields_of(item).get("condition")).get("status"))
        lowest, highest = number_of(status.get("min")), number_of(status.get("max"))
        if lowest is not None and highest is not None and lowest > highest:
            where = (*path, "responseClasses", index, "condition", "status")
            yield FieldFinding(where, f"has min {lowest:g} above max {highest:g}: it fits nothing")
