"""Whether the versions' pods differ, also in number or age, from what was scraped of them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.verdict import Decision
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.pods_seen import unlike_pods_seen
from flows.look.remarks import about_data
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from tests.builders.scraped_source import ScrapedSource

START = 1_767_268_800_000  # 2026-01-01 12:00 UTC
SCRAPE, UNTIL = 15_000, START + 30 * 60_000
MINUTE, DAY = 60_000, 86_400_000
SPEC: dict[str, Any] = {
    "experiment": "checkout",
    "service": "checkout",
    "namespace": "shop",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "plan": {"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "6h"},
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}


def pods(source: ScrapedSource, version: str, number: int, age: int, *, until: int = UNTIL) -> None:
    """Pods of a version that are so old at UNTIL; of age 0, ones that export no start time."""
    for pod in range(number):
        target = {"job": "pods", "instance": f"{version}-{pod}-{age}:15020"}
        times = range(max(START, UNTIL - age) if age else START, until + 1, SCRAPE)
        labels = {
            "__name__": "istio_requests_total",
            "reporter": "destination",
            "destination_service_name": "checkout",
            "destination_service_namespace": "shop",
            "destination_workload": f"checkout-{version}",
            "destination_version": version,
            "response_code": "200",
            "response_flags": "-",
        }
        source.add({**labels, **target}, {t: 10.0 * i for i, t in enumerate(times)})
        source.add({"__name__": "up", **target}, dict.fromkeys(times, 1.0))
        if age:
            started = dict.fromkeys(times, (UNTIL - age) / 1000)
            source.add({"__name__": "process_start_time_seconds", **target}, started)


@pytest.mark.parametrize(
    ("stable", "canary", "said"),
    [
        ((3, 20 * MINUTE), (3, 20 * MINUTE), []),
        ((3, 20 * MINUTE), (2, 15 * MINUTE), []),
        ((4, 20 * MINUTE), (1, 20 * MINUTE), ["stable has 4 pods, canary 1; a difference may be"]),
        ((1, 20 * MINUTE), (4, 20 * MINUTE), ["stable has 1 pod, canary 4"]),
        ((2, 7 * DAY), (2, 10 * MINUTE), ["pods of stable run for 7d, those of canary for 10m"]),
        ((2, 2 * DAY), (2, 90 * DAY), []),
        ((2, 0), (2, 10 * MINUTE), []),
    ],
)
def test_twice_as_many_or_as_old_is_told(
    tmp_path: Path, stable: tuple[int, int], canary: tuple[int, int], said: list[str]
) -> None:
    source, warehouse = ScrapedSource(), tmp_path / "w.duckdb"
    for version, (number, age) in (("v1", stable), ("v2", canary)):
        pods(source, version, number, age)
    # A pod that is gone counts for nothing.
    pods(source, "v2", 5, 25 * MINUTE, until=UNTIL - 15 * MINUTE)
    spec = Experiment.model_validate(SPEC)
    pull_requests(spec, source, warehouse, until_ms=UNTIL)
    with open_reader(warehouse) as con:
        found = list(unlike_pods_seen(con, spec, UNTIL))
        elsewhere = spec.model_copy(update={"reporter": "source"})
        assert list(unlike_pods_seen(con, elsewhere, UNTIL)) == []
    assert len(found) == len(said)
    for sentence, part in zip(found, said, strict=True):
        assert part in sentence
        assert sentence.endswith("fair-baseline.md)")
    at = datetime.fromtimestamp(UNTIL / 1000, UTC)
    told = about_data(spec, warehouse, spec_dir=tmp_path, at=at).remarks
    assert set(found) <= set(told)


BY_SERVICE = {"blue": {"service": "shop-blue"}, "green": {"service": "shop-green"}}


def answering(
    source: ScrapedSource, reporter: str, pod: str, service: str, version: str, span: range
) -> None:
    """A pod (or a caller) whose requests to a Service grow over these scrapes; 4 % fail.

    pod: its name, and its address after a blank where it is another.
    """
    name, _, address = pod.partition(" ")
    target = {"job": "pods", "instance": f"{address or name}:15020", "pod": name}
    labels = {
        "reporter": reporter,
        "destination_service_name": service,
        "destination_service_namespace": "shop",
        "destination_workload": "exam",
        "destination_version": version,
        "response_flags": "-",
        **target,
    }
    scrapes = range(START + SCRAPE, UNTIL + 1, SCRAPE)
    grown = {t: max(0, min(i, span.stop) - span.start) for i, t in enumerate(scrapes)}
    source.add({"__name__": "up", **target}, dict.fromkeys(scrapes, 1.0))
    started = dict.fromkeys(scrapes, START / 1000)
    source.add({"__name__": "process_start_time_seconds", **target}, started)
    for code, each in (("200", 288.0), ("503", 12.0)):
        of_code = {"__name__": "istio_requests_total", **labels, "response_code": code}
        source.add(of_code, {t: each * n for t, n in grown.items()})


@pytest.mark.parametrize(
    ("reporter", "pods_of", "switched_at", "decision"),
    [
        ("destination", ("exam-old", "exam-new"), 0, Decision.INVALID),
        ("destination", ("exam-old", "exam-new"), 30, Decision.INVALID),
        ("destination", ("exam-old", "exam-new"), 120, Decision.PROMOTE),  # never, within the plan
        ("destination", ("exam-0 10.0.0.1", "exam-0 10.0.0.2"), 120, Decision.PROMOTE),
        ("destination", ("exam-old 10.0.0.1", "exam-new 10.0.0.1"), 120, Decision.PROMOTE),
        ("destination", ("collector", "collector"), 120, Decision.PROMOTE),
        ("source", ("caller", "caller"), 120, Decision.PROMOTE),
    ],
)
def test_pods_that_both_services_select_are_not_compared_with_themselves(
    tmp_path: Path, reporter: str, pods_of: tuple[str, str], switched_at: int, decision: Decision
) -> None:
    """Of blue and green: from the switch on, green's pods answer for both."""
    source, every = ScrapedSource(), range(200)
    answering(source, reporter, pods_of[0], "shop-blue", "v1", range(switched_at))
    answering(source, reporter, pods_of[1], "shop-green", "v2", every)
    if switched_at < 120:
        answering(source, reporter, pods_of[1], "shop-blue", "v2", range(switched_at, 200))
    changes: dict[str, Any] = {"variants": BY_SERVICE, "reporter": reporter}
    errors = {"errors": {"kind": "error_share", "objective": 0.05}}
    plan = SPEC["plan"] | {"duration": "30m"}
    spec = Experiment.model_validate({**SPEC, "metrics": errors, "plan": plan, **changes})
    pull_requests(spec, source, tmp_path / "w.duckdb", until_ms=UNTIL)
    at = datetime.fromtimestamp(UNTIL / 1000, UTC)
    document = score_experiment(spec, tmp_path / "w.duckdb", at=at)
    said = "compared with themselves" in " ".join(document.reasons)
    assert said == (decision is Decision.INVALID)
    assert document.decision is decision
