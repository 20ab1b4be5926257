"""Weights are read from and written to each kind of manifest in its own way.

Covers flows.delivery.targets.yaml_edit.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flows.delivery.targets.manifest_weights import changed_weights, read_weights
from flows.delivery.targets.target import ShiftedRoutes, TargetRefused
from tests.builders.manifests import BY_KIND, HTTP_ROUTE, NAMES, TRAFFIC_SPLIT, VIRTUAL_SERVICE


def loaded(text: str, **changes: str) -> dict[str, Any]:
    for old, new in changes.items():
        text = text.replace(old.replace("_", " "), new)
    data: dict[str, Any] = yaml.safe_load(text)
    return data


@pytest.mark.parametrize("kind", BY_KIND)
def test_the_split_is_read_in_percent(kind: str) -> None:
    assert read_weights(loaded(BY_KIND[kind]), NAMES) == {"stable": 90.0, "canary": 10.0}


def test_quantities_are_numbers() -> None:
    text = TRAFFIC_SPLIT.replace("weight: 90", "weight: 900m").replace("weight: 10", "weight: 100m")
    assert read_weights(yaml.safe_load(text), NAMES) == {"stable": 90.0, "canary": 10.0}


def test_a_route_without_the_candidate_keeps_its_weights() -> None:
    changed = changed_weights(loaded(VIRTUAL_SERVICE), NAMES, {"stable": 75, "canary": 25})
    assert changed == {
        ("spec", "http", 1, "route", 0, "weight"): 75,
        ("spec", "http", 1, "route", 1, "weight"): 25,
    }


def test_half_percents_are_scaled_where_weights_are_relative_only() -> None:
    half = {"stable": 99.5, "canary": 0.5}
    changed = changed_weights(loaded(TRAFFIC_SPLIT), NAMES, half)
    assert list(changed.values()) == [99500, 500]
    with pytest.raises(TargetRefused, match="has whole percents only, not stable 99"):
        changed_weights(loaded(VIRTUAL_SERVICE), NAMES, half)


def test_a_service_may_be_named_by_its_whole_host() -> None:
    text = VIRTUAL_SERVICE.replace(
        "{host: exam, subset: exam-stable}", "{host: exam-stable.shop.svc.cluster.local}"
    ).replace("{host: exam, subset: exam-canary}", "{host: exam-canary.shop.svc.cluster.local}")
    assert read_weights(yaml.safe_load(text), NAMES) == {"stable": 90.0, "canary": 10.0}


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("'exam-canary'", "exam-cannary", "no list of backends has exam-canary and exam-stable"),
        ("weight: 10", "weight: ten", "spec.backends.1.weight is 'ten', must be a number"),
        (
            "    weight: 10\n",
            "    weight: 10\n  - service: other\n    weight: 5\n",
            "all weight must be with exam-stable and exam-canary",
        ),
        ("weight: 90", "weight: 0", None),
    ],
)
def test_what_is_no_split_of_ours_is_refused(old: str, new: str, problem: str | None) -> None:
    text = TRAFFIC_SPLIT.replace(old, new)
    if problem is None:
        assert read_weights(yaml.safe_load(text), NAMES) == {"stable": 0.0, "canary": 100.0}
        return
    with pytest.raises(TargetRefused, match=problem):
        read_weights(yaml.safe_load(text), NAMES)


def test_routes_that_split_differently_are_refused() -> None:
    other = VIRTUAL_SERVICE.partition("  # everybody else\n")[2].replace("90", "50")
    text = VIRTUAL_SERVICE + other.replace("weight: 10", "weight: 50")
    with pytest.raises(TargetRefused, match=r"split differently .*\(delivery.target.route\)"):
        read_weights(yaml.safe_load(text), NAMES)


TWO_ROUTES = {
    "VirtualService": VIRTUAL_SERVICE.replace("- match:", "- name: test\n    match:").replace(
        "- route:", "- name: rest\n    route:"
    )
    + VIRTUAL_SERVICE.partition("  # everybody else\n")[2]
    .replace("- route:", "- name: region\n    route:")
    .replace("90", "50")
    .replace("weight: 10", "weight: 50"),
    "HTTPRoute": HTTP_ROUTE.replace("- backendRefs", "- name: rest\n    backendRefs")
    + HTTP_ROUTE.partition("rules:\n")[2]
    .replace("- backendRefs", "- name: region\n    backendRefs")
    .replace("900", "500")
    .replace("weight: 100", "weight: 500"),
}


@pytest.mark.parametrize("kind", TWO_ROUTES)
def test_only_the_route_that_is_named_is_shifted(kind: str) -> None:
    manifest = yaml.safe_load(TWO_ROUTES[kind])
    for name, share in (("rest", 10), ("region", 50)):
        routes = ShiftedRoutes(name, at_most=1)
        assert read_weights(manifest, NAMES, routes)["canary"] == share
        changed = changed_weights(manifest, NAMES, {"stable": 75, "canary": 25}, routes)
        assert len({path[:3] for path in changed}) == 1
        assert sorted(changed.values()) == [25, 75]
    for routes, why in (
        (ShiftedRoutes("other"), "no list of backends of route other has"),
        (ShiftedRoutes(at_most=1), r"2 of its routes split .* \(delivery.target.route\)"),
    ):
        with pytest.raises(TargetRefused, match=why):
            changed_weights(manifest, NAMES, {"stable": 75, "canary": 25}, routes)
