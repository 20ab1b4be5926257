"""Requests by pod from kept sums: the same as from all samples, wherever a look begins and ends.

Covers flows.ingest.requests.pod_sums.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from flows.formats.time import instant
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.pod_requests import read_pod_requests
from flows.look.rows_of import EVERYBODY, RowsOf
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader, open_writer
from flows.warehouse.statements import Connection
from tests.builders.kept_for_pods import keep_for_pods
from tests.builders.scraped_source import ScrapedSource

HOUR, SCRAPE = 3_600_000, 15_000
START = 490_000 * HOUR
END = START + 3 * HOUR
VARIANTS = ("stable", "canary")


def _spec(bucket_s: int = 15) -> Experiment:
    return Experiment.model_validate(
        {
            "experiment": "checkout",
            "service": "checkout",
            "namespace": "shop",
            "mesh": "istio",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "cohorts": {"beta": {"match": {"route": "beta"}}},
            "plan": {"start": instant(START), "duration": "6h", "bucket": f"{bucket_s}s"},
            "sources": {"requests": {"prometheus": "http://localhost:9090"}},
        }
    )


def _source(seed: int) -> ScrapedSource:
    """Pods that come, restart and go at any time, with gaps; latencies beside their requests."""
    chance, source = random.Random(seed), ScrapedSource()
    for pod in range(6):
        first = START + chance.randrange(0, 2 * HOUR, SCRAPE) * (pod > 1)
        last = chance.randrange(first + SCRAPE, END + SCRAPE, SCRAPE)
        at = [t for t in range(first, last, SCRAPE) if chance.random() > 0.02]
        target = {"job": "pods", "instance": f"10.0.0.{pod}:15020", "pod": f"p{pod}"}
        started = dict.fromkeys(at, first - 2000)
        for t in at:
            if chance.random() < 0.005:
                started |= {later: t - 1000 for later in at if later >= t}
        source.add({"__name__": "up", **target}, dict.fromkeys(at, 1))
        begun = {t: s / 1000 for t, s in started.items()}
        source.add({"__name__": "process_start_time_seconds", **target}, begun)
        for name, more in (
            ("istio_requests_total", {"response_code": "200", "route": "beta"}),
            ("istio_requests_total", {"response_code": "500"}),
            ("istio_request_duration_milliseconds_bucket", {"response_code": "200", "le": "+Inf"}),
        ):
            labels = {
                "__name__": name,
                "reporter": "destination",
                "destination_service_name": "checkout",
                "destination_service_namespace": "shop",
                "destination_workload": "checkout",
                "destination_version": f"v{1 + pod % 2}",
            }
            source.add(labels | target | more, _counter(chance, at, started))
    return source


def _counter(chance: random.Random, at: list[int], started: dict[int, int]) -> dict[int, float]:
    count, of = 0, 0
    found = {}
    for t in at:
        count = (count if started[t] == of else 0) + chance.choice((0, 0, 1, 7))
        of = started[t]
        found[t] = float(count)
    return found


@pytest.fixture(scope="module", params=[(1, 15), (2, 15), (3, 7), (4, 420)])
def warehouse(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pulled twice: the last two windows are replaced by what is there an hour later."""
    seed, bucket_s = request.param
    path, source = tmp_path_factory.mktemp("pods") / "warehouse.duckdb", _source(seed)
    for until_ms in (START + HOUR + 20 * 60_000, END):
        pull_requests(_spec(bucket_s), source, path, until_ms=until_ms)
    return path


def _from_samples(con: Connection, since: int, until: int, cohort: str | None) -> Counter[str]:
    rows = con.execute(
        "select variant || ' ' || (labels ->> '$.pod') || ' ' || outcome, sum(delta) "
        "from counter_samples join series using (series_id) where role = 'requests' "
        "and ts > $1 and ts <= $2 and ($3 is null or cohort = $3) group by all",
        [instant(since), instant(until), cohort],
    ).fetchall()
    return Counter({name: int(total) for name, total in rows if total})


@pytest.mark.parametrize("of", [EVERYBODY, RowsOf("beta")])
def test_the_requests_are_those_of_all_samples(warehouse: Path, of: RowsOf) -> None:
    chance = random.Random(5)
    spans = [(0, 3 * HOUR), (0, 0), (300_000, 600_000), (299_999, 600_001), (1000, 2000)]
    for _ in range(40):
        begin = chance.randrange(3 * HOUR)
        spans.append((begin, chance.randrange(begin, 3 * HOUR)))
    with open_reader(warehouse) as con:
        for begin, end in spans:
            span = START + begin, START + end
            found = read_pod_requests(con, _spec(), span, 600_000, variants=VARIANTS, of=of)
            summed = Counter[str]()
            rows = zip(found.series.tolist(), found.requests.tolist(), strict=True)
            for series, requests in rows:
                kind = found.kinds[series].outcome
                summed[f"{found.variants[series]} {found.pods[series]} {kind}"] += int(requests)
            assert summed == _from_samples(con, *span, of.cohort)
            assert all(0 <= stretch <= (end - begin) // 600_000 for stretch in found.stretch)


def test_other_variants_are_left_out(warehouse: Path) -> None:
    with open_reader(warehouse) as con:
        found = read_pod_requests(con, _spec(), (START, END), HOUR, variants=("canary",))
    assert found.owners == {pod: {"canary"} for pod in ("p1", "p3", "p5")}


def test_a_pull_keeps_what_older_warehouses_are_brought_up_to(warehouse: Path) -> None:
    with open_writer(warehouse) as con:
        tables = ("series_requests", "target_times")
        pulled = [con.execute(f"from {table} order by all").fetchall() for table in tables]
        keep_for_pods(con)
        made = [con.execute(f"from {table} order by all").fetchall() for table in tables]
    assert made == pulled
    reasons = {row[-1] for row in pulled[1]}
    assert reasons >= {0, 2, 4}
