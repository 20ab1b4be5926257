"""Pulling request counts into the warehouse, from scraped series with a known truth.

Covers flows.ingest.requests.load_requests, flows.warehouse.arrow_columns.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.formats.time import parse_duration
from flows.ingest.pulled_windows import PulledWindows
from flows.ingest.requests.pull_requests import RequestPull, pull_requests
from flows.ingest.requests.windows import selection_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer
from tests.builders.scraped_source import ScrapedSource

HOUR = 3_600_000
START = 490_000 * HOUR
SCRAPE = 15_000
TABLES = (
    "series",
    "counter_samples",
    "request_buckets",
    "latency_buckets",
    "optional_counters",
    "exposure_lost",
    "series_requests",
    "target_times",
)


def experiment(**changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "experiment": "checkout",
        "service": "checkout",
        "namespace": "shop",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "plan": {"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "6h"},
        "sources": {"requests": {"prometheus": "http://localhost:9090"}},
    }
    return Experiment.model_validate(fields | changes)


def istio(version: str, pod: str, **more: str) -> dict[str, str]:
    return {
        "__name__": "istio_requests_total",
        "job": "pods",
        "instance": f"{pod}:15020",
        "reporter": "destination",
        "destination_service_name": "checkout",
        "destination_service_namespace": "shop",
        "destination_workload": f"checkout-{version}",
        "destination_version": version,
        "destination_canonical_revision": version,
        "response_code": "200",
        "response_flags": "-",
        "grpc_response_status": "",
        **more,
    }


def scrapes(start: int, end: int) -> list[int]:
    return list(range(start, end + 1, SCRAPE))


def add_pod(
    source: ScrapedSource, labels: Mapping[str, str], start: int, end: int, *, per_scrape: int = 10
) -> None:
    """A pod whose process starts two seconds before its first scrape, which sees requests."""
    source.add(labels, {t: per_scrape * (i + 1) for i, t in enumerate(scrapes(start, end))})
    add_evidence(source, labels, dict.fromkeys(scrapes(start, end), 1), start - 2_000)


def add_evidence(
    source: ScrapedSource, labels: Mapping[str, str], up: Mapping[int, float], started: int
) -> None:
    target = {"job": labels["job"], "instance": labels["instance"]}
    source.add({"__name__": "up", **target}, up)
    good = {t: started / 1000 for t, value in up.items() if value == 1}
    source.add({"__name__": "process_start_time_seconds", **target}, good)


def add_histogram(source: ScrapedSource, version: str, pod: str, start: int, end: int) -> None:
    """Per scrape 10 requests: 4 up to 5 ms, 9 up to 1000 ms."""
    for le, share in (("5", 4), ("1000.0", 9), ("+Inf", 10)):
        labels = istio(version, pod, le=le)
        labels["__name__"] = "istio_request_duration_milliseconds_bucket"
        source.add(labels, {t: share * (i + 1) for i, t in enumerate(scrapes(start, end))})


def two_versions(until: int = START + 2 * HOUR) -> ScrapedSource:
    source = ScrapedSource()
    add_pod(source, istio("v1", "a"), START + 60_000, until)
    add_histogram(source, "v1", "a", START + 60_000, until)
    add_pod(source, istio("v2", "b"), START + 1_807_000, until)
    add_histogram(source, "v2", "b", START + 1_807_000, until)
    return source


def pull(
    source: ScrapedSource, warehouse: Path, until: int = START + 2 * HOUR, **changes: Any
) -> RequestPull:
    return pull_requests(experiment(**changes), source, warehouse, until_ms=until)


def rows(warehouse: Path, query: str) -> list[tuple[Any, ...]]:
    with open_reader(warehouse) as con:
        found: list[tuple[Any, ...]] = con.execute(query).fetchall()
        return found


def contents(warehouse: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the tables that a pull writes, and of pulls but its generation."""
    found = {t: rows(warehouse, f"select * from {t} order by all") for t in TABLES}
    control = "select * exclude (generation) from pulls order by all"
    return found | {"pulls": rows(warehouse, control)}


