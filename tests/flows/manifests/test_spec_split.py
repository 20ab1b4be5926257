"""Weights and steps of a new spec are those that the controller or the mesh will give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.builders.cluster_objects import (
    backend,
    canary,
    candidate_percents,
    object_of,
    rollout,
    spec_of,
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
