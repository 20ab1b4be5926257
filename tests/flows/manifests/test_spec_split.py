"""Weights and steps of a spec are those that the controller or the mesh will give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.formats.problems import InputError
from flows.manifests.read import read_manifests
from flows.manifests.spec_split import conflicting_splits, disagreements, mixed_cohorts
from flows.spec.experiment import Experiment
from flows.workspace.experiments import load_spec
from tests.builders.cluster_objects import (
    backend,
    canary,
    candidate_percents,
    object_of,
    read,
    rollout,
    spec_of,
    subsets,
    text_of,
    told,
)


@pytest.mark.parametrize(
    ("analysis", "percents"),
    [
        ({"stepWeight": 20, "maxWeight": 50}, [20, 40, 60]),
        ({"stepWeight": 10, "maxWeight": 30}, [10, 20, 30]),
        ({"stepWeight": 30, "maxWeight": 50}, [30, 60]),
        ({"stepWeight": 15, "maxWeight": 50}, [15, 30, 45, 60]),
        ({"stepWeight": 30}, [30, 60, 90]),
        ({"stepWeight": 60, "maxWeight": 50}, [60]),
        ({"stepWeight": 7, "maxWeight": 20}, [7, 14, 21]),
        ({"stepWeights": [1, 10, 50]}, [1, 10, 50]),
    ],
)
def test_flagger_adds_steps_until_the_maximum_is_reached(
    tmp_path: Path, analysis: dict[str, Any], percents: list[float]
) -> None:
    assert candidate_percents(spec_of(tmp_path, canary(analysis))) == percents


def test_a_step_that_does_not_divide_is_named(tmp_path: Path) -> None:
    text = told(tmp_path, canary({"stepWeight": 20, "maxWeight": 50}))
    assert "stepWeight: doesn't divide maxWeight: the last weight is 60, not 50" in text
    assert told(tmp_path, canary({"stepWeight": 25, "maxWeight": 50})) == ""


@pytest.mark.parametrize(
    ("most", "weights", "percents"),
    [
        (None, [5, 50], [5, 50]),
        (100, [5, 50], [5, 50]),
        (1000, [5, 50, 500], [0.5, 5, 50]),
        (10_000, [1, 2500], [0.01, 25]),
        (3, [1, 2], [33.333333, 66.666667]),
        (20, [1, 10], [5, 50]),
    ],
)
def test_argos_weights_are_parts_of_the_maximum(
    tmp_path: Path, most: int | None, weights: list[int], percents: list[float]
) -> None:
    routing: dict[str, Any] = {"nginx": {"stableIngress": "exam"}}
    found = rollout(weights, routing | ({"maxTrafficWeight": most} if most else {}))
    assert candidate_percents(spec_of(tmp_path, found)) == percents
    assert told(tmp_path, found) == ""


def test_the_labels_that_argo_gives_to_roles_are_their_versions(tmp_path: Path) -> None:
    found = rollout([5], {})
    del found["spec"]["strategy"]["canary"]["canaryService"]
    del found["spec"]["strategy"]["canary"]["stableService"]
    assert "differ by a hash only" in text_of(tmp_path, found)
    for role, version in (("stable", "v1"), ("canary", "v2")):
        metadata = {"labels": {"version": version}}
        found["spec"]["strategy"]["canary"][f"{role}Metadata"] = metadata
    assert "differ by a hash only" not in text_of(tmp_path, found)
    variants = spec_of(tmp_path, found).variants
    assert {name: one.version for name, one in variants.items()} == {"stable": "v1", "canary": "v2"}


@pytest.mark.parametrize(
    ("routing", "weight", "message"),
    [
        ({"nginx": {}, "maxTrafficWeight": 1000}, 1001, "is 1001, must be from 0 to 1000"),
        ({"nginx": {}}, 500, "is 500, must be from 0 to 100"),
        ({"istio": {}, "maxTrafficWeight": 1000}, 5, "is for nginx and plugins only"),
        ({"nginx": {}, "maxTrafficWeight": 0}, 5, "is 0, must be a whole number above 0"),
    ],
)
def test_weights_that_argo_refuses_are_named(
    tmp_path: Path, routing: dict[str, Any], weight: int, message: str
) -> None:
    if "nginx" in routing:
        routing = routing | {"nginx": {"stableIngress": "exam"}}
    assert message in told(tmp_path, rollout([weight], routing))


@pytest.mark.parametrize("weights", [(900, 100), (9, 1), (27, 3)])
def test_weights_of_any_sum_are_shares(tmp_path: Path, weights: tuple[int, int]) -> None:
    stable, new = weights
    spec = {"parentRefs": [{"kind": "Service", "name": "exam"}]}
    rules = [{"backendRefs": [backend("exam-stable", stable), backend("exam-canary", new)]}]
    route = object_of("HTTPRoute", "gateway.networking.k8s.io/v1", {**spec, "rules": rules})
    assert spec_of(tmp_path, route).split == {"exam-stable": 90.0, "exam-canary": 10.0}


_KINDS = {
    "VirtualService": "networking.istio.io/v1",
    "TrafficSplit": "split.smi-spec.io/v1alpha2",
    "ServiceProfile": "linkerd.io/v1alpha2",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
}
_PAIR = ("stable", "canary")
of_each_kind = pytest.mark.parametrize("kind", _KINDS)


def split_of(kind: str, *shares: tuple[str, Any], **names: str) -> dict[str, Any]:
    """An object that splits the requests to exam; receivers have ports of their own."""
    targets: list[dict[str, Any]] = []
    for port, (name, weight) in enumerate(shares, start=80):
        own: dict[str, dict[str, Any]] = {
            "VirtualService": {
                "destination": {"host": "exam", "subset": name, "port": {"number": port}}
            },
            "TrafficSplit": {"service": name},
            "ServiceProfile": {"authority": f"{name}.shop.svc.cluster.local:{port}"},
        }
        targets.append({**own.get(kind, {"name": name, "port": port}), "weight": weight})
    rules = {
        "parentRefs": [{"kind": "Service", "name": "exam"}],
        "rules": [{"backendRefs": targets}],
    }
    specs: dict[str, dict[str, Any]] = {
        "VirtualService": {"hosts": ["exam"], "http": [{"route": targets}]},
        "TrafficSplit": {"service": "exam", "backends": targets},
        "ServiceProfile": {"dstOverrides": targets},
    }
    if kind == "ServiceProfile":
        names = {"name": "exam.shop.svc.cluster.local", **names}
    return object_of(kind, _KINDS[kind], specs.get(kind, rules), **names)


def split_by(
    folder: Path, *objects: dict[str, Any], versions: tuple[str, str] = _PAIR
) -> Experiment:
    """A spec that leaves the split between its two versions to the objects."""
    read(folder, *objects)
    path = folder / "exam.yaml"
    stable, new = versions
    path.write_text(
        "{experiment: exam, service: exam, namespace: shop, mesh: istio, manifests: [m.yaml],"
        f"variants: {{stable: {{version: {stable}}}, canary: {{version: {new}}}}},"
        "sources: {requests: {prometheus: 'http://p'}}}"
    )
    return load_spec(path)


@of_each_kind
def test_a_receiver_that_is_listed_twice_has_all_of_its_weights(tmp_path: Path, kind: str) -> None:
    found = split_of(kind, ("stable", 45), ("canary", 10), ("stable", 45))
    assert split_by(tmp_path, found).split == {"stable": 90.0, "canary": 10.0}
    assert spec_of(tmp_path, found).split == {"stable": 90.0, "canary": 10.0}
    assert "the same name" not in text_of(tmp_path, found)


@of_each_kind
@pytest.mark.parametrize("weight", ["{{ .Values.weight }}", "$(WEIGHT)", "90 %", "1e1", -10])
def test_a_weight_that_cannot_be_read_is_not_nothing(
    tmp_path: Path, kind: str, weight: str | int
) -> None:
    found = split_of(kind, ("stable", weight), ("canary", 10))
    for read_it in (split_by, spec_of):
        with pytest.raises(InputError, match=r"m.yaml:1: spec\..*\[0\]\.weight: (is|must be) "):
            read_it(tmp_path, found)


@of_each_kind
def test_a_split_in_another_namespace_is_another(tmp_path: Path, kind: str) -> None:
    own, other = (split_of(kind, ("stable", 90 - n), ("canary", 10 + n)) for n in (0, 40))
    other = json.loads(json.dumps(other).replace("shop", "test"))
    spec = split_by(tmp_path, own, other)
    manifests = read_manifests([tmp_path / "m.yaml"])
    assert spec.split == {"stable": 90.0, "canary": 10.0}
    assert not conflicting_splits(spec, manifests)
    assert not mixed_cohorts(spec, manifests)
    assert not list(disagreements(spec, manifests))
    spec = split_by(tmp_path, other)
    (said,) = disagreements(spec, read_manifests([tmp_path / "m.yaml"]))
    assert "is in another namespace than the spec's shop" in said


def test_a_split_of_another_service_is_another(tmp_path: Path) -> None:
    own = split_of("VirtualService", ("stable", 90), ("canary", 10))
    other = split_of("VirtualService", ("stable", 50), ("canary", 50), name="quiz")
    other = json.loads(json.dumps(other).replace("exam", "quiz"))
    spec = split_by(tmp_path, own, other)
    manifests = read_manifests([tmp_path / "m.yaml"])
    assert spec.split == {"stable": 90.0, "canary": 10.0}
    assert not mixed_cohorts(spec, manifests)
    assert not list(disagreements(spec, manifests))
    spec = split_by(tmp_path, other)
    (said,) = disagreements(spec, read_manifests([tmp_path / "m.yaml"]))
    assert "splits requests to quiz, the spec has service exam" in said


@pytest.mark.parametrize(
    ("labels", "split"),
    [
        (("v1", "v2"), {"stable": 90.0, "canary": 10.0}),
        (("v2", "v1"), {"stable": 10.0, "canary": 90.0}),  # subsets named for the other version
        (("v2", "v3"), None),  # the rule is of the next rollout
    ],
)
def test_a_subset_is_the_variant_of_its_version(
    tmp_path: Path, labels: tuple[str, str], split: dict[str, float] | None
) -> None:
    named = {name: {"version": one} for name, one in zip(_PAIR, labels, strict=True)}
    assert split_by(tmp_path, *subsets("exam", named), versions=("v1", "v2")).split == split