def counted_for(warehouse: Path, **changes: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Of contents what is in windows that were counted for a spec."""
    selection = selection_of(experiment(**changes))
    windows = f"(select window_start from pulls where selection = '{selection}')"
    of_tables = f"select * from {{}} where window_start in {windows} order by all"
    found = {t: rows(warehouse, of_tables.format(t)) for t in TABLES if t != "series"}
    control = (
        f"select * exclude (generation) from pulls where window_start in {windows} order by all"
    )
    return found | {"pulls": rows(warehouse, control)}


def requests(warehouse: Path) -> dict[str, int]:
    query = "select variant, sum(requests) from request_buckets group by variant"
    return {variant: int(count) for variant, count in rows(warehouse, query)}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def test_first_requests_of_a_canary_that_appears_mid_window_count(warehouse: Path) -> None:
    pulled = pull(two_versions(), warehouse)
    stable = 10 * len(scrapes(START + 60_000, START + 2 * HOUR))
    canary = 10 * len(scrapes(START + 1_807_000, START + 2 * HOUR))
    assert pulled.requests == {"stable": stable, "canary": canary}
    assert requests(warehouse) == pulled.requests
    assert pulled.findings == ()


def test_pulling_again_changes_nothing(warehouse: Path) -> None:
    source = two_versions()
    pull(source, warehouse)
    before = contents(warehouse)
    pulled = pull(source, warehouse)
    assert len(pulled.windows) == 2
    assert contents(warehouse) == before


def test_windows_pulled_one_by_one_equal_those_pulled_at_once(warehouse: Path) -> None:
    source = two_versions()
    at_once = warehouse.with_name("at-once.duckdb")
    pull(source, at_once)
    for until in range(START + 600_000, START + 2 * HOUR + 1, 600_000):
        pull(source, warehouse, until)
    assert contents(warehouse) == contents(at_once)


def test_order_of_the_servers_answer_does_not_matter(warehouse: Path) -> None:
    source, other = two_versions(), warehouse.with_name("other.duckdb")
    pull(source, warehouse)
    shuffled = list(source.series.items())
    random.Random(4).shuffle(shuffled)
    source.series = dict(shuffled)
    pull(source, other)
    assert contents(other) == contents(warehouse)


def test_late_samples_are_taken_in(warehouse: Path) -> None:
    source = two_versions()
    late = istio("v2", "late")
    pull(source, warehouse)
    add_pod(source, late, START + HOUR, START + 2 * HOUR)
    before = requests(warehouse)["canary"]
    pull(source, warehouse)
    added = 10 * len(scrapes(START + HOUR, START + 2 * HOUR))
    assert requests(warehouse)["canary"] == before + added


def test_sample_at_a_bucket_edge_belongs_to_the_bucket_that_ends_there(warehouse: Path) -> None:
    pull(two_versions(), warehouse)
    first = "select epoch_ms(min(bucket_start)), min(requests) from request_buckets"
    assert rows(warehouse, first) == [(START + 45_000, 10)]


def test_restarts_failed_scrapes_and_resets_count_every_request_that_was_seen(
    warehouse: Path,
) -> None:
    source = two_versions()
    labels = istio("v2", "restarting")
    a, b = START + 600_000, START + 1_200_000
    first, second = scrapes(a, b - SCRAPE), scrapes(b + 2 * SCRAPE, b + 600_000)
    # 3 at the last scrape, 9 at the first after the restart: hidden by growth.
    source.add(labels, dict.fromkeys(first, 3) | {t: 9 + i for i, t in enumerate(second)})
    add_evidence(source, labels, dict.fromkeys(first, 1) | {b: 0, b + SCRAPE: 0}, a - 1_000)
    add_evidence(source, labels, dict.fromkeys(second, 1), b + 17_000)
    before = 10 * len(scrapes(START + 1_807_000, START + 2 * HOUR))
    pull(source, warehouse)
    assert requests(warehouse)["canary"] == before + 3 + 9 + len(second) - 1
    lost = "select cause, sum(events) from exposure_lost where variant = 'canary' group by cause"
    assert dict(rows(warehouse, lost))["restart"] == 1


def test_burst_of_errors_on_a_new_series_counts(warehouse: Path) -> None:
    source = two_versions()
    errors = istio("v2", "b", response_code="503", response_flags="UF,URX")
    source.add(errors, dict.fromkeys(scrapes(START + HOUR + 7000, START + 2 * HOUR), 40))
    pull(source, warehouse)
    failed = """
        select variant, response_code, response_flags, sum(requests) from request_buckets
        where outcome = 'failure' group by all
    """
    assert rows(warehouse, failed) == [("canary", "503", "UF,URX", 40)]


def test_latency_is_summed_over_codes_and_keeps_empty_edges(warehouse: Path) -> None:
    source = two_versions()
    for le in ("5", "1000", "+Inf"):
        labels = istio("v2", "b", le=le, response_code="503")
        labels["__name__"] = "istio_request_duration_milliseconds_bucket"
        slow = 2 if le == "+Inf" else 0
        source.add(labels, dict.fromkeys(scrapes(START + HOUR + 7000, START + 2 * HOUR), slow))
    pull(source, warehouse)
    n = len(scrapes(START + 1_807_000, START + 2 * HOUR))
    edges = """
        select le_ms, sum(requests) from latency_buckets where variant = 'canary'
        group by le_ms order by le_ms
    """
    assert rows(warehouse, edges) == [(5, 4 * n), (1000, 9 * n), (float("inf"), 10 * n + 2)]


def test_rewritten_bucket_bounds_are_one_series(warehouse: Path) -> None:
    source = two_versions()
    noon = START + HOUR
    old = istio("v1", "a", le="5")
    old["__name__"] = "istio_request_duration_milliseconds_bucket"
    samples = source.series[frozenset(old.items())]
    kept = {t: v for t, v in samples.items() if t <= noon}
    source.series[frozenset(old.items())] = kept
    source.add(old | {"le": "5.0"}, {t: v for t, v in samples.items() if t > noon})
    pull(source, warehouse)
    edge = "select sum(requests) from latency_buckets where variant = 'stable' and le_ms = 5"
    assert rows(warehouse, edge) == [(4 * len(scrapes(START + 60_000, START + 2 * HOUR)),)]


def test_second_replica_is_not_counted_again(warehouse: Path) -> None:
    source = ScrapedSource()
    for replica, shift in (("a", 0), ("b", 3_000)):
        for key, samples in two_versions().series.items():
            labels = dict(key) | {"prometheus_replica": replica}
            source.add(labels, {t + shift: v for t, v in samples.items()})
    assert pull(source, warehouse).requests["stable"] == 10 * len(
        scrapes(START + 60_000, START + 2 * HOUR)
    )


def test_failures_that_reached_no_version_are_unattributed(warehouse: Path) -> None:
    source = ScrapedSource()
    for version, pod in (("v1", "client"), ("v2", "client")):
        add_pod(source, istio(version, pod, reporter="source"), START + 60_000, START + HOUR)
    nowhere = istio("unknown", "client", reporter="source", response_code="503")
    nowhere |= {
        "response_flags": "UH",
        "destination_workload": "unknown",
        "destination_canonical_revision": "latest",
    }
    source.add(nowhere, dict.fromkeys(scrapes(START + 1800000, START + HOUR), 5))
    pulled = pull(source, warehouse, START + HOUR, reporter="source")
    assert pulled.unattributed == 5
    assert requests(warehouse)["unattributed"] == 5
    lost = "select variant, requests from exposure_lost where cause = 'unattributed'"
    assert rows(warehouse, lost) == [("unattributed", 5.0)]


def test_other_reporters_and_services_are_not_read(warehouse: Path) -> None:
    source = two_versions()
    for change in (
        {"reporter": "source"},
        {"destination_service_name": "cart"},
        {"destination_service_namespace": "staging"},
    ):
        add_pod(source, istio("v1", "x", **change), START + 60_000, START + HOUR)
    assert pull(source, warehouse).requests["stable"] == 10 * len(
        scrapes(START + 60_000, START + 2 * HOUR)
    )


def test_partial_answer_does_not_replace_a_full_one(warehouse: Path) -> None:
    source = two_versions()
    pull(source, warehouse)
    before = contents(warehouse)
    for samples in source.series.values():
        for t in [t for t in samples if t > START + HOUR + 600_000]:
            del samples[t]
    pulled = pull(source, warehouse)
    assert "good scrapes now" in pulled.warnings[0]
    source.warnings = ("store gateway is away",)
    pulled = pull(source, warehouse)
    assert "store gateway is away" in " ".join(pulled.warnings)
    assert pulled.windows == ()
    assert contents(warehouse) == before


def test_partial_first_answer_is_pulled_again(warehouse: Path) -> None:
    source = two_versions(START + 4 * HOUR)
    source.warnings = ("partial",)
    pull(source, warehouse, START + HOUR)
    source.warnings = ()
    pull(source, warehouse, START + 4 * HOUR)
    assert rows(warehouse, "select count(*) from pulls where len(warnings) > 0") == [(0,)]


@pytest.mark.parametrize("before", ["15s", "35s", "25m", "2h"])
@pytest.mark.parametrize("after", ["15s", "1m", "35s", "45m", "2h"])
def test_buckets_of_another_width_are_counted_once(
    warehouse: Path, tmp_path: Path, before: str, after: str
) -> None:
    """Windows are whole buckets, so those of another width may begin and end elsewhere."""
    source, plan = two_versions(), experiment().model_dump()["plan"]
    pull(source, warehouse, plan=plan | {"bucket": before})
    pull(source, warehouse, plan=plan | {"bucket": after})
    pull(source, tmp_path / "fresh.duckdb", plan=plan | {"bucket": after})
    anew = counted_for(warehouse, plan=plan | {"bucket": after})
    assert contents(tmp_path / "fresh.duckdb") == {**anew, "series": contents(warehouse)["series"]}
    check_windows(warehouse)


def test_windows_that_were_counted_in_two_grids_are_mended(warehouse: Path, tmp_path: Path) -> None:
    source, plan = two_versions(), experiment().model_dump()["plan"]
    pull(source, tmp_path / "older.duckdb", plan=plan | {"bucket": "15s"})
    pull(source, warehouse, plan=plan | {"bucket": "35s"})
    once = counted_for(warehouse, plan=plan | {"bucket": "35s"})
    with open_writer(warehouse) as con:
        con.execute(f"attach '{tmp_path}/older.duckdb' as older (read_only)")
        for table in ("pulls", "sample_runs", *TABLES[2:]):
            con.execute(f"insert into {table} from older.{table}")
        con.execute("detach older")
    assert contents(warehouse)["counter_samples"] != once["counter_samples"]
    pull(source, warehouse, plan=plan | {"bucket": "35s"})
    assert counted_for(warehouse, plan=plan | {"bucket": "35s"}) == once
    check_windows(warehouse)


def check_windows(warehouse: Path) -> None:
    """Windows follow each other, each row is in that of its time, and no sample is there twice."""
    inside = """
        select count(*) from {0} as r left join pulls as p on r.window_start = p.window_start
        where p.window_end is null or not {1}
    """
    for name in ("request_buckets", "latency_buckets", "exposure_lost", "series_requests"):
        begin = "five_minutes" if name == "series_requests" else "bucket_start"
        within = f"r.{begin} < p.window_end and r.{begin} > p.window_start - interval 5 minutes"
        assert rows(warehouse, inside.format(name, within)) == [(0,)], name
    for name in ("counter_samples", "target_times"):
        within = "r.ts > p.window_start and r.ts <= p.window_end"
        assert rows(warehouse, inside.format(name, within)) == [(0,)], name
    before = "lag(window_end, 1, window_start) over (order by window_start)"
    windows = rows(warehouse, f"select window_start, {before} from pulls")
    assert all(start == end for start, end in windows)
    twice = "select count(*) - count(distinct (series_id, ts)) from counter_samples"
    assert rows(warehouse, twice) == [(0,)]


MINUTE = 60_000
LOADED = {"all": 0, "a window's end": 60, "part of a window": 100, "the last": 200, "none": 600}


@pytest.mark.parametrize("lost", LOADED.values(), ids=LOADED)
@pytest.mark.parametrize(
    ("before", "after"),
    [("15s", "7m"), ("7m", "15s"), ("5m", "7m"), ("2h", "15s"), ("15s", "2h"), ("45m", "25m")],
)
def test_windows_of_another_width_take_away_only_what_they_cover(
    warehouse: Path, before: str, after: str, lost: int
) -> None:
    """Windows of 60, 63, 75, 90 and 120 minutes; the source lacks so many minutes by then."""
    end = START + 4 * HOUR
    source, plan = two_versions(end), experiment().model_dump()["plan"]
    samples = "select series_id, ts, delta from counter_samples"
    pull(source, warehouse, end, plan=plan | {"bucket": before})
    loaded = set(rows(warehouse, samples))
    for labels, values in source.series.items():
        kept = {t: v for t, v in values.items() if t > START + lost * MINUTE}
        source.series[labels] = kept
    pull(source, warehouse, end, plan=plan | {"bucket": after})

    check_windows(warehouse)
    anew = counted_for(warehouse, plan=plan | {"bucket": after})["pulls"]
    covered = [(row[2], row[3]) for row in anew]
    uncovered = {s for s in loaded if not any(begin < s[1] <= to for begin, to in covered)}
    assert uncovered <= set(rows(warehouse, samples))
    # A bucket that a new window covers in part is gone, at either end of an old one.
    of_requests = "join series using (series_id) where role = 'requests'"
    [(seen,)] = rows(warehouse, f"select sum(delta) from counter_samples {of_requests}")
    [(old,)] = rows(warehouse, f"select count(*) - {len(anew)} from pulls")
    width = parse_duration(before) / timedelta(minutes=1) * (before != "15s")
    assert 0 <= seen - sum(requests(warehouse).values()) <= 2 * old * width * 80
    with open_reader(warehouse) as con:
        assert (PulledWindows.of(con, experiment()).known_until("requests") or 0) >= end - 2 * HOUR


def test_a_start_after_what_cannot_be_counted_again_is_known_without_a_hole(
    warehouse: Path,
) -> None:
    """As a verdict on such windows advises: the first new window begins within an old one."""
    end = START + 4 * HOUR
    source, plan = two_versions(end), experiment().model_dump()["plan"]
    pull(source, warehouse, end, plan=plan | {"bucket": "15s"})
    later = datetime.fromtimestamp(START / 1000 + 130 * 60, UTC)
    pull(source, warehouse, end, plan=plan | {"bucket": "7m", "start": later})
    check_windows(warehouse)
    with open_reader(warehouse) as con:
        assert PulledWindows.of(con, experiment()).known_until("requests") == end


def test_changed_variants_are_counted_anew_in_every_window(warehouse: Path) -> None:
    source = two_versions(START + 4 * HOUR)
    pull(source, warehouse, START + 4 * HOUR)
    before = requests(warehouse)
    swapped = {"stable": {"version": "v2"}, "canary": {"version": "v1"}}
    pull(source, warehouse, START + 4 * HOUR, variants=swapped)
    assert requests(warehouse) == {"stable": before["canary"], "canary": before["stable"]}


def test_source_without_up_is_a_finding(warehouse: Path) -> None:
    source = two_versions()
    for key in [key for key in source.series if dict(key)["__name__"] == "up"]:
        del source.series[key]
    assert "`up` of the targets is missing" in pull(source, warehouse).findings[0]


def test_pull_for_an_earlier_time_keeps_what_is_known(warehouse: Path) -> None:
    source = two_versions()
    pull(source, warehouse)
    before = contents(warehouse)
    pull(source, warehouse, START + HOUR + 600_000)
    assert contents(warehouse) == before


def test_without_a_start_the_past_of_the_plan_is_pulled(warehouse: Path) -> None:
    pulled = pull(two_versions(), warehouse, plan={"duration": "1h"})
    assert pulled.windows[0].start_ms <= START
    assert pulled.requests["canary"] > 0


def test_variant_without_series_is_a_finding_that_names_what_exists(warehouse: Path) -> None:
    variants = {"stable": {"version": "v1"}, "canary": {"version": "v3"}}
    pulled = pull(two_versions(), warehouse, variants=variants)
    assert len(pulled.findings) == 1
    assert "canary" in pulled.findings[0]
    assert "v2" in pulled.findings[0]
    assert pulled.foreign_series == 4


@pytest.mark.parametrize("answers", [0, 1])
def test_failing_source_leaves_the_warehouse_as_it_was(warehouse: Path, answers: int) -> None:
    """At once, and where it has answered for the requests but not for the scrapes."""

    class Failing(ScrapedSource):
        def read(self, *args: Any) -> Any:
            if len(self.reads) >= answers:
                raise ConnectionError
            return super().read(*args)

    pull(two_versions(), warehouse, START + HOUR)
    before = contents(warehouse)
    failing = Failing(two_versions().series)
    with pytest.raises(ConnectionError):
        pull(failing, warehouse, START + 2 * HOUR)
    assert contents(warehouse) == before


def test_optional_counters_of_an_envoy_are_kept_beside_the_requests(warehouse: Path) -> None:
    source = ScrapedSource()
    target = {"job": "envoy", "instance": "gateway:9901"}
    name = "envoy_cluster_upstream_rq"
    for cluster in ("v1", "v2"):
        of_cluster = target | {"envoy_cluster_name": cluster}
        answers = {"__name__": name, "envoy_response_code": "200"} | of_cluster
        add_pod(source, answers, START + 60_000, START + HOUR)
        retries = {t: i for i, t in enumerate(scrapes(START + 60_000, START + HOUR))}
        source.add({"__name__": f"{name}_retry"} | of_cluster, retries)
    limited = {"__name__": "envoy_http_local_rate_limit_rate_limited"} | target
    source.add(limited, dict.fromkeys(scrapes(START + 1800000, START + HOUR), 3))
    pull(source, warehouse, START + HOUR, mesh="envoy")
    n = len(scrapes(START + 60_000, START + HOUR))
    query = "select variant, counter, sum(events) from optional_counters group by all order by all"
    assert requests(warehouse) == {"stable": 10 * n, "canary": 10 * n}
    assert rows(warehouse, query) == [
        ("canary", "envoy_cluster_upstream_rq_retry", n - 1),
        ("stable", "envoy_cluster_upstream_rq_retry", n - 1),
        ("unattributed", "envoy_http_local_rate_limit_rate_limited", 3),
    ]


def test_age_of_an_envoy_tells_a_restart_that_growth_hides(warehouse: Path) -> None:
    source = ScrapedSource()
    target = {"job": "envoy", "instance": "gateway:9901"}
    answers = {
        "__name__": "envoy_cluster_upstream_rq",
        "envoy_response_code": "200",
        "envoy_cluster_name": "v1",
    } | target
    times = scrapes(START + 60_000, START + HOUR)
    source.add({"__name__": "up"} | target, dict.fromkeys(times, 1.0))
    # Restarts before the scrape number 4; the age lags by up to 5 s, as Envoy refreshes it.
    ages = [1, 11, 31, 41, *(2 + 15 * i + (i % 2) * 3 for i in range(len(times) - 4))]
    counts = [1, 2, 3, 3, *(9 + i for i in range(len(times) - 4))]
    source.add({"__name__": "envoy_server_uptime"} | target, dict(zip(times, ages, strict=True)))
    source.add(answers, dict(zip(times, counts, strict=True)))
    pulled = pull(source, warehouse, START + HOUR, mesh="envoy")
    assert pulled.requests == {"stable": 3 + counts[-1]}


def test_series_keep_their_labels(warehouse: Path) -> None:
    pull(two_versions(), warehouse)
    stored = rows(warehouse, "select labels from series where metric like '%total' limit 1")
    assert json.loads(stored[0][0])["destination_service_name"] == "checkout"
