"""Flagger's Canary: which weights it steps through, each for an interval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.kinds.istio_matches import cohort_of
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import (
    STICKY,
    Backend,
    Driven,
    MatchedRequests,
    Mirror,
    RolloutStage,
    Severity,
    Split,
)
from flows.manifests.values import fields_of, items_of, number_of, seconds_of, text_of
from flows.spec.experiment import Mesh

_MESHES = {
    "istio": Mesh.ISTIO,
    "linkerd": Mesh.LINKERD,
    "smi": Mesh.LINKERD,
    "osm": Mesh.ENVOY,
    "appmesh": Mesh.ENVOY,
    "contour": Mesh.ENVOY,
    "gloo": Mesh.ENVOY,
    "kuma": Mesh.ENVOY,
    # Its usual ingress, Kourier, is an Envoy.
    "knative": Mesh.ENVOY,
}
# What it shifts weights by; it makes these objects under the service's name.
_DRIVEN = {
    "istio": "VirtualService",
    "linkerd": "TrafficSplit",
    "smi": "TrafficSplit",
    "gatewayapi": "HTTPRoute",
}
_KNATIVE = "serving.knative.dev"
_MOST_STAGES = 100
# Percent: Flagger's sum of both weights.
_ALL = 100.0


def _analysis(manifest: Manifest) -> tuple[str, dict[str, Any]]:
    """The analysis and its field's name: canaryAnalysis before v1beta1."""
    name = "analysis" if "analysis" in manifest.spec else "canaryAnalysis"
    return name, fields_of(manifest.spec.get(name))


def _provider(manifest: Manifest) -> str | None:
    """Without the API version that some providers carry; None where nothing is written."""
    written = text_of(manifest.spec.get("provider"))
    if written is None and _is_knative(manifest):
        return "knative"
    return written and written.split(":")[0]


def _is_knative(manifest: Manifest) -> bool:
    """Whether the target is a Knative Service: Flagger makes no Services, it shifts revisions."""
    target = text_of(fields_of(manifest.spec.get("targetRef")).get("apiVersion")) or ""
    return target.startswith(f"{_KNATIVE}/") or manifest.spec.get("provider") == "knative"


def read_splits(manifest: Manifest, _: ManifestSet) -> Iterator[Split]:
    """One split between the primary, which Flagger makes, and the canary."""
    name, analysis = _analysis(manifest)
    target = text_of(fields_of(manifest.spec.get("targetRef")).get("name"))
    service = text_of(fields_of(manifest.spec.get("service")).get("name")) or target
    if service is None or not analysis:
        return
    stages = tuple(_stages(analysis))
    primary, canary = (
        _backend(manifest, service, target or service, role) for role in ("primary", "canary")
    )
    cohort = cohort_of(analysis.get("match"))
    share = number_of(analysis.get("mirrorWeight"))
    mirrored = analysis.get("mirror") is True
    provider = _provider(manifest)
    yield Split(
        origin=manifest.origin(path=("spec", name)),
        mesh=_MESHES.get(provider or "istio"),
        service=service,
        namespace=manifest.namespace,
        backends=(primary, canary),
        cohort=cohort,
        mirrors=(Mirror(canary, 100.0 if share is None else share),) if mirrored else (),
        stages=stages,
        knows_baseline=True,
        drives=tuple(
            Driven(kind, manifest.namespace, service)
            for name, kind in _DRIVEN.items()
            if name == (provider or "istio")
        ),
        notes=(*_revision_notes(manifest), *_notes(analysis, provider, cohort)),
    )


def _backend(manifest: Manifest, service: str, target: str, role: str) -> Backend:
    """The Service <name>-<role>; the target itself is the canary, its copy the primary.

    Knative has one Service, and a revision for each role.
    """
    if _is_knative(manifest):
        return Backend(role, service, manifest.namespace)
    deployment = target if role == "canary" else f"{target}-primary"
    return Backend(
        role,
        f"{service}-{role}",
        manifest.namespace,
        deployment=deployment,
        cluster=_contour_cluster(manifest, f"{service}-{role}"),
    )


def _contour_cluster(manifest: Manifest, service: str) -> str | None:
    """Contour's name for the Envoy cluster of a Service; of other ingresses it isn't known."""
    port = number_of(fields_of(manifest.spec.get("service")).get("port"))
    if _provider(manifest) != "contour" or port is None:
        return None
    return f"{manifest.namespace}_{service}_{port:g}"


