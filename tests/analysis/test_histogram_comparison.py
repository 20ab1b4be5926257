"""Two versions' latency histograms: shared edges, quantile differences that hold, and order."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.histogram_comparison import (
    CommonEdges,
    common_edges,
    compare_histograms,
    latency_order,
    order_at_every_look,
    quantile_at_every_look,
    quantile_difference,
    slower_shares,
)
from analysis.latency import Histogram

INF = float("inf")
EDGES = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, INF]) * 1000
# facts/ab-statistics.md, item 14.
CONTROL = Histogram(
    EDGES,
    np.array([1200, 3400, 9000, 21000, 38000, 46500, 48900, 49600, 49900, 49970, 49995, 50000.0]),
)
TREATED = Histogram(
    EDGES, np.array([230, 640, 1650, 3900, 7000, 8900, 9600, 9830, 9940, 9975, 9990, 10000.0])
)


def test_published_case_bounds_the_difference_by_edges() -> None:
    found = quantile_difference(CONTROL, TREATED, 0.99, alpha=0.05)
    assert found is not None
    assert (found.baseline.lower_ms, found.baseline.upper_ms) == (500, 1000)
    assert (found.candidate.lower_ms, found.candidate.upper_ms) == (1000, 2500)
    assert (found.lower_ms, found.upper_ms) == (0, 2000)
    # The page has 0.929 s and 1.955 s, rounded.
    assert found.baseline.interpolated_ms == pytest.approx(928.571, abs=0.001)
    assert found.candidate.interpolated_ms == pytest.approx(1954.545, abs=0.001)
    assert found.interpolated_ms == pytest.approx(1026, abs=0.5)


def test_published_case_holds_at_every_look_too() -> None:
    assert quantile_at_every_look(CONTROL, TREATED, 0.99, alpha=0.05) == (0, 2000)


def test_published_case_is_slower_and_nowhere_faster() -> None:
    edges = common_edges(CONTROL, TREATED)
    for found in (latency_order(edges, alpha=0.05), order_at_every_look(edges, alpha=0.05)):
        assert found.slower
        assert not found.crossing
        assert found.p_slower < 1e-6
        assert found.p_faster > 0.5
    shares = {row.edge_ms: row for row in slower_shares(edges, alpha=0.05)}
    assert shares[100].difference == pytest.approx(0.3 - 0.24)
    assert shares[100].lower > 0.05


def test_edges_of_one_version_alone_are_named_and_dropped() -> None:
    baseline = Histogram(np.array([5.0, 10, 25, 50, INF]), np.array([1.0, 4, 6, 9, 10]))
    candidate = Histogram(np.array([10.0, 20, 50, 100, INF]), np.array([3.0, 5, 8, 9, 10]))
    edges = common_edges(baseline, candidate)
    assert edges.dropped_baseline == (5, 25)
    assert edges.dropped_candidate == (20, 100)
    assert edges.baseline.edges_ms.tolist() == edges.candidate.edges_ms.tolist() == [10, 50, INF]
    assert edges.baseline.at_most.tolist() == [4, 9, 10]
    assert edges.candidate.at_most.tolist() == [3, 8, 10]


def test_quantiles_need_no_shared_edge() -> None:
    baseline = Histogram(np.array([10.0, 30, INF]), np.array([0.0, 1000, 1000]))
    candidate = Histogram(np.array([20.0, 40, INF]), np.array([0.0, 1000, 1000]))
    found = compare_histograms(baseline, candidate, alpha=0.05)
    assert found.slower_than == ()
    assert [q.quantile for q in found.quantiles] == [0.5, 0.9, 0.95, 0.99]
    assert (found.quantiles[0].lower_ms, found.quantiles[0].upper_ms) == (-10, 30)
    assert found.order.p_slower == 1


def test_histogram_without_its_infinite_edge_is_refused() -> None:
    open_ended = Histogram(np.array([10.0, 30]), np.array([1.0, 2]))
    with pytest.raises(ValueError, match="infinite"):
        common_edges(CONTROL, open_ended)


def test_nothing_is_known_without_requests() -> None:
    none = Histogram(EDGES, np.zeros(len(EDGES)))
    assert quantile_difference(none, TREATED, 0.99, alpha=0.05) is None
    assert quantile_at_every_look(none, TREATED, 0.99, alpha=0.05) == (-INF, INF)
    found = compare_histograms(none, TREATED, alpha=0.05)
    assert found.quantiles == ()
    assert not found.order.slower
    assert all(row.lower <= 0 <= row.upper for row in found.slower_than)
    assert not order_at_every_look(found.edges, alpha=0.05).slower


def test_wider_latency_is_both_slower_and_faster() -> None:
    rng = np.random.default_rng(1)
    narrow, wide = (_histogram(rng.lognormal(3, spread, 5000)) for spread in (0.5, 1.0))
    found = latency_order(common_edges(narrow, wide), alpha=0.05)
    assert found.crossing
    assert not found.slower
    assert found.faster_at_ms < found.slower_at_ms


def _histogram(values: np.ndarray) -> Histogram:
    edges = np.array([1.0, 2, 5, 10, 20, 50, 100, 200, INF])
    return Histogram(edges, (values[:, None] <= edges).sum(axis=0).astype(float))


def _pairs(runs: int, shift: float) -> list[CommonEdges]:
    rng = np.random.default_rng(2)
    return [
        common_edges(
            _histogram(rng.lognormal(3, 0.8, 2000)), _histogram(rng.lognormal(3 + shift, 0.8, 500))
        )
        for _ in range(runs)
    ]


def test_equal_latencies_alarm_no_oftener_than_alpha() -> None:
    runs = 1000
    found = [latency_order(edges, alpha=0.05) for edges in _pairs(runs, 0.0)]
    wrong = np.mean([order.slower or order.faster or order.crossing for order in found])
    assert wrong <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_a_shift_of_a_sixth_is_seen() -> None:
    found = [latency_order(edges, alpha=0.05) for edges in _pairs(100, 0.15)]
    assert np.mean([order.slower for order in found]) > 0.75
    assert not any(order.faster or order.crossing for order in found)


def test_difference_of_quantiles_is_held() -> None:
    """The true difference of two log-normal p90s lies in the range in all but alpha of the runs."""
    z, runs, held = 1.2815515655, 400, 0
    truth = np.exp(3.3 + 0.8 * z) - np.exp(3 + 0.8 * z)
    rng = np.random.default_rng(3)
    for _ in range(runs):
        arms = [_histogram(rng.lognormal(mean, 0.8, 300)) for mean in (3.0, 3.3)]
        found = quantile_difference(arms[0], arms[1], 0.9, alpha=0.05)
        assert found is not None
        held += found.lower_ms <= truth <= found.upper_ms
    assert held / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)


def test_slower_shares_are_held_from_few_requests_on() -> None:
    rng, runs, held = np.random.default_rng(4), 2000, 0
    for _ in range(runs):
        slow = rng.binomial([400, 60], [0.01, 0.04])
        arms = [
            Histogram(np.array([100.0, INF]), np.array([n - x, n], float))
            for n, x in zip((400, 60), slow, strict=True)
        ]
        (row,) = slower_shares(CommonEdges(arms[0], arms[1], (), ()), alpha=0.05)
        held += row.lower <= 0.03 <= row.upper
    assert held / runs >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / runs)
