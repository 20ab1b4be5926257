"""Argo's Rollout: setWeight and pause steps are stages between the stable and the canary pods."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from flows.formats.problems import FieldPath
from flows.manifests.fields.field_check import FieldFinding
from flows.manifests.kinds.argo_routing import Apex, driven_by, find_apex
from flows.manifests.kinds.istio_matches import cohort_of
from flows.manifests.objects import Manifest, ManifestSet
from flows.manifests.split import (
    STICKY,
    Backend,
    MatchedRequests,
    Mirror,
    RolloutStage,
    Severity,
    Split,
)
from flows.manifests.values import fields_of, items_of, labels_of, number_of, seconds_of, text_of
from flows.spec.experiment import Mesh

_STEPS: FieldPath = ("spec", "strategy", "canary", "steps")
# Steps that take a while which the manifest doesn't tell.
_ENDED_BY_OTHERS = ("analysis", "experiment", "plugin")
_PING_PONG = {"stable": "pingService", "canary": "pongService"}
_ROLES_CHANGE = "CHECK: ping and pong change roles with every rollout; which of them is stable now?"
_ALIKE = (
    "CHECK: Argo's pods differ by a hash only, which no mesh counts by: set a label version in "
    "canaryMetadata and stableMetadata"
)
_SWITCHED = (
    "CHECK: from the switch on both Services select the new pods: end the plan before it "
    "(autoPromotionEnabled: false), or tell the versions by their label `version`"
)
_BY_REPLICAS = "CHECK: no trafficRouting: weights are only approached, by the numbers of pods"


def _canary(manifest: Manifest) -> dict[str, Any]:
    return fields_of(fields_of(manifest.spec.get("strategy")).get("canary"))


def read_splits(manifest: Manifest, around: ManifestSet) -> Iterator[Split]:
    """One split between stable and canary, or between active and preview (blue-green)."""
    canary = _canary(manifest)
    blue_green = fields_of(fields_of(manifest.spec.get("strategy")).get("blueGreen"))
    if canary:
        yield _read_canary(manifest, around, canary)
    elif text_of(blue_green.get("activeService")):
        yield _read_blue_green(manifest, around, blue_green)


def _read_canary(manifest: Manifest, around: ManifestSet, canary: dict[str, Any]) -> Split:
    routing = fields_of(canary.get("trafficRouting"))
    steps = [fields_of(item) for item in items_of(canary.get("steps"))]
    apex = find_apex(manifest, around, canary)
    backends = tuple(
        _backend(manifest, around, canary, role, apex) for role in ("stable", "canary")
    )
    return Split(
        origin=manifest.origin(path=_STEPS if steps else ("spec", "strategy", "canary")),
        mesh=_mesh(routing, apex.route),
        service=apex.service,
        namespace=apex.namespace,
        is_service_known=apex.is_known,
        backends=backends,
        cohort=_cohort(steps),
        mirrors=tuple(_mirrors(steps, backends[1])),
        stages=tuple(_stages(steps, _all_traffic(routing))),
        knows_baseline=True,
        one_cluster=apex.route.one_cluster if apex.route else "",
        drives=tuple(driven_by(manifest, routing)),
        notes=tuple(_notes(canary, routing)),
    )


def _notes(canary: dict[str, Any], routing: dict[str, Any]) -> Iterator[str]:
    if not routing:
        yield _BY_REPLICAS
    if not canary.get("canaryService") and not canary.get("pingPong"):
        of_role = fields_of(fields_of(canary.get("canaryMetadata")).get("labels"))
        if not of_role.get("version"):
            yield _ALIKE
    if fields_of(canary.get("pingPong")):
        yield _ROLES_CHANGE
    if fields_of(fields_of(routing.get("alb")).get("stickinessConfig")).get("enabled"):
        yield STICKY


def _all_traffic(routing: dict[str, Any]) -> float:
    """The weight that means all requests: 100, or maxTrafficWeight (1000 for permille)."""
    most = number_of(routing.get("maxTrafficWeight"))
    return most if most is not None and most > 0 else 100.0


def _read_blue_green(manifest: Manifest, around: ManifestSet, blue_green: dict[str, Any]) -> Split:
    active = blue_green["activeService"]
    preview = text_of(blue_green.get("previewService")) or f"{active}-preview"
    backends = [
        replace(around.backend(name, manifest.namespace, percent=None), name=role)
        for role, name in (("active", active), ("preview", preview))
    ]
    return Split(
        origin=manifest.origin(path=("spec", "strategy", "blueGreen")),
        mesh=None,
        service=active,
        namespace=manifest.namespace,
        backends=tuple(backends),
        knows_baseline=True,
        notes=("blue-green: the preview gets only what is sent to it", _SWITCHED),
    )


def _backend(
    manifest: Manifest,
    around: ManifestSet,
    canary: dict[str, Any],
    role: str,
    apex: Apex,
) -> Backend:
    """A subset of one host (Istio) or a Service of its own."""
    istio = fields_of(fields_of(canary.get("trafficRouting")).get("istio"))
    subset = text_of(fields_of(istio.get("destinationRule")).get(f"{role}SubsetName"))
    ping_pong = fields_of(canary.get("pingPong"))
    service = text_of(canary.get(f"{role}Service")) or text_of(ping_pong.get(_PING_PONG[role]))
    found = around.backend(
        service or apex.service,
        manifest.namespace if service else apex.namespace,
        subset=None if service else subset,
        percent=None,
    )
    routed = apex.route.backends if apex.route else ()
    cluster = next((one.cluster for one in routed if one.service == found.service), None)
    # Argo labels the pods of a role by these; else both have the same but for a hash.
    own = labels_of(fields_of(canary.get(f"{role}Metadata")).get("labels"))
    labels = tuple(sorted((dict(found.labels) | dict(own)).items()))
    return replace(found, name=role, subset=subset, cluster=cluster, labels=labels)


def _mesh(routing: dict[str, Any], route: Split | None) -> Mesh | None:
    if route and route.origin.kind != "VirtualService":
        return route.mesh
    if "istio" in routing:
        return Mesh.ISTIO
    return Mesh.LINKERD if "smi" in routing else None


def _stages(steps: list[dict[str, Any]], most: float) -> Iterator[RolloutStage]:
    """Each weight with the pauses after it; a weight without any pause is no stage.

    most: the weight that means all requests.
    """
    weight: float | None = None
    seconds: float | None = 0.0
    for step in [*steps, {"setWeight": 100}]:
        if "setWeight" in step:
            if weight is not None and seconds != 0:
                yield RolloutStage(100 * weight / most, seconds)
            weight, seconds = number_of(step["setWeight"]), 0.0
        elif "pause" in step:
            pause = seconds_of(fields_of(step["pause"]).get("duration"))
            seconds = None if seconds is None or not pause else seconds + pause
        elif any(name in step for name in _ENDED_BY_OTHERS):
            seconds = None


def _cohort(steps: list[dict[str, Any]]) -> MatchedRequests:
    """Header routes send their requests to the canary whatever the weight is."""
    alternatives: list[tuple[str, ...]] = []
    for step in steps:
        for match in map(fields_of, items_of(fields_of(step.get("setHeaderRoute")).get("match"))):
            entry = {"headers": {str(match.get("headerName")): match.get("headerValue")}}
            alternatives += cohort_of([entry]).alternatives
    return MatchedRequests(tuple(alternatives))


def _mirrors(steps: list[dict[str, Any]], canary: Backend) -> Iterator[Mirror]:
    for step in steps:
        mirror = fields_of(step.get("setMirrorRoute"))
        if mirror.get("match"):
            share = number_of(mirror.get("percentage"))
            yield Mirror(canary, 100.0 if share is None else share)


def find_problems(manifest: Manifest, _: ManifestSet) -> Iterator[FieldFinding]:
    """Strategies and steps that Argo refuses."""
    spec, canary = manifest.spec, _canary(manifest)
    strategy = fields_of(spec.get("strategy"))
    if spec and not (canary or strategy.get("blueGreen")):
        yield FieldFinding(("spec", "strategy"), "needs canary or blueGreen", Severity.DOUBT)
    if "canary" in strategy and "blueGreen" in strategy:
        yield FieldFinding(("spec", "strategy", "blueGreen"), "can't be combined with canary")
    if canary.get("trafficRouting") and not (
        (canary.get("canaryService") and canary.get("stableService"))
        or fields_of(fields_of(canary["trafficRouting"]).get("istio")).get("destinationRule")
        or canary.get("pingPong")
    ):
        path = ("spec", "strategy", "canary", "trafficRouting")
        yield FieldFinding(path, "needs canaryService and stableService as well")
    routing = fields_of(canary.get("trafficRouting"))
    yield from _maximum_problems(routing)
    steps = [fields_of(item) for item in items_of(canary.get("steps"))]
    yield from _step_problems(steps, _all_traffic(routing))


def _maximum_problems(routing: dict[str, Any]) -> Iterator[FieldFinding]:
    most = routing.get("maxTrafficWeight")
    path = ("spec", "strategy", "canary", "trafficRouting", "maxTrafficWeight")
    if most is None:
        return
    number = number_of(most)
    if number is None or number <= 0 or number % 1:
        yield FieldFinding(path, f"is {most!r}, must be a whole number above 0")
    elif not (routing.get("nginx") or routing.get("plugins")):
        yield FieldFinding(path, "is for nginx and plugins only; Argo refuses it here")


def _step_problems(steps: list[dict[str, Any]], most: float) -> Iterator[FieldFinding]:
    for index, step in enumerate(steps):
        if len(step) > 1:
            message = f"does {' and '.join(sorted(step))} at once; write a step for each"
            yield FieldFinding((*_STEPS, index), message)
        weight = number_of(step.get("setWeight"))
        if weight is not None and not 0 <= weight <= most:
            where = (*_STEPS, index, "setWeight")
            yield FieldFinding(where, f"is {weight:g}, must be from 0 to {most:g}")
        duration = fields_of(step.get("pause")).get("duration")
        if duration is not None and seconds_of(duration) is None:
            message = f"is {duration!r}, must be seconds or a duration such as 10m"
            yield FieldFinding((*_STEPS, index, "pause", "duration"), message)
    weights = [number_of(step["setWeight"]) for step in steps if "setWeight" in step]
    known = [weight for weight in weights if weight is not None]
    if known != sorted(known):
        yield FieldFinding(_STEPS, "has weights that go down again", Severity.DOUBT)