def _stages(analysis: dict[str, Any]) -> Iterator[RolloutStage]:
    """One stage for each weight until maxWeight is reached, an interval each."""
    interval = seconds_of(analysis.get("interval"))
    weights = [number_of(item) for item in items_of(analysis.get("stepWeights"))]
    for weight in (weights or list(_steps(analysis)))[:_MOST_STAGES]:
        if weight is not None and 0 < weight <= _ALL:
            yield RolloutStage(weight, interval or None)


def _steps(analysis: dict[str, Any]) -> Iterator[float]:
    """Flagger adds stepWeight as long as the weight is below maxWeight: it may go beyond."""
    step = number_of(analysis.get("stepWeight"))
    most = number_of(analysis.get("maxWeight")) or _ALL
    if step is None or step <= 0 or most / step > _MOST_STAGES:
        return
    weight = 0.0
    while weight < min(most, _ALL):
        weight = min(weight + step, _ALL)
        yield weight


def _revision_notes(manifest: Manifest) -> Iterator[str]:
    if _is_knative(manifest):
        yield (
            "Knative makes a revision for each version and names it when it is deployed: the "
            f"cluster in Envoy is {manifest.namespace}/REVISION"
        )


def _notes(
    analysis: dict[str, Any], provider: str | None, cohort: MatchedRequests
) -> Iterator[str]:
    if provider is None:
        yield "no provider is written: Flagger then takes its own setting, istio by default"
    iterations = number_of(analysis.get("iterations"))
    interval = seconds_of(analysis.get("interval"))
    if iterations is not None:
        length = f"{iterations * interval:g} s" if interval else "unknown length"
        kind = "blue-green" if cohort.is_everyone else "A/B test"
        yield f"{kind}: {iterations:g} checks, {length}; no percents are configured"
    if analysis.get("sessionAffinity"):
        yield STICKY
    hooks = [
        text_of(one.get("name")) or "?"
        for one in map(fields_of, items_of(analysis.get("webhooks")))
    ]
    if hooks:
        yield (
            f"CHECK: webhooks {', '.join(hooks)} are left out; write them as hooks of a delivery "
            "(docs/how-to/delivery.md)"
        )


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """Analyses that Flagger refuses or that never reach a weight."""
    name, analysis = _analysis(manifest)
    path: FieldPath = ("spec", name)
    if manifest.spec and manifest.spec.get("service") is None and not _is_knative(manifest):
        yield FieldFinding(("spec", "service"), "is missing")
    if not analysis:
        return
    ways = [key for key in ("iterations", "stepWeight", "stepWeights") if key in analysis]
    if not ways:
        yield FieldFinding(path, "needs iterations, stepWeight or stepWeights")
    if len(ways) > 1:
        yield FieldFinding(
            (*path, ways[1]), f"can't be combined with {ways[0]}; Flagger refuses both"
        )
    for key in ("interval", "threshold"):
        if key not in analysis:
            yield FieldFinding((*path, key), "is missing")
    interval = analysis.get("interval")
    if interval is not None and not seconds_of(interval):
        yield FieldFinding((*path, "interval"), f"is {interval!r}, must be a duration such as 1m")
    yield from _weight_problems(analysis, path)


def _weight_problems(analysis: dict[str, Any], path: FieldPath) -> Iterator[FieldFinding]:
    for key in ("stepWeight", "maxWeight", "mirrorWeight"):
        weight = number_of(analysis.get(key))
        if weight is not None and not 0 < weight <= 100:
            yield FieldFinding((*path, key), f"is {weight:g}, must be a percent above 0")
    step, most = number_of(analysis.get("stepWeight")), number_of(analysis.get("maxWeight"))
    if step is not None and most is not None and step > most:
        yield FieldFinding((*path, "stepWeight"), f"is {step:g}, above maxWeight {most:g}")
    elif (last := max(_steps(analysis), default=0.0)) > (limit := most or _ALL):
        message = f"doesn't divide maxWeight: the last weight is {last:g}, not {limit:g}"
        yield FieldFinding((*path, "stepWeight"), message, Severity.DOUBT)
    weights = [number_of(item) for item in items_of(analysis.get("stepWeights"))]
    known = [weight for weight in weights if weight is not None]
    for index, weight in enumerate(known):
        if not 0 < weight <= 100:
            where = (*path, "stepWeights", index)
            yield FieldFinding(where, f"is {weight:g}, must be a percent above 0")
    if known != sorted(known):
        yield FieldFinding((*path, "stepWeights"), "goes down again", Severity.DOUBT)
