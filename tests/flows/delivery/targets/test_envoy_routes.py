"""Weights in Envoy's files, which a real Envoy obeys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.target import (
    ShiftedRoutes,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from flows.warehouse.file_lock import file_lock
from tests.lab.lab import Lab
from tests.lab.topology import ServiceSpec, VariantSpec
from tests.places import PATIENCE_S
from tests.servers.small_disk import small_disk

CLUSTERS = {"stable": "exam-stable", "canary": "exam-canary"}


def routes(*named: dict[str, Any]) -> dict[str, Any]:
    hosts = [{"name": "exam", "domains": ["*"], "routes": list(named)}]
    return {"version_info": "7", "resources": [{"name": "routes", "virtual_hosts": hosts}]}


def route(name: str = "exam", **weights: int) -> dict[str, Any]:
    clusters = [
        {"name": f"exam-{variant}", "weight": weight} for variant, weight in weights.items()
    ]
    action = {"timeout": "3s", "weighted_clusters": {"clusters": clusters}}
    return {"name": name, "match": {"prefix": "/"}, "route": action}


def target(path: Path, data: object) -> EnvoyRoutes:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return EnvoyRoutes(path, CLUSTERS)


def shift(routes: EnvoyRoutes, **weights: float) -> None:
    routes.shift(weights, fence=1, expected=routes.read().revision, reason="a test")


def test_every_route_that_splits_is_shifted_and_the_rest_stays(tmp_path: Path) -> None:
    single = {"name": "test", "match": {"prefix": "/"}, "route": {"cluster": "exam-canary"}}
    found = target(
        tmp_path / "routes.json",
        routes(single, route("one", stable=90, canary=10), route("two", stable=9, canary=1)),
    )
    shift(found, stable=99.5, canary=0.5)
    after = json.loads(found.path.read_text())
    assert after["version_info"] == "8"
    first, one, two = after["resources"][0]["virtual_hosts"][0]["routes"]
    assert first == single
    for each in (one, two):
        clusters = each["route"]["weighted_clusters"]["clusters"]
        assert [entry["weight"] for entry in clusters] == [99500, 500]
        assert each["route"]["timeout"] == "3s"
    assert found.read().weights == {"stable": 99.5, "canary": 0.5}


def test_the_same_shift_with_the_same_fence_reads_the_same(tmp_path: Path) -> None:
    found = target(tmp_path / "routes.json", routes(route(stable=100, canary=0)))
    shift(found, stable=95, canary=5)
    assert found.read().fence == 1
    with pytest.raises(SplitChanged):
        found.shift({"stable": 0, "canary": 100}, fence=2, expected="old", reason="")


def test_yaml_is_read_and_written_too(tmp_path: Path) -> None:
    path = tmp_path / "routes.yaml"
    found = target(path, yaml.safe_dump(routes(route(stable=100, canary=0))))
    shift(found, stable=80, canary=20)
    assert found.read().weights == {"stable": 80.0, "canary": 20.0}
    assert yaml.safe_load(path.read_text())["version_info"] == "8"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ('{"resources": [', "is not whole JSON"),
        ("[]", "has no `resources`: it must be a DiscoveryResponse"),
        (routes(route(stable=100)), "no route has weighted_clusters with exam-"),
        (routes(route(stable=100, canary=0, other=5)), "must be those of exam-stable and"),
        (routes(route(stable=0, canary=0)), "and more than 0"),
        (
            routes(route("one", stable=9, canary=1), route("two", stable=5, canary=5)),
            "the routes one, two split differently; name one",
        ),
        (
            json.loads(json.dumps(routes(route(stable=1, canary=1))).replace(": 1}", ': "1"}')),
            "weights must be whole numbers",
        ),
    ],
    ids=["cut", "list", "one cluster", "third cluster", "nothing", "two splits", "text"],
)
def test_a_file_without_our_split_is_explained(tmp_path: Path, data: object, problem: str) -> None:
    found = target(tmp_path / "routes.json", data)
    before = found.path.read_bytes()
    with pytest.raises(TargetRefused, match=problem) as error:
        found.read()
    assert str(found.path) in str(error.value)
    assert found.path.read_bytes() == before


def test_a_change_to_another_services_routes_is_none_of_ours(tmp_path: Path) -> None:
    other = {"name": "other", "match": {"prefix": "/"}, "route": {"cluster": "other"}}
    data = routes(route(stable=9, canary=1), other)
    found = target(tmp_path / "routes.json", data)
    before = found.read().revision
    other["route"] = {"cluster": "another"}
    target(found.path, data)
    assert found.read().revision == before


def test_one_of_several_routes_can_be_named(tmp_path: Path) -> None:
    data = routes(route("one", stable=9, canary=1), route("two", stable=5, canary=5))
    found = replace(target(tmp_path / "routes.json", data), routes=ShiftedRoutes("two"))
    shift(found, stable=20, canary=80)
    first, second = json.loads(found.path.read_text())["resources"][0]["virtual_hosts"][0]["routes"]
    assert first == route("one", stable=9, canary=1)
    assert second["route"]["weighted_clusters"]["clusters"][1]["weight"] == 80


def test_a_missing_file_may_come_back(tmp_path: Path) -> None:
    with pytest.raises(TargetUnavailable, match="can't be read: No such file"):
        EnvoyRoutes(tmp_path / "routes.json", CLUSTERS).read()


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    variants = [VariantSpec("stable", "v1", weight=100), VariantSpec("canary", "v2", weight=0)]
    with Lab([ServiceSpec("exam", "shop", variants)]) as running:
        yield running


@pytest.fixture
def live(lab: Lab) -> EnvoyRoutes:
    envoy = lab.gateway.envoy
    return EnvoyRoutes(envoy.files.routes, CLUSTERS, admin=envoy.admin_url)


def answered_by(lab: Lab, calls: int) -> Counter[str]:
    with requests.Session() as session:
        session.headers["Host"] = "exam"
        asked = (session.get(lab.gateway_url, timeout=PATIENCE_S) for _ in range(calls))
        return Counter(answer.headers["x-variant"] for answer in asked)


def test_envoy_obeys_when_a_shift_returns(lab: Lab, live: EnvoyRoutes) -> None:
    shift(live, stable=0, canary=100)
    assert answered_by(lab, 50) == {"canary": 50}
    shift(live, stable=50, canary=50)
    # 300 draws of a half: beyond 200 lies a chance of 1e-8.
    assert answered_by(lab, 300)["canary"] == pytest.approx(150, abs=50)
    assert live.read().weights == {"stable": 50.0, "canary": 50.0}


def test_what_envoy_has_not_taken_is_not_read_as_applied(lab: Lab, live: EnvoyRoutes) -> None:
    shift(live, stable=100, canary=0)
    good = live.path.read_bytes()
    data = json.loads(good)
    data["resources"][0]["virtual_hosts"][0]["retry_policy"] = {"num_retries": "many"}
    data["version_info"] = "1000"
    partial = live.path.with_suffix(".next")
    partial.write_text(json.dumps(data))
    partial.rename(live.path)
    with pytest.raises((TargetRefused, TargetUnavailable)):
        live.read()
    partial.write_bytes(good)
    partial.rename(live.path)
    assert live.read().weights["stable"] == 100
    assert answered_by(lab, 20) == {"stable": 20}


def test_an_admin_that_is_gone_is_named(live: EnvoyRoutes) -> None:
    with pytest.raises(TargetUnavailable, match="Envoy's admin at http:"):
        replace(live, admin="http://127.0.0.1:9").read()


def test_what_a_killed_controller_had_half_written_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "routes.json"
    found = target(path, routes(route(stable=90, canary=10)))
    half = tmp_path / ".routes.json.partial"
    half.write_text("{")
    with file_lock(tmp_path / ".routes.json.lock", shared=False, deadline=0):
        found.read()
        assert half.exists()
    found.read()
    assert not half.exists()


def test_a_full_disk_leaves_the_file_and_nothing_beside_it(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", megabytes=0.25) as disk:
        path = disk / "routes.json"
        found = target(path, routes(route(stable=90, canary=10)))
        before = path.read_bytes()
        with suppress(OSError), (disk / "filler").open("wb") as filler:
            filler.write(bytes(1 << 20))
        with pytest.raises(TargetUnavailable, match="can't be written"):
            shift(found, stable=75, canary=25)
        assert path.read_bytes() == before
        assert not (disk / ".routes.json.partial").exists()
