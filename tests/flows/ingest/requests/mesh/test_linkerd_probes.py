"""What Kubernetes and Prometheus ask of a pod is no request of a user."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from tests.builders.harm_traffic import SCRAPE_MS, SCRAPES, START, TrafficCell, scraped, spec_of
from tests.builders.scraped_source import ScrapedSource

PROBES = {
    "probes": {"route_name": "probe", "route_kind": "default", "target_port": "8080"},
    "scrapes": {"route_name": "default", "target_port": "4191"},
}
NAMES = ("response_total", "request_total", "response_latency_ms_bucket")


def with_probes(source: ScrapedSource, labels: dict[str, str], times: int) -> ScrapedSource:
    """Beside each success so many that Kubernetes asked for."""
    found = ScrapedSource()
    for key, samples in source.series.items():
        own = dict(key)
        found.add(own, samples)
        if own["__name__"] in NAMES and own.get("classification", "success") == "success":
            found.add(own | labels, {t: times * value for t, value in samples.items()})
    return found


@pytest.mark.parametrize("labels", PROBES.values(), ids=PROBES)
@pytest.mark.parametrize(
    ("harm", "expected"), [("none", Decision.PROMOTE), ("failures", Decision.ROLLBACK)]
)
def test_probes_dilute_no_failures(
    tmp_path: Path, labels: dict[str, str], harm: str, expected: Decision
) -> None:
    cell = TrafficCell("linkerd", "destination", harm, "clean")
    spec, source = spec_of(cell), scraped(cell)
    end = START + SCRAPES * SCRAPE_MS
    plain = pull_requests(spec, source, tmp_path / "plain.duckdb", until_ms=end)
    warehouse = tmp_path / "warehouse.duckdb"
    pulled = pull_requests(spec, with_probes(source, labels, 100), warehouse, until_ms=end)
    assert pulled.requests == plain.requests
    at = datetime.fromtimestamp(START / 1000, UTC) + timedelta(milliseconds=end - START)
    assert score_experiment(spec, warehouse, at=at).decision is expected
