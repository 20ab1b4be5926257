"""What is wrong between manifests: names that nothing has, and manifests that shadow each other."""

from __future__ import annotations

from collections.abc import Iterator

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import Severity
from flows.manifests.values import fields_of, items_of, text_of

_Found = tuple[Manifest, FieldFinding]


def check_together(around: ManifestSet) -> Iterator[_Found]:
    """Every finding with the manifest that it belongs to."""
    for manifest in around.of_kind("VirtualService"):
        for path, destination in _destinations(manifest):
            yield from _check_destination(manifest, around, path, destination)
    yield from _check_twice(around)
    yield from _check_shadowed(around)
    yield from _check_rules(around)


def _destinations(manifest: Manifest) -> Iterator[tuple[FieldPath, dict[str, object]]]:
    for protocol in ("http", "tls", "tcp"):
        for index, item in enumerate(items_of(manifest.spec.get(protocol))):
            for place, target in enumerate(items_of(fields_of(item).get("route"))):
                path = ("spec", protocol, index, "route", place, "destination")
                yield path, fields_of(fields_of(target).get("destination"))


def _check_destination(
    manifest: Manifest, around: ManifestSet, path: FieldPath, destination: dict[str, object]
) -> Iterator[_Found]:
    host, subset = text_of(destination.get("host")), text_of(destination.get("subset"))
    if host is None:
        return
    service, namespace = around.service_of(host, manifest.namespace)
    if subset and around.subset_labels(service, namespace, subset) is None:
        rules = around.rules_for(service, namespace)
        known = sorted({name for rule in rules for name in _subset_names(rule)})
        if rules:
            there = f"there are {', '.join(known)}" if known else "there are none"
            message = f"{subset} is not a subset of {service}: {there} ({rules[0]})"
            yield manifest, FieldFinding((*path, "subset"), message)
        elif around.of_kind("DestinationRule"):
            message = f"{subset} is defined by no DestinationRule of these files for {service}"
            yield manifest, FieldFinding((*path, "subset"), message, Severity.DOUBT)
    elsewhere = around.named("Service", service, namespace)
    if elsewhere is not None and elsewhere.namespace != namespace:
        message = (
            f"{host} means {service} in namespace {namespace}, but it is in {elsewhere.namespace}; "
            f"write {service}.{elsewhere.namespace}.svc.cluster.local or metadata.namespace"
        )
        yield manifest, FieldFinding((*path, "host"), message)


def _subset_names(rule: Manifest) -> list[str]:
    items = items_of(rule.spec.get("subsets"))
    return [name for item in items if (name := text_of(fields_of(item).get("name")))]


def _check_twice(around: ManifestSet) -> Iterator[_Found]:
    """Of objects of one kind and name the cluster keeps the one that is applied last."""
    first: dict[tuple[str, str], Manifest] = {}
    for manifest in around.manifests:
        other = first.setdefault((manifest.group, str(manifest)), manifest)
        if other is not manifest and text_of(fields_of(manifest.data.get("metadata")).get("name")):
            place = f"{other.document.file}:{other.line(())}"
            message = f"is defined at {place} already: the one that is applied last counts"
            yield manifest, FieldFinding(("metadata", "name"), message, Severity.DOUBT)


def _check_shadowed(around: ManifestSet) -> Iterator[_Found]:
    """Inside the mesh only one VirtualService counts for a host; the others are ignored."""
    first: dict[tuple[str, str], Manifest] = {}
    for manifest in around.of_kind("VirtualService"):
        gateways = items_of(manifest.spec.get("gateways"))
        if gateways and "mesh" not in gateways:
            continue
        for index, host in enumerate(items_of(manifest.spec.get("hosts"))):
            if not text_of(host):
                continue
            key = around.service_of(host, manifest.namespace)
            other = first.setdefault(key, manifest)
            if other is not manifest and str(other) != str(manifest):
                message = (
                    f"{host} has the routes of {other} already (line {other.line(())}): "
                    "Istio takes one of the two, put the routes into one"
                )
                yield manifest, FieldFinding(("spec", "hosts", index), message, Severity.DOUBT)


def _check_rules(around: ManifestSet) -> Iterator[_Found]:
    """Of several DestinationRules for a host only one traffic policy counts."""
    first: dict[tuple[str, str], Manifest] = {}
    for manifest in around.of_kind("DestinationRule"):
        host = text_of(manifest.spec.get("host"))
        if host is None:
            continue
        other = first.setdefault(around.service_of(host, manifest.namespace), manifest)
        if other is not manifest and manifest.spec.get("trafficPolicy"):
            message = f"{host} has the policy of {other} already: Istio takes the older one"
            yield manifest, FieldFinding(("spec", "host"), message, Severity.DOUBT)
