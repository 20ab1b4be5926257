"""The judges decide as what they stand for does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from analysis.calibration.injections import NO_HARM, Injection
from analysis.calibration.judges import Judge, Runs, decide, evidence_of
from analysis.calibration.outcome import HOLD, PROMOTE, ROLLBACK
from analysis.calibration.replay import Replay, simulate
from analysis.kayenta.judgement import MetricLabel
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, reach_verdict
from tests.builders.judged_metric import classify_metric
from tests.builders.replays import plan_of, replay_of, without_split

FIVE_POINTS = Injection("five-points", "", "", share=0.05)
TWO_POINTS = Injection("two-points", "", "", share=0.02)
WORDS = {Decision.PROMOTE: PROMOTE, Decision.ROLLBACK: ROLLBACK}


def production(replay: Replay, injection: Injection, group: range) -> list[tuple[int, int]]:
    """The first promote or rollback of reach_verdict, look by look, of every run."""
    setting, runs = replay.setting, simulate(replay, injection, group)
    found = []
    for run in range(runs.size):
        answer = HOLD, int(setting.looks_ms[-1])
        for at_ms in map(int, setting.looks_ms):
            evidence = evidence_of(setting, runs, run, at_ms)
            verdict = reach_verdict(setting.plan, evidence, setting.limits, at_ms=at_ms)
            if verdict.decision in WORDS:
                answer = WORDS[verdict.decision], at_ms
                break
        found.append(answer)
    return found


def assert_same_as_production(replay: Replay, injection: Injection, runs: int) -> set[int]:
    ours = decide(Judge.VERDICT, replay.setting, simulate(replay, injection, range(runs)))
    expected = production(replay, injection, range(runs))
    assert list(zip(ours.decision.tolist(), ours.at_ms.tolist(), strict=True)) == expected
    return set(ours.decision.tolist())


@pytest.mark.parametrize("injection", [NO_HARM, TWO_POINTS, FIVE_POINTS], ids=lambda i: i.name)
def test_our_judge_decides_as_reach_verdict_does(injection: Injection) -> None:
    assert_same_as_production(replay_of(), injection, 12)


def test_our_judge_decides_as_reach_verdict_does_with_several_candidates() -> None:
    replay = replay_of(plan_of(candidates=("canary", "other")))
    assert ROLLBACK in assert_same_as_production(replay, FIVE_POINTS, 6)


def test_our_judge_decides_as_reach_verdict_does_without_a_configured_split() -> None:
    assert_same_as_production(replay_of(without_split(plan_of())), TWO_POINTS, 6)


def test_our_judge_never_promotes_data_that_production_calls_invalid() -> None:
    replay = replay_of()
    # Half each is what the plan says here, and not what the runs have.
    plan = replace(
        replay.setting.plan,
        stages=tuple(
            replace(stage, shares={"stable": 0.5, "canary": 0.5})
            for stage in replay.setting.plan.stages
        ),
    )
    setting = replace(replay.setting, plan=plan)
    healthy = decide(Judge.VERDICT, setting, simulate(replay, NO_HARM, range(4)))
    harmful = decide(Judge.VERDICT, setting, simulate(replay, FIVE_POINTS, range(4)))
    assert set(healthy.decision.tolist()) == {HOLD}
    # What a candidate shows by itself, as an objective that it misses, still counts.
    assert PROMOTE not in harmful.decision


def test_z_test_rolls_back_at_the_first_look_beyond_1_96() -> None:
    replay = replay_of()
    runs = simulate(replay, TWO_POINTS, range(8))
    found = decide(Judge.Z_TEST, replay.setting, runs)
    for run in range(8):
        assert int(found.at_ms[run]) == first_look(replay, partial(beyond, runs, run))


def beyond(runs: Runs, run: int, buckets: int) -> bool:
    return any(z_of(runs, run, row, buckets) > 1.96 for row in (0, 1))


def z_of(runs: Runs, run: int, row: int, buckets: int) -> float:
    """The textbook's two-proportion z."""
    (n1, x1), (n2, x2) = (
        (c.total[run, row, :buckets].sum(), c.bad[run, row, :buckets].sum())
        for c in (runs.counts["stable"], runs.counts["canary"])
    )
    p = (x1 + x2) / (n1 + n2)
    return float((x2 / n2 - x1 / n1) / np.sqrt(p * (1 - p) * (1 / n1 + 1 / n2)))


