"""Sample ratio mismatch against worked numbers, under a ramp, and with a tolerance."""

import numpy as np
import pytest

from analysis.sample_ratio import StageCounts, check_sample_ratio

HALF = {"a": 0.5, "b": 0.5}


def test_worked_example() -> None:
    found = check_sample_ratio([StageCounts({"a": 5200, "b": 4800}, HALF)], tolerance=0.01)
    assert found is not None
    assert found.statistic == pytest.approx(16.0)
    assert found.p_value == pytest.approx(6.3e-5, rel=0.01)
    assert found.mismatch


def test_a_ramp_is_tested_stage_by_stage() -> None:
    stages = [
        StageCounts({"a": c, "b": t}, {"a": 1 - p, "b": p})
        for c, t, p in (
            (980, 20, 0.02),
            (950, 52, 0.05),
            (900, 98, 0.1),
            (740, 255, 0.25),
            (500, 510, 0.5),
        )
    ]
    found = check_sample_ratio(stages, tolerance=0.01)
    assert found is not None
    assert not found.mismatch
    pooled = StageCounts({"a": 4070, "b": 935}, HALF)
    against_the_last_split = check_sample_ratio([pooled], tolerance=0.01)
    assert against_the_last_split is not None
    assert against_the_last_split.mismatch


def test_a_deviation_within_the_tolerance_is_no_mismatch_however_sure() -> None:
    huge = StageCounts({"a": 5_020_000, "b": 4_980_000}, HALF)
    found = check_sample_ratio([huge], tolerance=0.05)
    assert found is not None
    assert found.p_value < 1e-6
    assert not found.mismatch


def test_weights_that_were_never_applied_are_found() -> None:
    found = check_sample_ratio(
        [StageCounts({"a": 9000, "b": 0}, {"a": 0.9, "b": 0.1})], tolerance=0.25
    )
    assert found is not None
    assert found.mismatch


def test_without_a_configured_split_there_is_nothing_to_test() -> None:
    assert check_sample_ratio([StageCounts({"a": 10, "b": 5}, {})], tolerance=0.1) is None


def test_odds_ratio_is_observed_over_configured_odds() -> None:
    stages = [StageCounts({"a": 900, "b": 200}, {"a": 0.9, "b": 0.1})]
    found = check_sample_ratio(stages, tolerance=0.25)
    assert found is not None
    # 900 : 200 against 9 : 1, whichever variant is named.
    assert abs(np.log(found.worst_odds_ratio)) == pytest.approx(np.log(2), abs=0.01)


def test_ramp_without_mismatch_alarms_once_in_a_thousand() -> None:
    rng, runs, alarms = np.random.default_rng(8), 2000, 0
    for _ in range(runs):
        stages = [
            StageCounts({"a": 2000 - x, "b": x}, {"a": 1 - p, "b": p})
            for p in (0.05, 0.25, 0.5)
            for x in (float(rng.binomial(2000, p)),)
        ]
        found = check_sample_ratio(stages, tolerance=0.0)
        alarms += found is not None and found.mismatch
    assert alarms <= 8
