"""Objects of a cluster as manifests have them, and the spec that is written of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flows.manifests.new_spec import new_spec
from flows.manifests.read import Manifests, read_manifests
from flows.manifests.split_choice import SpecAnswers, choose_split
from flows.spec.experiment import Experiment
from flows.workspace.experiments import load_spec

NOTHING_WANTED = SpecAnswers(name="exam")


def object_of(kind: str, version: str, spec: dict[str, Any], **names: str) -> dict[str, Any]:
    metadata = {"name": "exam", "namespace": "shop"} | names
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def read(folder: Path, *objects: dict[str, Any]) -> Manifests:
    path = folder / "m.yaml"
    path.write_text("\n---\n".join(map(json.dumps, objects)))
    return read_manifests([path])


def text_of(folder: Path, *objects: dict[str, Any], wanted: SpecAnswers = NOTHING_WANTED) -> str:
    split = choose_split(read(folder, *objects), wanted)
    return new_spec(split, wanted, files=[folder / "m.yaml"], spec_dir=folder)


def spec_of(
    folder: Path, *objects: dict[str, Any], wanted: SpecAnswers = NOTHING_WANTED
) -> Experiment:
    """What the product itself reads in the spec that it writes."""
    path = folder / "exam.yaml"
    path.write_text(text_of(folder, *objects, wanted=wanted))
    return load_spec(path)


def told(folder: Path, *objects: dict[str, Any]) -> str:
    return "\n".join(map(str, read(folder, *objects).findings))


def destination(host: str, weight: int, subset: str | None = None) -> dict[str, Any]:
    named = {"host": host} | ({"subset": subset} if subset else {})
    return {"destination": named, "weight": weight}


def virtual_service(
    hosts: list[str],
    *,
    to: tuple[str, str] = ("exam-stable", "exam-canary"),
    gateways: list[str] | None = None,
    **names: str,
) -> dict[str, Any]:
    route = {"name": "main", "route": [destination(to[0], 90), destination(to[1], 10)]}
    more = {"gateways": gateways} if gateways else {}
    spec = {"hosts": hosts, "http": [route], **more}
    return object_of("VirtualService", "networking.istio.io/v1", spec, **names)


def subsets(host: str, labels: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A host whose traffic goes to two subsets, and the rule that says what they are."""
    first, second = labels
    routes = [destination(host, 90, first), destination(host, 10, second)]
    rule = {
        "host": host,
        "subsets": [{"name": name, "labels": wanted} for name, wanted in labels.items()],
    }
    return (
        object_of(
            "VirtualService",
            "networking.istio.io/v1",
            {"hosts": [host], "http": [{"route": routes}]},
        ),
        object_of("DestinationRule", "networking.istio.io/v1", rule),
    )


def canary(analysis: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "exam"}
    steps = {"interval": "10m", "threshold": 5, **analysis}
    spec = {"provider": "istio", "targetRef": target, "service": {"port": 80}, "analysis": steps}
    return object_of("Canary", "flagger.app/v1beta1", spec | more)


def rollout(weights: list[int], routing: dict[str, Any]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for weight in weights:
        steps += [{"setWeight": weight}, {"pause": {"duration": "10m"}}]
    strategy = {
        "canaryService": "exam-canary",
        "stableService": "exam-stable",
        "trafficRouting": routing,
        "steps": steps,
    }
    return object_of("Rollout", "argoproj.io/v1alpha1", {"strategy": {"canary": strategy}})


def gateway_route(
    class_: str, *references: dict[str, Any], kind: str = "HTTPRoute"
) -> tuple[dict[str, Any], dict[str, Any]]:
    version = "gateway.networking.k8s.io/v1"
    rules = [{"backendRefs": list(references)}]
    return (
        object_of("Gateway", version, {"gatewayClassName": class_}, name="edge"),
        object_of(kind, version, {"parentRefs": [{"name": "edge"}], "rules": rules}),
    )


def backend(name: str, weight: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, "weight": weight, **more}


FILTER = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x"]}}]


def candidate_percents(spec: Experiment) -> list[float]:
    (candidate,) = (name for name in spec.variants if name != spec.baseline)
    return [stage.weights[candidate] for stage in spec.stages]
