"""A server that was begun anew, or keeps little, takes nothing away that was pulled before.

Covers flows.ingest.requests.known_pasts.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from analysis.verdict import Decision
from flows.ingest.requests.plain_counters import BucketRows, CountedWindow, load_buckets
from flows.ingest.requests.pull_requests import pull_requests
from flows.ingest.requests.windows import LoadedWindow, NewWindow, Window, pending_windows
from flows.look.evaluate import score_experiment
from tests.builders.harm_traffic import MESHES, SCRAPE_MS, SCRAPES, TrafficCell, spec_of
from tests.builders.harm_traffic import START as CELL_START
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    SCRAPE,
    START,
    add_evidence,
    contents,
    experiment,
    istio,
    pull,
    requests,
    rows,
    scrapes,
)
from tests.flows.look.test_unseen_requests import known, ran_before

MINUTE = 60_000
END = START + 2 * HOUR
TIMES = scrapes(START - HOUR, END)


def a_service(*, restarted: int | None = None) -> ScrapedSource:
    """Pods of two versions that ran for a day; those of one may have restarted."""
    source = ScrapedSource()
    for version in ("v1", "v2"):
        for code, grows in (("200", 50), ("503", 3)):
            labels = istio(version, version, response_code=code)
            begin = next((i for i, t in enumerate(TIMES) if t == restarted), None)
            counted = {
                t: 10_000 * grows + grows * i if begin is None or i < begin else grows * (i - begin)
                for i, t in enumerate(TIMES)
            }
            source.add(labels, counted)
        before = [t for t in TIMES if restarted is None or t < restarted]
        add_evidence(source, labels, dict.fromkeys(before, 1), START - 24 * HOUR)
        if restarted is not None:
            after = [t for t in TIMES if t >= restarted]
            add_evidence(source, labels, dict.fromkeys(after, 1), restarted - 1_000)
    return source


@pytest.mark.parametrize("lost_at", [10, 30, 60, 70])
@pytest.mark.parametrize("away", [0, 4, 20])
@pytest.mark.parametrize("pulls", [(), (15,), (5, 25, 45, 65, 90)])
def test_every_request_counts_once(
    tmp_path: Path, lost_at: int, away: int, pulls: tuple[int, ...]
) -> None:
    whole, warehouse = a_service(), tmp_path / "warehouse.duckdb"
    lost_ms = START + lost_at * MINUTE
    pull(whole, warehouse, lost_ms)
    left = known(whole, lost_ms + away * MINUTE, END)
    for minute in (m for m in pulls if m > lost_at + away):
        pull(left, warehouse, START + minute * MINUTE)
    pull(left, warehouse, END)
    pull(whole, tmp_path / "whole.duckdb", END)
    assert requests(warehouse) == requests(tmp_path / "whole.duckdb")
    gaps = rows(warehouse, "select count(*) from exposure_lost where cause = 'gap'")
    assert gaps == [(2 if away else 0,)]
    before = contents(warehouse)
    pull(left, warehouse, END)
    assert contents(warehouse) == before


def test_a_server_that_keeps_less_than_lies_between_two_pulls_loses_no_count(
    tmp_path: Path,
) -> None:
    whole, warehouse = a_service(), tmp_path / "warehouse.duckdb"
    pull(whole, warehouse, START + 20 * MINUTE)
    pull(known(whole, END - 15 * MINUTE, END), warehouse, END)
    pull(whole, tmp_path / "whole.duckdb", END)
    assert requests(warehouse) == requests(tmp_path / "whole.duckdb")


@pytest.mark.parametrize("minute", [12, 70])
def test_pods_that_restarted_meanwhile_count_whole(tmp_path: Path, minute: int) -> None:
    restarted = START + minute * MINUTE
    whole, warehouse = a_service(restarted=restarted), tmp_path / "warehouse.duckdb"
    pull(whole, warehouse, START + 10 * MINUTE)
    pull(known(whole, restarted + 5 * MINUTE, END), warehouse, END)
    # All but what the old processes had after the last pull.
    seen = 10 * MINUTE + (END - restarted)
    assert requests(warehouse) == dict.fromkeys(("stable", "canary"), seen // SCRAPE * 53)


def test_labels_that_come_back_are_not_counted_from_what_was_pulled_before(tmp_path: Path) -> None:
    """A pod's series lose a label for half an hour: what they counted then isn't counted again."""
    source, warehouse = ScrapedSource(), tmp_path / "warehouse.duckdb"
    begin, end = START + 30 * MINUTE, START + 60 * MINUTE
    for version in ("v1", "v2"):
        labels = istio(version, version)
        for kept, named in (
            ([t for t in TIMES if t < begin or t >= end], labels | {"team": "shop"}),
            ([t for t in TIMES if begin <= t < end], labels),
        ):
            source.add(named, {t: 1000.0 + 10 * TIMES.index(t) for t in kept})
        add_evidence(source, labels, dict.fromkeys(TIMES, 1), START - 24 * HOUR)
    for minute in (20, 40, 80, 120):
        pull(source, warehouse, START + minute * MINUTE)
    # At both changes the growth since the scrape before isn't known.
    every = 2 * HOUR // SCRAPE * 10 - 2 * 10
    assert requests(warehouse) == {"stable": every, "canary": every}


def backwards(source: ScrapedSource) -> ScrapedSource:
    """Counters that grow as others do from their end to their begin: late harm comes early."""
    found = ScrapedSource()
    times = [CELL_START + (i + 1) * SCRAPE_MS for i in range(SCRAPES)]
    for key, samples in source.series.items():
        if dict(key)["__name__"] in ("up", "process_start_time_seconds"):
            found.add(dict(key), samples)
            continue
        first = min(samples.values())
        grown = [samples.get(t, first) for t in reversed(times)]
        of_end = {t: 2 * grown[0] - n for t, n in zip(times, grown, strict=True)}
        found.add(dict(key), of_end)
    return found


@pytest.mark.parametrize("mesh", MESHES, ids=str)
@pytest.mark.parametrize("away", [0, 2])
@pytest.mark.parametrize(
    ("harm", "expected"), [("none", {Decision.PROMOTE}), ("failures", {Decision.ROLLBACK})]
)
def test_a_verdict_is_of_what_was_known_before_too(
    tmp_path: Path, mesh: tuple[str, str], away: int, harm: str, expected: set[Decision]
) -> None:
    """All harm was in the first half of the plan, which the server no longer has."""
    cell, warehouse = TrafficCell(*mesh, harm, "late"), tmp_path / "warehouse.duckdb"
    spec, whole = spec_of(cell), backwards(ran_before(cell))
    half, end = CELL_START + SCRAPES // 2 * SCRAPE_MS, CELL_START + SCRAPES * SCRAPE_MS
    pull_requests(spec, whole, warehouse, until_ms=half)
    pull_requests(spec, known(whole, half + away * MINUTE, end), warehouse, until_ms=end)
    at = datetime.fromtimestamp(CELL_START / 1000, UTC) + timedelta(milliseconds=end - CELL_START)
    found = score_experiment(spec, warehouse, at=at)
    assert found.decision in expected, found.reasons


@pytest.mark.parametrize(("metric", "source"), [("", "conversions"), ("errors", "metric errors")])
@pytest.mark.parametrize("has_scrapes", [True, False])
def test_buckets_of_any_counter_that_the_server_lost_stay(
    tmp_path: Path, metric: str, source: str, has_scrapes: bool
) -> None:
    def load(until: int, begin: int) -> tuple[str, ...]:
        minutes = np.arange(begin, until)
        ends = START + (minutes + 1) * MINUTE
        counted = BucketRows(
            (("canary", "of"),),
            np.zeros(len(ends), np.int64),
            ends - MINUTE,
            np.ones(len(ends)),
        )
        good = ends if has_scrapes else ends[:0]
        window = Window(START, START + until * MINUTE)
        new = NewWindow(window, len(ends), len(ends), len(good), (), ends, good)
        return load_buckets(
            tmp_path / "w.duckdb",
            experiment(),
            source,
            [CountedWindow(new, counted)],
            metric=metric,
            selection="ours",
            warnings=(),
        ).kept

    load(10, 0)
    assert "kept as loaded before" in load(50, 12)[0]
    assert "kept as loaded before" in load(60, 14)[0]
    table = "measured_buckets" if metric else "conversion_buckets"
    query = f"select (epoch_ms(bucket_start) - {START}) // {MINUTE} from {table} order by all"
    found = [minute for (minute,) in rows(tmp_path / "w.duckdb", query)]
    # From 12 to 14 it had more when it was asked before.
    assert found == [*range(10), *range(12, 60)]


def test_a_window_in_two_pieces_is_known() -> None:
    spec = experiment(plan={"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "9h"})
    whole = {
        START + n * HOUR: LoadedWindow(START + (n + 1) * HOUR, 9, 9, False, "ours")
        for n in range(5)
    }
    cut = LoadedWindow(START + HOUR + 10 * MINUTE, 9, 9, False, "ours")
    rest = LoadedWindow(START + 2 * HOUR, 9, 9, False, "ours")
    pieces = whole | {START + HOUR: cut, cut.end_ms: rest}
    ends = START + 5 * HOUR
    assert pending_windows(spec, pieces, ends, selection="ours") == pending_windows(
        spec, whole, ends, selection="ours"
    )


@pytest.mark.parametrize("absent", [1, 3, 10, 30])
def test_a_pod_that_is_scaled_to_zero_and_back_lost_a_scrape(tmp_path: Path, absent: int) -> None:
    """Pods of a StatefulSet come back under their names."""
    source, gone = a_service(), START + 30 * MINUTE
    back = gone + absent * MINUTE
    for key, samples in list(source.series.items()):
        labels = dict(key)
        if labels["instance"].startswith("v2"):
            is_start = labels["__name__"] == "process_start_time_seconds"
            first = samples.get(back, 1.0) - (0 if is_start or labels["__name__"] == "up" else 10)
            source.series[key] = {
                t: (back / 1000 if is_start else value - first) if t >= back else value
                for t, value in samples.items()
                if not gone <= t < back
            }
            if labels["__name__"] == "up":
                source.series[key] = dict.fromkeys(source.series[key], 1.0)
    pull(source, tmp_path / "warehouse.duckdb")
    query = "select variant, sum(requests) from exposure_lost group by variant"
    lost = dict(rows(tmp_path / "warehouse.duckdb", query))
    assert lost == {"canary": pytest.approx(53 / 2, rel=0.5)}
