"""A part of the plan that the source knows nothing of is no good news."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from tests.builders.harm_traffic import (
    MESHES,
    SCRAPE_MS,
    SCRAPES,
    START,
    TrafficCell,
    scraped,
    spec_of,
)
from tests.builders.scraped_source import ScrapedSource

MINUTE = 60_000
END = START + SCRAPES * SCRAPE_MS


def ran_before(cell: TrafficCell) -> ScrapedSource:
    """Of pods that began a day ago."""
    source = ScrapedSource()
    for key, samples in scraped(cell).series.items():
        added = {"up": 0.0, "process_start_time_seconds": -86_400.0}
        more = added.get(dict(key)["__name__"], 1_000_000.0)
        source.add(dict(key), {t: value + more for t, value in samples.items()})
    return source


def known(source: ScrapedSource, begin_ms: int, end_ms: int = END) -> ScrapedSource:
    """What a server has that keeps, or has scraped, only that."""
    found = ScrapedSource()
    for key, samples in source.series.items():
        found.add(dict(key), {t: v for t, v in samples.items() if begin_ms < t <= end_ms})
    return found


def verdict_of(cell: TrafficCell, source: ScrapedSource, folder: Path) -> VerdictDocument:
    warehouse = folder / "warehouse.duckdb"
    spec = spec_of(cell)
    pull_requests(spec, source, warehouse, until_ms=END)
    at = datetime.fromtimestamp(START / 1000, UTC) + timedelta(milliseconds=END - START)
    return score_experiment(spec, warehouse, at=at)


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("minutes", [3, 10])
def test_a_source_that_begins_within_the_plan_holds(
    tmp_path: Path, mesh: tuple[str, str], minutes: int
) -> None:
    cell = TrafficCell(*mesh, "none", "clean")
    found = verdict_of(cell, known(ran_before(cell), START + minutes * MINUTE), tmp_path)
    assert found.decision is Decision.HOLD, found.reasons
    first = START + minutes * MINUTE + SCRAPE_MS
    said = f"to {datetime.fromtimestamp(first / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    assert "nothing is known of requests of stable and canary from" in found.reasons[0]
    assert said in found.reasons[0]


@pytest.mark.parametrize("mesh", MESHES, ids=str)
def test_one_that_begins_a_scrape_later_is_promoted(tmp_path: Path, mesh: tuple[str, str]) -> None:
    cell = TrafficCell(*mesh, "none", "clean")
    found = verdict_of(cell, known(ran_before(cell), START + 30_000), tmp_path)
    assert found.decision is Decision.PROMOTE, found.reasons


def test_harm_in_what_is_known_rolls_back(tmp_path: Path) -> None:
    cell = TrafficCell("istio", "destination", "failures", "clean")
    found = verdict_of(cell, known(ran_before(cell), START + 10 * MINUTE), tmp_path)
    assert found.decision is Decision.ROLLBACK, found.reasons


def test_pods_that_come_later_leave_nothing_unknown(tmp_path: Path) -> None:
    """A canary that is deployed within the plan, of which no server knows when it started."""
    cell = TrafficCell("istio", "destination", "none", "clean")
    source, whole = ScrapedSource(), ran_before(cell)
    for key, samples in scraped(cell).series.items():
        labels = dict(key)
        is_canary = labels["instance"].startswith("canary")
        if is_canary and labels["__name__"] == "process_start_time_seconds":
            continue
        source.add(labels, samples if is_canary else whole.series[key])
    found = verdict_of(cell, source, tmp_path)
    assert found.decision is Decision.PROMOTE, found.reasons
