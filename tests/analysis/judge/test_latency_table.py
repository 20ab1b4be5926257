"""Latency tables: right under ramps and drift, silent without an effect, honest about edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtr

from analysis.evidence import RequestEvidence
from analysis.explain.latency_notes import latency_notes
from analysis.judge.latency_table import LatencyTable, compare_latencies
from analysis.requests.latency import LatencyCounts
from tests.builders.streams import autoregression, plan_for

INF = float("inf")
EDGES = np.array([1.0, 2, 5, 10, 20, 50, 100, 200, INF])
BUCKETS = 60
# facts/ab-statistics.md, item 14.
PUBLISHED_EDGES = np.array([5.0, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, INF])
CONTROL = np.array([1200, 3400, 9000, 21000, 38000, 46500, 48900, 49600, 49900, 49970, 49995, 5e4])
TREATED = np.array([230, 640, 1650, 3900, 7000, 8900, 9600, 9830, 9940, 9975, 9990, 1e4])


def _compare(baseline: LatencyCounts, candidate: LatencyCounts) -> tuple[LatencyTable, ...]:
    buckets = baseline.at_most.shape[-1]
    evidence = RequestEvidence(
        np.zeros(buckets, np.int64), {}, (), {}, {"stable": baseline, "canary": candidate}
    )
    return compare_latencies(plan_for(BUCKETS), evidence)


def _table(baseline: LatencyCounts, candidate: LatencyCounts) -> LatencyTable:
    (table,) = _compare(baseline, candidate)
    return table


def _log_normal(
    rng: np.random.Generator,
    n: np.ndarray | float,
    center: np.ndarray | float,
    spread: float = 0.8,
    edges: np.ndarray = EDGES,
) -> LatencyCounts:
    """Requests whose log latency is normal; n and center may change from bucket to bucket."""
    n, center = (np.broadcast_to(np.asarray(x, float), (BUCKETS,)) for x in (n, center))
    at_most = ndtr((np.log(edges)[:, None] - center) / spread)
    counts = rng.multinomial(n.astype(int), np.diff(at_most, axis=0, prepend=0.0).T)
    return LatencyCounts(edges, counts.cumsum(axis=-1).T.astype(float))


def _same_in_every_bucket(edges: np.ndarray, at_most: np.ndarray) -> LatencyCounts:
    return LatencyCounts(edges, np.repeat(at_most[:, None] / BUCKETS, BUCKETS, axis=1))


def test_published_case_is_bounded_by_edges() -> None:
    table = _table(
        _same_in_every_bucket(PUBLISHED_EDGES, CONTROL),
        _same_in_every_bucket(PUBLISHED_EDGES, TREATED),
    )
    p99 = next(row for row in table.quantiles if row.quantile == 0.99)
    assert (p99.baseline.lower_ms, p99.baseline.upper_ms) == (500, 1000)
    assert (p99.candidate.lower_ms, p99.candidate.upper_ms) == (1000, 2500)
    assert (p99.difference.lower, p99.difference.upper) == (0, 2000)
    assert p99.difference.value == pytest.approx(1026, abs=0.5)
    shares = {row.edge_ms: row for row in table.slower_than}
    assert shares[100].difference.value == pytest.approx(0.3 - 0.24)
    assert shares[100].difference.lower > 0.03
    assert table.order.slower


def _ramp(
    rng: np.random.Generator, *, harm: float = 0.0, growth: float = 2.0
) -> tuple[LatencyCounts, LatencyCounts]:
    """5, 25 and 50 % of the traffic, while latency grows for both versions."""
    share = np.repeat([0.05, 0.25, 0.5], BUCKETS // 3)
    drift = np.linspace(2.5, 2.5 + np.log(growth), BUCKETS)
    total = 2000.0
    return (
        _log_normal(rng, total * (1 - share), drift),
        _log_normal(rng, total * share, drift + harm),
    )


def test_drift_over_a_ramp_is_no_difference() -> None:
    baseline, candidate = _ramp(np.random.default_rng(1))
    pooled = [arm.at_most.sum(axis=-1) / arm.at_most[-1].sum() for arm in (baseline, candidate)]
    assert (pooled[0] - pooled[1]).max() > 0.05, "pooled, the canary looks slower"
    table = _table(baseline, candidate)
    assert table.order.slower_at_ms == table.order.faster_at_ms == ()
    assert max(abs(row.difference.value) for row in table.slower_than) < 0.01
    for quantile in table.quantiles:
        assert quantile.difference.lower <= 0 <= quantile.difference.upper
        assert abs(quantile.difference.value) < 0.07 * quantile.baseline.interpolated_ms
    assert list(latency_notes(table)) == []


def test_slower_version_is_found_at_every_edge_in_spite_of_drift() -> None:
    table = _table(*_ramp(np.random.default_rng(2), harm=0.8, growth=1.2))
    assert table.order.slower
    assert table.order.everywhere
    assert list(latency_notes(table)) == [
        "canary's latencies are slower than stable's at every edge (2 to 200 ms)"
    ]


def test_faster_version_is_the_mirror_image() -> None:
    slow, fast = _ramp(np.random.default_rng(2), harm=-0.4, growth=1.2)
    ours, theirs = _table(slow, fast), _table(fast, slow)
    assert not theirs.order.faster_at_ms
    assert not ours.order.slower_at_ms
    assert ours.order.faster_at_ms == theirs.order.slower_at_ms
    for row, mirrored in zip(ours.slower_than, theirs.slower_than, strict=True):
        assert row.difference.value == pytest.approx(-mirrored.difference.value)
    for quantile, mirror in zip(ours.quantiles, theirs.quantiles, strict=True):
        assert quantile.difference.lower == -mirror.difference.upper
        assert quantile.candidate == mirror.baseline


def test_wider_spread_is_slower_and_faster() -> None:
    rng = np.random.default_rng(3)
    table = _table(_log_normal(rng, 1000, 3.0, 0.5), _log_normal(rng, 1000, 3.0, 1.0))
    assert table.order.crossing
    assert not table.order.everywhere
    (note,) = latency_notes(table)
    assert note == (
        "canary's latencies are slower than stable's at 50, 100, 200 ms, but faster at 1, 2, 5, "
        "10 ms"
    )


def _shared_shocks(rng: np.random.Generator) -> tuple[LatencyCounts, LatencyCounts]:
    """Few requests, and slow and fast moments that both versions have together."""
    center = 3 + rng.normal(0, 0.3, BUCKETS)
    return _log_normal(rng, 300, center), _log_normal(rng, 30, center)


def _own_states(rng: np.random.Generator) -> tuple[LatencyCounts, LatencyCounts]:
    """Slow and fast states of each version by itself, which last from bucket to bucket."""
    state = 3 + 0.1 * autoregression(rng, (2, BUCKETS), 0.5)
    return _log_normal(rng, 500, state[0]), _log_normal(rng, 100, state[1])


@pytest.mark.parametrize("simulate", [_ramp, _shared_shocks, _own_states])
def test_equal_latencies_alarm_at_no_look_more_often_than_alpha(
    simulate: Callable[[np.random.Generator], tuple[LatencyCounts, LatencyCounts]],
) -> None:
    rng, runs, wrong = np.random.default_rng(4), 80, 0
    for _ in range(runs):
        arms = simulate(rng)
        for look in range(6, BUCKETS + 1, 6):
            seen = [LatencyCounts(EDGES, arm.at_most[:, :look]) for arm in arms]
            order = _table(seen[0], seen[1]).order
            if order.slower_at_ms or order.faster_at_ms:
                wrong += 1
                break
    assert wrong / runs <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)


def test_quantiles_and_shares_are_held() -> None:
    """The truth lies within the bounds in all but alpha of the runs, also after few buckets."""
    rng, runs = np.random.default_rng(5), 150
    z = {0.5: 0.0, 0.9: 1.2815515655, 0.95: 1.6448536270, 0.99: 2.3263478740}
    slower = {e: 1 - ndtr((np.log(e) - np.array([3.0, 3.2])) / 0.8) for e in EDGES[:-1].tolist()}
    missed = {"quantile": 0, "share": 0}
    for _ in range(runs):
        table = _table(_log_normal(rng, 200, 3.0), _log_normal(rng, 50, 3.2))
        for row in table.quantiles:
            b, c = (float(np.exp(center + 0.8 * z[row.quantile])) for center in (3.0, 3.2))
            assert row.baseline.quantile == row.quantile
            held = row.baseline.lower_ms < b <= row.baseline.upper_ms
            held &= row.candidate.lower_ms < c <= row.candidate.upper_ms
            held &= row.difference.lower <= c - b <= row.difference.upper
            missed["quantile"] += not held
        missed["share"] += any(
            not row.difference.lower <= np.diff(slower[row.edge_ms])[0] <= row.difference.upper
            for row in table.slower_than
        )
    limit = 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert missed["quantile"] / (runs * len(z)) <= limit
    assert missed["share"] / runs <= limit


def test_edges_of_one_version_alone_are_named_and_dropped() -> None:
    rng = np.random.default_rng(6)
    theirs = _log_normal(rng, 500, 3.0, edges=np.array([5.0, 10, 25, 50, INF]))
    ours = _log_normal(rng, 500, 3.0, edges=np.array([10.0, 20, 50, 100, INF]))
    table = _table(theirs, ours)
    assert (table.dropped_baseline, table.dropped_candidate) == ((5, 25), (20, 100))
    assert [row.edge_ms for row in table.slower_than] == [10, 50]
    (note,) = latency_notes(table)
    assert note == (
        "latency buckets differ: the edges 5, 25 ms of stable and 20, 100 ms of canary have no "
        "counterpart all the time, so latencies are not compared there"
    )


def test_edge_that_a_version_had_only_for_a_time_is_dropped() -> None:
    """A rollout brings other buckets: counts up to the old edge would be those of half the time."""
    baseline, candidate = _ramp(np.random.default_rng(7))
    at_most = candidate.at_most.copy()
    at_most[EDGES == 20, BUCKETS // 2 :] = np.nan
    table = _table(baseline, LatencyCounts(EDGES, at_most))
    assert (table.dropped_baseline, table.dropped_candidate) == ((20,), (20,))
    assert 20 not in {row.edge_ms for row in table.slower_than}
    shares = [row.candidate for row in table.slower_than]
    assert shares == sorted(shares, reverse=True)


def test_without_a_shared_edge_nothing_is_compared_and_that_is_said() -> None:
    rng = np.random.default_rng(8)
    table = _table(
        _log_normal(rng, 100, 3.0, edges=np.array([10.0, INF])),
        _log_normal(rng, 100, 3.0, edges=np.array([20.0, INF])),
    )
    assert (table.quantiles, table.slower_than) == ((), ())
    assert not table.order.everywhere
    assert "no edge is left to compare latencies at" in next(iter(latency_notes(table)))


def test_buckets_of_one_version_alone_are_left_out_and_counted() -> None:
    rng = np.random.default_rng(9)
    baseline, candidate = _log_normal(rng, 500, 3.0), _log_normal(rng, 500, 3.0)
    alone = baseline.at_most.copy()
    alone[:, 50:] = 0.0
    slow = candidate.at_most.copy()
    slow[:-1, 50:] = 0.0
    table = _table(replace(baseline, at_most=alone), replace(candidate, at_most=slow))
    assert (table.requests_baseline, table.requests_candidate) == (25_000, 25_000)
    assert (table.alone_baseline, table.alone_candidate) == (0, 5_000)
    assert not table.order.slower_at_ms


def test_nothing_together_is_no_table() -> None:
    rng = np.random.default_rng(10)
    some = _log_normal(rng, 100, 3.0)
    none = LatencyCounts(EDGES, np.zeros((EDGES.size, BUCKETS)))
    assert _compare(some, none) == ()
    assert compare_latencies(plan_for(BUCKETS), None) == ()


def test_quantile_that_a_metric_asks_for_stands_in_the_table() -> None:
    plan = plan_for(BUCKETS)
    plan = replace(plan, metrics=(replace(plan.metrics[0], quantile=0.999),))
    some = _log_normal(np.random.default_rng(11), 100, 3.0)
    evidence = RequestEvidence(
        np.zeros(BUCKETS, np.int64), {}, (), {}, {"stable": some, "canary": some}
    )
    (table,) = compare_latencies(plan, evidence)
    assert [row.quantile for row in table.quantiles] == [0.5, 0.9, 0.95, 0.99, 0.999]
