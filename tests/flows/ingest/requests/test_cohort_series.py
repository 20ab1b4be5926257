"""Route rules told apart by what each mesh's metrics can say: also on a real Envoy's own labels."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.ingest.requests.pull_requests import pull_requests
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from tests.builders.scraped_source import ScrapedSource
from tests.lab import find_program
from tests.lab.http_calls import answers, get
from tests.lab.processes import Child, PortPool, wait_until
from tests.places import REPOSITORY

START = 1_767_268_800_000
TIMES = range(START, START + 20 * 60_000 + 1, 15_000)
ROUTES = {"premium": {"stable": 50, "canary": 50}, "everyone": {"stable": 90, "canary": 10}}


def spec(mesh: str, label: str, variants: dict[str, Any]) -> Experiment:
    return Experiment.model_validate(
        {
            "experiment": "exam",
            "service": "exam",
            "namespace": "school",
            "mesh": mesh,
            "variants": variants,
            "cohorts": {
                name: {"match": {label: name}, "split": split} for name, split in ROUTES.items()
            },
            "plan": {"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "6h"},
            "sources": {"requests": {"prometheus": "http://localhost:9090"}},
        }
    )


def linkerd(route: str, version: str) -> dict[str, str]:
    return {
        "__name__": "outbound_http_route_backend_response_statuses_total",
        "parent_name": "exam",
        "parent_namespace": "school",
        "route_namespace": "school",
        "route_name": route,
        "backend_name": f"exam-{version}",
        "http_status": "200",
    }


def envoy(route: str, version: str) -> dict[str, str]:
    return {
        "__name__": "envoy_cluster_upstream_rq",
        "envoy_cluster_name": f"{route}--{version}",
        "split_cohort": route,
        "split_version": version,
        "envoy_response_code": "200",
    }


@pytest.mark.parametrize(
    ("of_mesh", "named"),
    [
        (
            linkerd,
            spec(
                "linkerd-policy",
                "route_name",
                {name: {"version": f"exam-{name}"} for name in ("stable", "canary")},
            ),
        ),
        (
            envoy,
            spec(
                "envoy",
                "split_cohort",
                {name: {"labels": {"split_version": name}} for name in ("stable", "canary")},
            ),
        ),
    ],
)
def test_each_route_is_counted_by_itself(tmp_path: Path, of_mesh: Any, named: Experiment) -> None:
    source, target = ScrapedSource(), {"job": "mesh", "instance": "gateway:9901"}
    source.add({"__name__": "up", **target}, dict.fromkeys(TIMES, 1.0))
    for route, split in ROUTES.items():
        for version, requests in split.items():
            counted = {t: float(requests * i) for i, t in enumerate(TIMES)}
            source.add({**of_mesh(route, version), **target}, counted)
    pull_requests(named, source, tmp_path / "w.duckdb", until_ms=TIMES[-1])
    with open_reader(tmp_path / "w.duckdb") as con:
        rows = con.execute(
            "select cohort, variant, sum(requests) from request_buckets group by all"
        ).fetchall()
    whole = {(route, version): 0.0 for route in ROUTES for version in ROUTES[route]}
    found = {(cohort, variant): float(requests) for cohort, variant, requests in rows}
    assert found.keys() == whole.keys()
    for route, split in ROUTES.items():
        total = sum(found[route, version] for version in split)
        for version, percent in split.items():
            assert found[route, version] == pytest.approx(total * percent / 100)


def test_the_documented_tags_give_an_envoy_the_labels(tmp_path: Path) -> None:
    program = find_program("envoy")
    if program is None or shutil.which(program) is None:
        pytest.skip("envoy is not installed")
    text = (REPOSITORY / "docs/how-to/cohorts.md").read_text()
    (tags,) = re.findall(r"```yaml\n(stats_config:.*?)```", text, re.DOTALL)
    ports = PortPool()
    admin = {"socket_address": {"address": "127.0.0.1", "port_value": (port := ports.take())}}
    clusters = [
        {"name": f"{route}--{version}", "type": "STATIC", "connect_timeout": "1s"}
        for route in ROUTES
        for version in ROUTES[route]
    ]
    config = {
        "admin": {"address": admin},
        "static_resources": {"clusters": clusters},
        **yaml.safe_load(tags),
    }
    (tmp_path / "envoy.json").write_text(json.dumps(config))
    arguments = ["-c", str(tmp_path / "envoy.json"), "--disable-hot-restart", "--concurrency", "1"]
    child = Child([program, *arguments], log=tmp_path / "envoy.out")
    try:
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/ready"), what="Envoy")
        page = get(f"http://127.0.0.1:{port}/stats/prometheus").decode()
    finally:
        child.stop()
    labels = re.findall(r"^envoy_cluster_upstream_rq_total\{(.*)\}", page, re.MULTILINE)
    told = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in labels]
    assert {(one["split_cohort"], one["split_version"]) for one in told} == {
        (route, version) for route in ROUTES for version in ROUTES[route]
    }
