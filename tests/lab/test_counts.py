"""Pulled counts against what the pods really answered, on real traffic with real trouble."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.ingest.requests.pull_requests import RequestPull, pull_requests
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource
from flows.warehouse.connection import open_reader
from tests.lab import needs_prometheus
from tests.lab.lab import Lab
from tests.lab.topology import ServiceSpec, VariantSpec

NAMESPACE = "edtech-production"
CANARY = VariantSpec("canary", "v2", pods=1)
MESHES = {
    "istio": ("v1", "v2"),
    "linkerd": ("exam-service-stable", "exam-service-canary"),
    "envoy": ("exam-service-stable", "exam-service-canary"),
}


@dataclass(frozen=True, slots=True)
class Session:
    """A lab after its traffic, and when that began."""

    lab: Lab
    began: datetime
    scraped_until: datetime


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    """Errors, a restart with counters from zero, missed scrapes, a canary that comes late."""
    needs_prometheus()
    stable = [VariantSpec("stable", "v1", pods=2, weight=100)]
    with Lab([ServiceSpec("exam-service", NAMESPACE, stable)], scrape_interval_s=1.0) as lab:
        began = datetime.now(UTC)
        service = "exam-service"
        lab.drive(50, 3)
        lab.set_behaviour(service, error_share=0.05)
        lab.drive(50, 3)
        first, second = (pod.name for pod in lab.pods(service))
        lab.settle()
        lab.restart_pod(service, first, graceful=True)
        lab.break_scrapes(service, second)
        lab.drive(50, 3)
        lab.heal_scrapes(service, second)
        lab.add_variant(service, CANARY)
        lab.set_behaviour(service, "canary", error_share=0.3)
        lab.set_weights(service, {"stable": 50, "canary": 50})
        lab.drive(50, 4)
        lab.settle()
        yield Session(lab, began, datetime.now(UTC))


def _spec(lab: Lab, mesh: str, began: datetime) -> Experiment:
    stable, canary = MESHES[mesh]
    return Experiment.model_validate(
        {
            "experiment": f"counts-{mesh}",
            "service": "exam-service",
            "namespace": NAMESPACE,
            "mesh": mesh,
            "variants": {"stable": {"version": stable}, "canary": {"version": canary}},
            "plan": {"start": began - timedelta(seconds=20), "duration": "1h", "bucket": "1s"},
            "sources": {"requests": {"url": lab.prometheus_url, "scrape_interval": "1s"}},
        }
    )


def _pull(session: Session, mesh: str, warehouse: Path) -> tuple[Experiment, RequestPull]:
    spec = _spec(session.lab, mesh, session.began)
    assert isinstance(spec.sources.requests, PrometheusSource)
    source = PrometheusSamples(spec.sources.requests)
    until_ms = round(session.scraped_until.timestamp() * 1000)
    return spec, pull_requests(spec, source, warehouse, until_ms=until_ms)


def _counted(warehouse: Path, experiment: str) -> Counter[tuple[str, str]]:
    with open_reader(warehouse) as con:
        rows = con.execute(
            "select variant, response_code, sum(requests) from request_buckets "
            "where experiment = ? group by all",
            [experiment],
        ).fetchall()
    return Counter({(variant, code): int(count) for variant, code, count in rows})


def _truth(lab: Lab) -> Counter[tuple[str, str]]:
    found: Counter[tuple[str, str]] = Counter()
    for (variant, _, answer), count in lab.truth("exam-service").items():
        if count:
            found[variant, answer] += count
    return found


@pytest.mark.parametrize("mesh", MESHES)
def test_pulled_totals_equal_what_the_pods_answered(
    session: Session, tmp_path: Path, mesh: str
) -> None:
    spec, pulled = _pull(session, mesh, tmp_path / "w.duckdb")
    counted = _counted(tmp_path / "w.duckdb", spec.experiment)
    assert counted == _truth(session.lab), pulled.warnings


def test_pulling_twice_changes_nothing(session: Session, tmp_path: Path) -> None:
    spec, _ = _pull(session, "istio", tmp_path / "w.duckdb")
    once = _counted(tmp_path / "w.duckdb", spec.experiment)
    _pull(session, "istio", tmp_path / "w.duckdb")
    assert _counted(tmp_path / "w.duckdb", spec.experiment) == once


def test_requests_that_died_unscraped_are_reported(session: Session, tmp_path: Path) -> None:
    lab, service = session.lab, "exam-service"
    pod = lab.pods(service, "stable")[0].name
    _, before = _pull(session, "istio", tmp_path / "before.duckdb")
    lab.drive(80, 2.5)
    lab.restart_pod(service, pod, graceful=False)
    lab.drive(50, 3)
    lab.settle()
    ended = Session(lab, session.began, datetime.now(UTC))
    spec, pulled = _pull(ended, "istio", tmp_path / "w.duckdb")
    missing = _truth(lab).total() - _counted(tmp_path / "w.duckdb", spec.experiment).total()
    estimate = sum(pulled.lost.values()) - sum(before.lost.values())
    # Half of the traffic is stable's, which has two pods: what one answers from scrape to scrape.
    unscraped = 80 / 2 / 2 * lab.scrape_interval_s
    assert missing >= 0
    assert estimate > 0
    assert estimate == pytest.approx(missing, abs=unscraped + 3 * unscraped**0.5)
