"""Whole replays: error rates, detection, and that the seed decides everything."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.calibration.injections import NO_HARM
from analysis.calibration.judges import Judge
from analysis.calibration.outcome import HOLD, PROMOTE, ROLLBACK, Decisions, Outcome, Rate
from analysis.calibration.replay import (
    Scenario,
    groups_of,
    injections_of,
    judge_runs,
    looks_of,
    simulate,
    summarise,
)
from tests.builders.replays import MARGIN, plan_of, replay_of

RUNS = 120
# With a harm that shows: rates near 0 and 1 need fewer.
HARMED_RUNS = 40


@pytest.fixture(scope="module")
def scenarios() -> dict[str, Scenario]:
    replay = replay_of()
    return {
        injection.name: summarise(
            replay, injection, [judge_runs(replay, injection, g) for g in groups_of(replay, runs)]
        )
        for injection in injections_of(replay)
        for runs in (RUNS if injection is NO_HARM else HARMED_RUNS,)
    }


def test_our_false_alarms_are_rare_and_the_z_tests_are_not(scenarios: dict[str, Scenario]) -> None:
    found = scenarios["no-difference"].outcomes
    assert found[Judge.VERDICT].rolled_back.value <= 0.025 + 2 * np.sqrt(0.025 * 0.975 / RUNS)
    # Twenty looks, two metrics, at 2.5 % each.
    assert found[Judge.Z_TEST].rolled_back.value > 0.1


def test_total_failure_is_always_found_within_a_minute(scenarios: dict[str, Scenario]) -> None:
    found = scenarios["total-failure"].outcomes[Judge.VERDICT]
    assert found.rolled_back.value == 1
    assert found.p90_ms is not None
    assert found.p90_ms <= 60_000


def test_clear_harm_is_found_and_never_promoted(scenarios: dict[str, Scenario]) -> None:
    assert scenarios["five-points"].outcomes[Judge.VERDICT].rolled_back.value > 0.95
    for scenario in scenarios.values():
        if scenario.excess > 0:
            assert scenario.outcomes[Judge.VERDICT].promoted.value <= 0.05


def test_harm_of_one_margin_is_exactly_at_the_margin(scenarios: dict[str, Scenario]) -> None:
    assert scenarios["one-margin"].excess == 0
    assert scenarios["two-margins"].excess == pytest.approx(MARGIN)
    assert scenarios["no-difference"].excess == -MARGIN


def test_every_kind_of_harm_is_injected(scenarios: dict[str, Scenario]) -> None:
    assert list(scenarios) == [
        "no-difference",
        "one-margin",
        "two-margins",
        "five-points",
        "slow-drift",
        "total-failure",
        "latency-shift",
        "latency-spread",
    ]


def test_runs_do_not_depend_on_their_group() -> None:
    replay = replay_of()
    whole, part = (simulate(replay, NO_HARM, group) for group in (range(5), range(3, 5)))
    for name in ("stable", "canary"):
        assert np.array_equal(whole.counts[name].bad[3:], part.counts[name].bad)
        assert np.array_equal(whole.requests[name][3:], part.requests[name])


def test_versions_together_are_buckets_of_the_history() -> None:
    replay = replay_of()
    runs = simulate(replay, NO_HARM, range(3))
    both = runs.requests["stable"] + runs.requests["canary"]
    history = replay.history
    assert set(both.ravel()) <= set((history.other + history.good + history.failed).tolist())


def test_another_seed_gives_other_runs() -> None:
    first, second = (simulate(replay_of(seed=seed), NO_HARM, range(1)) for seed in (1, 2))
    assert not np.array_equal(first.requests["stable"], second.requests["stable"])


def test_traffic_follows_the_stages() -> None:
    runs = simulate(replay_of(), NO_HARM, range(20))
    total = runs.requests["stable"] + runs.requests["canary"]
    share = runs.requests["canary"].sum(axis=0) / total.sum(axis=0)
    assert share[:20] == pytest.approx(np.full(20, 0.2), abs=0.02)
    assert share[20:] == pytest.approx(np.full(20, 0.4), abs=0.02)


def test_groups_hold_every_run_once() -> None:
    replay = replay_of()
    assert [run for group in groups_of(replay, 333) for run in group] == list(range(333))


def test_looks_are_those_of_the_plan() -> None:
    assert looks_of(plan_of(10), 60).tolist() == list(range(30_000, 600_001, 30_000))


def test_many_looks_are_thinned_with_first_and_last_kept() -> None:
    looks = looks_of(plan_of(600), 60)
    assert len(looks) <= 60
    assert (looks[0], looks[-1]) == (30_000, 36_000_000)
    assert (np.diff(looks[20:]) / looks[20:-1] < 0.2).all()


def test_outcome_counts_runs_and_times() -> None:
    decision = np.array([ROLLBACK] * 5 + [PROMOTE] * 3 + [HOLD] * 2)
    at_ms = np.array([10, 20, 30, 40, 50, 1, 1, 1, 99, 99])
    outcome = Outcome.of(Decisions(decision, at_ms))
    shares = (outcome.rolled_back.value, outcome.promoted.value, outcome.held.value)
    assert shares == (0.5, 0.3, 0.2)
    assert (outcome.median_ms, outcome.p90_ms) == (30, 50)


def test_error_of_a_share_is_not_zero_where_nothing_was_found() -> None:
    none = Rate.of(np.zeros(100, dtype=bool))
    assert none.value == 0
    assert none.standard_error == pytest.approx(np.sqrt((2 / 104) * (102 / 104) / 104))
    half = Rate.of(np.arange(10_000) % 2 == 0)
    assert half.standard_error == pytest.approx(0.005, rel=0.001)
