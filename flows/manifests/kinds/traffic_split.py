"""SMI's TrafficSplit: weights are quantities in v1alpha1 (500m is a half), later whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.manifests.fields.field_check import (
    NUMBER,
    TEXT,
    TEXT_OR_NUMBER,
    FieldFinding,
    Shape,
    Table,
    whole,
)
from flows.manifests.objects import Manifest, ManifestSet, tell_apart
from flows.manifests.split import MatchedRequests, Severity, Split, percents_of
from flows.manifests.values import fields_of, items_of, quantity_of, text_of
from flows.spec.experiment import Mesh

_QUANTITIES = "v1alpha1"
_WITH_MATCHES = ("v1alpha3", "v1alpha4")


def fields(version: str) -> Table:
    """The fields of one version."""
    weight: Shape = TEXT_OR_NUMBER if version == _QUANTITIES else NUMBER
    spec: Table = {"service!": TEXT, "backends!": [{"service!": TEXT, "weight": weight}]}
    if version in _WITH_MATCHES:
        spec["matches"] = [{"kind!": TEXT, "name!": TEXT, "apiGroup": TEXT}]
    return whole(spec)


def read_splits(manifest: Manifest, around: ManifestSet) -> Iterator[Split]:
    """One split; its backends are Services."""
    backends = [fields_of(item) for item in items_of(manifest.spec.get("backends"))]
    named = [item for item in backends if text_of(item.get("service"))]
    if not named:
        return
    shares = percents_of(named)
    service, namespace = around.service_of(
        text_of(manifest.spec.get("service")) or manifest.name, manifest.namespace
    )
    receivers = [
        around.backend(
            *around.service_of(item["service"], namespace),
            percent=shares[place] if shares else None,
        )
        for place, item in enumerate(named)
    ]
    yield Split(
        origin=manifest.origin(path=("spec", "backends")),
        mesh=Mesh.LINKERD,
        service=service,
        namespace=namespace,
        backends=tell_apart(receivers),
        cohort=MatchedRequests(tuple(_alternatives(manifest, around))),
    )


def _alternatives(manifest: Manifest, around: ManifestSet) -> Iterator[tuple[str, ...]]:
    """The rules of the HTTPRouteGroups that `matches` names; a group beside the files by name."""
    for reference in map(fields_of, items_of(manifest.spec.get("matches"))):
        name = text_of(reference.get("name")) or "(no name)"
        group = around.named("HTTPRouteGroup", name, manifest.namespace)
        rules = items_of(group.spec.get("matches")) if group else []
        if not rules:
            yield (f"{reference.get('kind', 'HTTPRouteGroup')} {name}",)
        for rule in rules:
            yield tuple(_conditions(fields_of(rule)))


def _conditions(rule: dict[str, Any]) -> Iterator[str]:
    methods = [str(item) for item in items_of(rule.get("methods"))]
    if methods and "*" not in methods:
        yield f"method is {' or '.join(methods)}"
    if text_of(rule.get("pathRegex")):
        yield f"uri matches {rule['pathRegex']!r}"
    headers = rule.get("headers")
    for item in headers if isinstance(headers, list) else [headers]:
        for name, value in fields_of(item).items():
            yield f"header {name} matches {value!r}"


def find_problems(manifest: Manifest, around: ManifestSet) -> Iterator[FieldFinding]:
    """Weights that aren't what the version wants, and splits that split nothing."""
    path = ("spec", "backends")
    backends = [fields_of(item) for item in items_of(manifest.spec.get("backends"))]
    for index, backend in enumerate(backends):
        yield from _weight_problems(manifest, backend.get("weight"), index)
    names = [backend.get("service") for backend in backends]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield FieldFinding((*path, index, "service"), f"duplicate service {name}")
    if len(backends) == 1:
        yield FieldFinding(path, _alone(manifest, around, str(names[0])), Severity.DOUBT)
    weights = [quantity_of(backend.get("weight")) for backend in backends]
    if weights and not any(weights):
        yield FieldFinding(path, "has no weight above 0")


def _weight_problems(manifest: Manifest, weight: Any, index: int) -> Iterator[FieldFinding]:
    path = ("spec", "backends", index, "weight")
    quantity = quantity_of(weight)
    if weight is None:
        if manifest.version == _QUANTITIES:
            yield FieldFinding(path, "is missing")
    elif quantity is None:
        yield FieldFinding(path, f"is {weight!r}, must be a weight such as 90 (v1alpha1: or 500m)")
    elif manifest.version != _QUANTITIES and quantity.denominator != 1:
        yield FieldFinding(path, f"is {weight!r}, must be a whole number since v1alpha2")


def _alone(manifest: Manifest, around: ManifestSet, only: str) -> str:
    """What to add; a Service beside it that looks like the other version is named."""
    stem = text_of(manifest.spec.get("service")) or manifest.name
    others = [
        item.name
        for item in around.of_kind("Service")
        if item.name.startswith(stem) and item.name not in (only, stem)
    ]
    named = f": {others[0]}, weight 0" if others else " with weight 0"
    return f"names one backend, {only}, and splits nothing; add the other version{named}"
