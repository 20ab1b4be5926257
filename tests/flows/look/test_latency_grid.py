"""An edge that a version lacks, or loses, is not known there: nothing slow hides behind it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from analysis.requests.latency import LatencyCounts
from analysis.requests.outcomes import RequestOutcome
from flows.look.latency_grid import edge_from, slow_counts
from flows.look.responses import ResponseCounts, ResponseKind
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    istio,
    pull,
    rows,
    scrapes,
)

NAN = float("nan")
UNTIL = START + HOUR


def _counts(edges: list[float], *at_most: list[float]) -> LatencyCounts:
    """One bucket a column, infinity last."""
    return LatencyCounts(np.array([*edges, np.inf]), np.array(at_most))


@pytest.mark.parametrize(
    ("counts", "slow", "unknown"),
    [
        # The edge is there in the first bucket only; around it 60 and 90 of 100 are known.
        (_counts([500, 1000, 2500], [60, 60], [80, NAN], [90, 90], [100, 100]), [20, 10], [0, 30]),
        # It was never there.
        (_counts([500, 2500], [60, 60], [90, 90], [100, 100]), [10, 10], [30, 30]),
        # Nothing above it, nothing below it.
        (_counts([500], [60, 60], [100, 100]), [0, 0], [40, 40]),
        (_counts([2500], [90, 90], [100, 100]), [10, 10], [90, 90]),
        (_counts([], [100, 100]), [0, 0], [100, 100]),
    ],
)
def test_between_the_edges_around_it_requests_are_unknown(
    counts: LatencyCounts, slow: list[float], unknown: list[float]
) -> None:
    ok = ResponseKind(RequestOutcome.SUCCESS, "200", "", "")
    seen = ResponseCounts((ok,), counts.total[None])
    total, bad, untold = slow_counts(counts, 1000.0, seen)
    assert (total.tolist(), bad.tolist(), untold.tolist()) == ([100, 100], slow, unknown)


def test_the_edge_is_the_baselines_whatever_the_candidate_has() -> None:
    latency = {
        "stable": _counts([500, 1000, 2500], [1], [1], [1], [1]),
        "canary": _counts([500, 2500], [1], [1], [1]),
    }
    assert edge_from(1000, latency, ("stable", "canary")) == 1000
    assert edge_from(800, latency, ("stable", "canary")) == 1000
    assert edge_from(1000, latency, ("canary", "stable")) == 2500
    assert edge_from(5000, latency, ("stable", "canary")) is None
    assert edge_from(1000, {"stable": latency["stable"]}, ("stable", "canary")) is None
    assert edge_from(1000, {"canary": latency["canary"]}, ("stable", "canary")) is None
    assert edge_from(1000, latency, ("stable", "canary", "later")) == 1000


def _histogram(source: ScrapedSource, pod: str, edges: dict[str, int]) -> None:
    for le, count in edges.items():
        labels = istio("v1", pod, le=le)
        labels["__name__"] = "istio_request_duration_milliseconds_bucket"
        times = scrapes(START + 60_000, UNTIL)
        source.add(labels, {t: float(count * (i + 1)) for i, t in enumerate(times)})


def test_an_edge_that_one_pod_lacks_is_no_edge_of_its_version(tmp_path: Path) -> None:
    """Summed over the others, 500 of 1,000 would look slower than a second that are as fast."""
    source = ScrapedSource()
    for pod in ("a", "b"):
        add_pod(source, istio("v1", pod), START + 60_000, UNTIL)
    _histogram(source, "a", {"500": 8, "1000": 10, "+Inf": 10})
    _histogram(source, "b", {"500": 8, "2500": 10, "+Inf": 10})
    pull(source, tmp_path / "w.duckdb", UNTIL)
    edges = rows(tmp_path / "w.duckdb", "select distinct le_ms from latency_buckets order by 1")
    assert [edge for (edge,) in edges] == [500, float("inf")]
    of = rows(
        tmp_path / "w.duckdb",
        "select sum(requests) filter (le_ms = 500), sum(requests) filter (isinf(le_ms)) "
        "from latency_buckets",
    )
    assert of[0][0] == 0.8 * float(of[0][1])
