"""What several Prometheus servers read of the same targets, and of others under one address."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest

from flows.ingest.requests.replicas import without_replicas
from flows.ingest.sources.samples import Samples
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    istio,
    pull,
    rows,
    two_versions,
)

Kept = Callable[[int], bool]


def everything(_: int) -> bool:
    return True


def first_half(ms: int) -> bool:
    return ms <= START + HOUR // 2


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "w.duckdb"


def read_by(*servers: tuple[dict[str, str], int, Kept]) -> ScrapedSource:
    """Two versions, as servers read them that add labels: each with its shift, and of what time."""
    source = ScrapedSource()
    for labels, shift, is_read in servers:
        for key, samples in two_versions(START + HOUR).series.items():
            seen = {t + shift: v for t, v in samples.items() if is_read(t)}
            if seen:
                source.add(dict(key) | labels, seen)
    return source


def counted(source: ScrapedSource, warehouse: Path) -> dict[str, int]:
    return pull(source, warehouse, START + HOUR).requests


def by_one(warehouse: Path) -> dict[str, int]:
    """What one server without labels of its own has."""
    return counted(read_by(({}, 0, everything)), warehouse.with_name("one"))


LABELS = ("prometheus_replica", "__replica__", "replica", "prometheus", "monitor", "server")


@pytest.mark.parametrize("shift", [0, 3_000, 7_000])
@pytest.mark.parametrize("label", LABELS)
def test_what_two_servers_read_counts_once(warehouse: Path, label: str, shift: int) -> None:
    both = read_by(({label: "a"}, 0, everything), ({label: "b"}, shift, everything))
    assert counted(both, warehouse) == counted(
        read_by(({}, 0, everything)), warehouse.with_name("1")
    )


@pytest.mark.parametrize("label", LABELS[:4])
def test_a_server_that_was_replaced_goes_on_under_a_new_name(warehouse: Path, label: str) -> None:
    found = read_by(({label: "a"}, 0, first_half), ({label: "b"}, 0, lambda t: not first_half(t)))
    assert counted(found, warehouse) == counted(
        read_by(({}, 0, everything)), warehouse.with_name("1")
    )


@pytest.mark.parametrize("label", LABELS)
def test_shards_scrape_other_targets(warehouse: Path, label: str) -> None:
    found = ScrapedSource()
    for key, samples in two_versions(START + HOUR).series.items():
        shard = "0" if dict(key)["instance"].startswith("a") else "1"
        found.add(dict(key) | {label: shard}, samples)
    assert counted(found, warehouse) == counted(
        read_by(({}, 0, everything)), warehouse.with_name("1")
    )


@pytest.mark.parametrize("is_chosen", [True, False])
@pytest.mark.parametrize("shift", [0, 6_000])
def test_scrapes_of_another_clusters_pod_at_the_same_address_prove_nothing(
    warehouse: Path, *, is_chosen: bool, shift: int
) -> None:
    source = read_by(({"cluster": "east"}, 0, everything))
    times = range(START + 60_000 + shift, START + HOUR, 15_000)
    for name, value in (("up", 1.0), ("process_start_time_seconds", START / 1000 - 9_000)):
        target = {"job": "pods", "instance": "a:15020", "cluster": "west"}
        source.add({"__name__": name, **target}, dict.fromkeys(times, value))
    match = {"match": {"cluster": "east"}} if is_chosen else {}
    found = pull(source, warehouse, START + HOUR, **match).requests
    assert found == by_one(warehouse)
    assert rows(warehouse, "select count(*) from exposure_lost where requests > 0") == [(0,)]


def test_pods_of_two_clusters_at_one_address_are_two(warehouse: Path) -> None:
    source = ScrapedSource()
    for cluster, shift, each in (("east", 0, 10), ("west", 6_000, 7)):
        one = ScrapedSource()
        add_pod(one, istio("v1", "a"), START + 60_000, START + HOUR - 60_000, per_scrape=each)
        for key, samples in one.series.items():
            source.add(dict(key) | {"cluster": cluster}, {t + shift: v for t, v in samples.items()})
    scraped = (HOUR - 120_000) // 15_000 + 1
    assert counted(source, warehouse) == {"stable": 17 * scraped}


def samples_of(*series: tuple[dict[str, str], Iterable[int]]) -> Samples:
    times = [list(ts) for _, ts in series]
    return Samples(
        tuple(labels for labels, _ in series),
        np.cumsum([0, *map(len, times)]),
        np.array([t for ts in times for t in ts], np.int64),
        np.arange(sum(map(len, times)), dtype=np.float64),
    )


def test_of_each_target_the_fullest_replica_is_kept_and_what_lies_around_it() -> None:
    def named(replica: str, instance: str, code: str = "200") -> dict[str, str]:
        return {"job": "j", "instance": instance, "code": code, "prometheus_replica": replica}

    found = without_replicas(
        samples_of(
            (named("a", "1"), range(10, 20)),
            (named("b", "1"), range(5, 14)),
            (named("a", "1", "503"), range(18, 20)),
            (named("b", "1", "503"), (12, 21)),
            (named("b", "2"), range(3)),
        )
    )
    kept = {
        (each["prometheus_replica"], each["instance"], each["code"]): found.ts_ms[
            found.offsets[i] : found.offsets[i + 1]
        ].tolist()
        for i, each in enumerate(found.labels)
    }
    assert kept == {
        ("a", "1", "200"): list(range(10, 20)),
        ("b", "1", "200"): list(range(5, 10)),
        ("a", "1", "503"): [18, 19],
        ("b", "1", "503"): [21],
        ("b", "2", "200"): [0, 1, 2],
    }
