"""What the metrics of a mesh call the backends of a split: the lines of a new spec's variants."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from flows.manifests.split import Backend
from flows.manifests.yaml_scalar import yaml_quoted, yaml_scalar
from flows.spec.experiment import Mesh

_LONGEST = 63
_BASELINE = re.compile(r"stable|primary|baseline|control|blue|current|v1\b")
_CANDIDATE = re.compile(r"canary|candidate|preview|green|next\b|\bnew\b|beta|treatment")
_DOUBTS = {
    Mesh.ISTIO: "the version label of its pods",
    Mesh.ENVOY: "the name of its cluster in Envoy (label envoy_cluster_name)",
}


@dataclass(frozen=True, slots=True)
class VariantName:
    """A variant's key in the spec, and what picks out its series.

    doubt: what a person must look up; empty where the manifests tell everything.
    """

    key: str
    version: str | None = None
    labels: dict[str, str] = field(default_factory=dict)
    doubt: str = ""
    service: str | None = None

    def __str__(self) -> str:
        """The fields as YAML, without braces.

        A variant's own Service is in quotes: it is not the experiment's.
        """
        labels = ", ".join(f"{name}: {yaml_scalar(value)}" for name, value in self.labels.items())
        version = None if self.version is None else f"version: {yaml_scalar(self.version)}"
        service = None if self.service is None else f"service: {yaml_quoted(self.service)}"
        parts = [version, service, f"labels: {{{labels}}}" if labels else None]
        return ", ".join(part for part in parts if part)


def baseline_among(names: Sequence[str]) -> str | None:
    """The name that says that it is the baseline's, or the lowest version; None if none does."""
    called = [name for name in names if _BASELINE.search(name.lower())]
    others = [name for name in names if not _CANDIDATE.search(name.lower())]
    for found in (called, others):
        if len(found) == 1:
            return found[0]
    if len({re.sub(r"\d+", "0", name) for name in names}) == 1:  # v2 and v3, 1.9 and 1.10
        return min(names, key=lambda name: [int(part[:18]) for part in re.findall(r"\d+", name)])
    return None


def variant_names(backends: Sequence[Backend], mesh: Mesh, namespace: str) -> list[VariantName]:
    """The names of the backends in their order; namespace: that of the experiment."""
    keys = variant_keys([backend.name for backend in backends])
    named = [
        replace(_named(backend, backends, mesh, namespace), key=key)
        for backend, key in zip(backends, keys, strict=True)
    ]
    told = [str(one) for one in named]
    twin = "both have the same name in the metrics: what tells them apart?"
    return [
        one if told.count(text) == 1 else replace(one, version=one.key, doubt=one.doubt or twin)
        for one, text in zip(named, told, strict=True)
    ]


def variant_keys(names: Sequence[str]) -> list[str]:
    """The names as a spec may have them, each once."""
    keys: list[str] = []
    for place, name in enumerate(names, start=1):
        key = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:_LONGEST].strip("-")
        key = key or f"version-{place}"
        keys.append(key if key not in keys else f"{key[: _LONGEST - 3]}-{place}")
    return keys


def _named(
    backend: Backend, backends: Sequence[Backend], mesh: Mesh, namespace: str
) -> VariantName:
    is_elsewhere = any(one.namespace != namespace for one in backends)
    if mesh is Mesh.ISTIO:
        return _istio(backend, backends, is_elsewhere)
    if mesh is Mesh.ENVOY:
        return _or_doubt(backend.cluster, backend, mesh)
    if mesh is Mesh.LINKERD_POLICY:
        where = {"backend_namespace": backend.namespace} if is_elsewhere else {}
        return VariantName("", backend.service, where)
    where = {"namespace": backend.namespace} if is_elsewhere else {}
    return VariantName("", backend.deployment or backend.service, where)


def _istio(backend: Backend, backends: Sequence[Backend], is_elsewhere: bool) -> VariantName:
    """Istio counts by the Service that was routed to: a Service per version needs no version."""
    services = [(one.service, one.namespace) for one in backends]
    if len(set(services)) == 1:
        return _subset(backend, backends)
    labels = {"destination_service_namespace": backend.namespace} if is_elsewhere else {}
    if services.count((backend.service, backend.namespace)) == 1:
        return VariantName("", None, labels, service=backend.service)
    named = _or_doubt(backend.version, backend, Mesh.ISTIO)
    return replace(named, labels=labels, service=backend.service)


def _subset(backend: Backend, backends: Sequence[Backend]) -> VariantName:
    """Of one Service: by the version of its pods, whose other labels Istio's metrics lack."""
    others = [one for one in backends if one is not backend]
    own = {*backend.labels}.difference(*(one.labels for one in others))
    if backend.version in {one.version for one in others} and own:
        labels = ", ".join(f"{name}: {value}" for name, value in sorted(own))
        doubt = (
            f"its pods have {labels}, which Istio's metrics lack (docs/how-to/strategies.md#labels)"
        )
        return VariantName("", backend.version or backend.name, doubt=doubt)
    return _or_doubt(backend.version, backend, Mesh.ISTIO)


def _or_doubt(version: str | None, backend: Backend, mesh: Mesh) -> VariantName:
    return VariantName("", version or backend.name, doubt="" if version else _DOUBTS[mesh])
