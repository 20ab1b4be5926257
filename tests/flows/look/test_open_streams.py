"""Streams that last for minutes are no outage; a version that never answers is one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from tests.builders.harm_traffic import EDGES_MS, SCRAPE_MS, SCRAPES, START, TrafficCell, spec_of
from tests.builders.scraped_source import ScrapedSource

RATE = {"v1": 40, "v2": 10}
# Names of what began, what ended, and its latencies.
COUNTERS = {
    "linkerd": ("request_total", "response_total", "response_latency_ms_bucket"),
    "linkerd-route": (
        "route_request_total",
        "route_response_total",
        "route_response_latency_ms_bucket",
    ),
}


def labels_of(mesh: str, version: str) -> dict[str, str]:
    target = {"job": "pods", "instance": f"{version}:4191", "pod": version}
    named = {"direction": "inbound", "version": version, **target}
    if mesh == "linkerd":
        return named | {"namespace": "shop"}
    return named | {"dst": "web.shop.svc.cluster.local:80", "rt_route": "GET /"}


def streams(mesh: str, *, lasting: dict[str, int | None], old: tuple[str, ...]) -> ScrapedSource:
    """lasting: by version, for how many scrapes; None where none ever ends. old: those that ran."""
    source = ScrapedSource()
    begun_name, ended_name, latency_name = COUNTERS[mesh]
    for version, rate in RATE.items():
        labels, last = labels_of(mesh, version), lasting[version]
        before = 400 if version in old else 0
        ended_labels = {**labels, "status_code": "200", "classification": "success"}
        for i in range(-4, SCRAPES):
            if i < 0 and not before:
                continue
            at = START + (i + 1) * SCRAPE_MS
            begun = rate * (before + i + 1)
            ended = max(0, begun - rate * last) if last is not None else 0
            source.add({"__name__": "up", **labels}, {at: 1.0})
            started = START / 1000 - (100_000 if before else 2)
            source.add({"__name__": "process_start_time_seconds", **labels}, {at: started})
            source.add({"__name__": begun_name, **labels}, {at: float(begun)})
            if not ended:
                continue
            source.add({"__name__": ended_name, **ended_labels}, {at: float(ended)})
            for edge in EDGES_MS:
                le = "+Inf" if edge == EDGES_MS[-1] else f"{edge:g}"
                fast = ended * (edge >= 50 and (last == 0 or le == "+Inf"))
                source.add({"__name__": latency_name, "le": le, **labels}, {at: float(fast)})
    return source


def verdict_of(mesh: str, source: ScrapedSource, folder: Path, minutes: int) -> VerdictDocument:
    spec = spec_of(TrafficCell(mesh, "destination", "none", "clean"))
    until = START + minutes * 60_000
    pull_requests(spec, source, folder / "warehouse.duckdb", until_ms=until)
    at = datetime.fromtimestamp(START / 1000, UTC) + timedelta(minutes=minutes)
    return score_experiment(spec, folder / "warehouse.duckdb", at=at)


@pytest.mark.parametrize("mesh", COUNTERS)
@pytest.mark.parametrize("minutes", [3, 5, 8, 20])
@pytest.mark.parametrize("scrapes", [8, 40])
def test_streams_that_go_on_are_no_outage(
    tmp_path: Path, mesh: str, minutes: int, scrapes: int
) -> None:
    source = streams(mesh, lasting={"v1": scrapes, "v2": scrapes}, old=("v1",))
    found = verdict_of(mesh, source, tmp_path, minutes)
    assert found.decision is Decision.HOLD, found.reasons


@pytest.mark.parametrize("mesh", COUNTERS)
def test_a_version_that_never_answers_beside_one_that_does_is_rolled_back(
    tmp_path: Path, mesh: str
) -> None:
    source = streams(mesh, lasting={"v1": 0, "v2": None}, old=("v1",))
    found = verdict_of(mesh, source, tmp_path, 5)
    assert found.decision is Decision.ROLLBACK, found.reasons


@pytest.mark.parametrize("mesh", COUNTERS)
def test_streams_that_never_end_are_never_promoted(tmp_path: Path, mesh: str) -> None:
    source = streams(mesh, lasting={"v1": 40, "v2": None}, old=("v1", "v2"))
    found = verdict_of(mesh, source, tmp_path, 20)
    assert found.decision in (Decision.HOLD, Decision.INVALID), found.reasons
