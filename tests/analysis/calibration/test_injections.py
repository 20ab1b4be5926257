"""Injected harm has the size that it says."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.calibration.history import History
from analysis.calibration.injections import (
    NO_HARM,
    Injection,
    Stretch,
    error_injections,
    expected_harm,
    latency_injections,
    points,
    slow_probability,
)
from analysis.calibration.replay import injections_of, simulate
from tests.builders.replays import EDGES_MS, MARGIN, bursty_history, replay_of

HISTORY = bursty_history()
INJECTIONS = (*error_injections(MARGIN), *latency_injections(HISTORY))


def named(name: str) -> Injection:
    return next(injection for injection in INJECTIONS if injection.name == name)


@pytest.mark.parametrize("injection", INJECTIONS, ids=lambda injection: injection.name)
def test_simulated_harm_is_the_expected_harm(injection: Injection) -> None:
    replay = replay_of()
    runs, plain = (simulate(replay, item, range(60)) for item in (injection, NO_HARM))
    for row, metric in enumerate(replay.metrics):
        # Means of buckets, so that each moment of the plan weighs the same whatever the split.
        after, before = (x.counts["canary"].share[:, row] for x in (runs, plain))
        expected = expected_harm(injection, replay.history, replay.slow_edges, metric)
        by_run = (after - before).mean(axis=1)
        error = by_run.std(ddof=1) / np.sqrt(len(by_run))
        assert abs(by_run.mean() - expected) < 4 * error + 1e-4 + 0.02 * expected


def test_rates_rise_by_the_margin_and_by_points() -> None:
    rises = [
        expected_harm(named(name), HISTORY, {}, "errors")
        for name in ("one-margin", "two-margins", "five-points", "slow-drift")
    ]
    assert rises == pytest.approx([MARGIN, 2 * MARGIN, 0.05, 2 * MARGIN])


def test_drift_grows_linearly_from_nothing_to_four_margins() -> None:
    failing = named("slow-drift").failing(100, base=0.0)
    assert failing[0] == pytest.approx(4 * MARGIN / 200)
    assert failing[-1] == pytest.approx(4 * MARGIN, rel=0.01)
    assert np.diff(failing) == pytest.approx(np.full(99, 4 * MARGIN / 100))


def test_total_failure_fails_every_answer() -> None:
    counts = simulate(replay_of(), named("total-failure"), range(2)).counts["canary"]
    assert np.array_equal(counts.bad[:, 0], counts.total[:, 0])


def test_slower_requests_move_over_the_edge() -> None:
    edges = np.array([100.0, 200.0, 300.0, np.inf])
    # 300 ms were 200 ms before: the whole third cell is slow now.
    assert slow_probability(edges, 300.0, Stretch(1.5)).tolist() == [0, 0, 1, 1]
    # 200 ms were 133 ms before: two thirds of the second cell are slow now.
    assert slow_probability(edges, 200.0, Stretch(1.5)) == pytest.approx([0, 2 / 3, 1, 1])
    assert slow_probability(edges, 200.0, Stretch()).tolist() == [0, 0, 1, 1]


def test_spread_leaves_the_median_and_lengthens_the_tail() -> None:
    spread = named("latency-spread").stretch
    median = HISTORY.median_ms
    assert 50 < median < 70
    below, above = 50.0, 250.0
    assert slow_probability(EDGES_MS, below, spread).tolist() == [0, 0, 1, 1, 1, 1, 1]
    assert spread.origin(above) == pytest.approx(median + (above - median) / 2)


def test_harm_is_done_by_the_first_candidate_alone() -> None:
    runs, plain = (simulate(replay_of(), item, range(3)) for item in (INJECTIONS[2], NO_HARM))
    assert np.array_equal(runs.counts["stable"].bad, plain.counts["stable"].bad)
    assert runs.counts["canary"].bad[:, 0].sum() > plain.counts["canary"].bad[:, 0].sum()


def test_without_latency_none_is_injected() -> None:
    bare = History(
        HISTORY.starts_ms,
        HISTORY.other,
        HISTORY.good,
        HISTORY.failed,
        np.array([]),
        np.zeros((200, 0), dtype=np.int64),
    )
    replay = replay_of(history=bare)
    blind = type(replay)(bare, replay.setting, {"slow": None}, 1)
    names = [injection.name for injection in injections_of(blind)]
    assert names[0] == "no-difference"
    assert not {"latency-shift", "latency-spread"} & set(names)
    assert expected_harm(named("latency-shift"), bare, {"slow": None}, "slow") == 0


def test_a_margin_of_zero_is_not_injected() -> None:
    names = [injection.name for injection in error_injections(0.0)]
    assert names == ["five-points", "slow-drift", "total-failure"]


def test_five_points_are_not_injected_twice() -> None:
    for margin in (0.05, 0.025):
        shares = [injection.share for injection in error_injections(margin)]
        assert shares.count(0.05) == 1 + (margin == 0.025)  # a drift averages 5 points, too


def test_points_are_said_as_a_person_says_them() -> None:
    assert [points(x) for x in (0.005, 0.01, 0.05)] == ["0.5 points", "1 point", "5 points"]
