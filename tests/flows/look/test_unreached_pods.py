"""Requests that reached no pod are counted by the clients' proxies alone, and no less harm."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.ingest.requests.pull_requests import RequestPull, pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from tests.builders.harm_traffic import (
    RATE,
    SCRAPE_MS,
    SCRAPES,
    START,
    TrafficCell,
    scraped,
    spec_of,
)

NOWHERE = {"destination_workload": "unknown", "destination_canonical_revision": "latest"}
V1, V2, V3 = (
    {
        "destination_workload": f"web-{version}",
        "destination_version": version,
        "destination_canonical_revision": version,
    }
    for version in ("v1", "v2", "v3")
)
CELL = TrafficCell("istio", "destination", "none", "clean")


def verdict_of(
    folder: Path, flags: str, labels: Mapping[str, str], *, share: float = 0.1, code: str = "503"
) -> tuple[RequestPull, VerdictDocument]:
    """A look at healthy pods; a client lost so many requests, as a share of the canary's."""
    source = scraped(CELL)
    target = {"job": "pods", "instance": "client:15020", "pod": "client"}
    for i in range(SCRAPES):
        at = START + (i + 1) * SCRAPE_MS
        source.add({"__name__": "up", **target}, {at: 1.0})
        source.add({"__name__": "process_start_time_seconds", **target}, {at: START / 1000 - 2})
        failed = {
            "__name__": "istio_requests_total",
            "reporter": "source",
            "destination_service_name": "web",
            "destination_service_namespace": "shop",
            "response_code": code,
            "response_flags": flags,
            **target,
            **labels,
        }
        source.add(failed, {at: float(round(share * 4 * RATE["canary"] * (i + 1)))})
    end = START + SCRAPES * SCRAPE_MS
    spec = spec_of(CELL)
    pulled = pull_requests(spec, source, folder / "warehouse.duckdb", until_ms=end)
    at_end = datetime.fromtimestamp(START / 1000, UTC) + timedelta(milliseconds=end - START)
    return pulled, score_experiment(spec, folder / "warehouse.duckdb", at=at_end)


@pytest.mark.parametrize("flags", ["UF", "UH", "UO", "NC", "UC", "UF,URX", "URX,UF", "DI,UF"])
@pytest.mark.parametrize("labels", [NOWHERE, V2], ids=["of no version", "of the canary"])
def test_what_reached_no_pod_holds(tmp_path: Path, flags: str, labels: Mapping[str, str]) -> None:
    pulled, found = verdict_of(tmp_path, flags, labels)
    if "DI" in flags:  # a fault that somebody configured
        assert pulled.unattributed == 0
        return
    assert found.decision is Decision.HOLD, found.reasons
    assert found.reasons[0].startswith("unattributed: canary has ")


@pytest.mark.parametrize("labels", [V1, V3], ids=["of the baseline", "of another version"])
def test_what_others_lost_is_not_the_canarys(tmp_path: Path, labels: Mapping[str, str]) -> None:
    pulled, found = verdict_of(tmp_path, "UF", labels)
    assert pulled.unattributed == 0
    assert found.decision is Decision.PROMOTE, found.reasons


@pytest.mark.parametrize(("flags", "code"), [("-", "503"), ("UT", "504"), ("-", "200")])
def test_what_a_pod_has_counted_is_not_read_from_the_client_too(
    tmp_path: Path, flags: str, code: str
) -> None:
    pulled, found = verdict_of(tmp_path, flags, V2, code=code)
    assert (pulled.unattributed, pulled.foreign_series) == (0, 0)
    assert found.decision is Decision.PROMOTE, found.reasons


def test_a_few_are_within_the_margin(tmp_path: Path) -> None:
    pulled, found = verdict_of(tmp_path, "UF", NOWHERE, share=0.001)
    assert pulled.unattributed > 0
    assert found.decision is Decision.PROMOTE, found.reasons