def test_threshold_looks_at_the_last_five_minutes_only() -> None:
    replay = replay_of()
    runs = simulate(replay, NO_HARM, range(1))
    counts = runs.counts["canary"]
    counts.bad[0, 0] = 0
    counts.bad[0, 0, 2:6] = counts.total[0, 0, 2:6]
    # 4 of 20 buckets: 20 % failed up to the look at 5 min, and longer ago than that at 6.5 min.
    assert decide(Judge.THRESHOLD, replay.setting, runs).decision.tolist() == [ROLLBACK]
    late = replace(replay.setting, looks_ms=np.array([390_000, 600_000]))
    assert decide(Judge.THRESHOLD, late, runs).decision.tolist() == [PROMOTE]


def test_kayenta_rolls_back_at_the_first_look_with_a_metric_that_is_high() -> None:
    replay = replay_of()
    step = replay.setting.kayenta_step
    runs = simulate(replay, TWO_POINTS, range(6))

    def high(run: int, buckets: int) -> bool:
        values = buckets // step
        if values < 5:
            return False
        series = [
            [
                (c.bad[run, row, : values * step].reshape(values, step).sum(axis=1))
                / c.total[run, row, : values * step].reshape(values, step).sum(axis=1)
                for c in (runs.counts["stable"], runs.counts["canary"])
            ]
            for row in (0, 1)
        ]
        return any(classify_metric(*pair).label is MetricLabel.HIGH for pair in series)

    found = decide(Judge.KAYENTA, replay.setting, runs)
    for run in range(6):
        assert int(found.at_ms[run]) == first_look(replay, partial(high, run))


def test_kayenta_passes_with_one_of_four_metrics_high_unless_it_is_critical() -> None:
    """A score of 75 is marginal, which is no failure."""
    replay = replay_of()
    errors, slow = replay.setting.plan.metrics
    runs = simulate(replay, FIVE_POINTS, range(4))
    counts = {
        name: BucketCounts(*(x[:, [0, 1, 1, 1]] for x in (c.total, c.bad)))
        for name, c in runs.counts.items()
    }
    for critical, expected in ((False, PROMOTE), (True, ROLLBACK)):
        metrics = (replace(errors, critical=critical), *(replace(slow, name=n) for n in "abc"))
        setting = replace(
            replay.setting,
            plan=replace(replay.setting.plan, metrics=metrics),
            thresholds=np.ones(4),
        )
        found = decide(Judge.KAYENTA, setting, Runs(runs.requests, counts))
        assert set(found.decision.tolist()) == {expected}


def first_look(replay: Replay, fails: Callable[[int], bool]) -> int:
    """The first look at which the predicate of so many buckets holds; else the last."""
    looks = replay.setting.looks_ms
    return next((int(at) for at in looks if fails(int(at) // 15_000)), int(looks[-1]))


@pytest.mark.parametrize(("minutes", "buckets"), [(10, 1), (30, 4), (60, 4), (240, 16)])
def test_kayenta_gets_minutes_but_30_to_60_values(minutes: int, buckets: int) -> None:
    assert replay_of(plan_of(minutes)).setting.kayenta_step == buckets


def test_a_version_without_requests_is_no_failure() -> None:
    replay = replay_of()
    runs = simulate(replay, NO_HARM, range(2))
    runs.counts["canary"].total[:] = 0
    runs.counts["canary"].bad[:] = 0
    for judge in (Judge.THRESHOLD, Judge.Z_TEST, Judge.KAYENTA):
        assert set(decide(judge, replay.setting, runs).decision.tolist()) == {PROMOTE}
    assert set(decide(Judge.VERDICT, replay.setting, runs).decision.tolist()) == {HOLD}
