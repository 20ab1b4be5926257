"""Sample ratio mismatch: worked numbers, a ramp, a tolerance, and a hundred looks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.evidence import StageCounts
from analysis.quality.sample_ratio import ALARM_P_VALUE, SampleRatio, check_sample_ratio
from analysis.quality.zero_share import check_zero_share
from analysis.sequential.multinomial import one_sided_log_e
from analysis.sequential.ramp import compare_steps
from tests.analysis.sequential.paths import ever_alarms_one

HALF = {"a": 0.5, "b": 0.5}
RAMP = (0.02, 0.05, 0.1, 0.25, 0.5)


def _check(*stages: StageCounts, tolerance: float) -> SampleRatio:
    found = check_sample_ratio(stages, tolerance=tolerance)
    assert found is not None
    return found


def _two(a: float, b: float, share: float = 0.5) -> StageCounts:
    return StageCounts({"a": a, "b": b}, {"a": 1 - share, "b": share})


def test_worked_example_of_the_chi_square_beside_the_always_valid_p() -> None:
    found = _check(_two(5200, 4800), tolerance=0.01)
    assert found.statistic == pytest.approx(16.0)
    assert found.chi_square_p_value == pytest.approx(6.3e-5, rel=0.01)
    # What it costs to look again and again: the mixture of facts' item 8 has .0036 here.
    assert 0.001 < found.p_value < 0.01
    assert not found.mismatch


def test_fifty_two_to_forty_eight_of_twenty_thousand_users_is_found() -> None:
    found = _check(_two(10_400, 9600), tolerance=0.01)
    assert found.p_value < 1e-5
    assert found.mismatch
    assert found.worst_odds_ratio == pytest.approx(104 / 96, rel=1e-3)
    low, high = found.odds_interval
    assert 1.01 < low < 104 / 96 < high


def test_log_e_of_one_stage_is_that_of_the_e_process() -> None:
    found = _check(_two(950, 80, 0.05), tolerance=0.1)
    test = compare_steps([950.0], [80.0], [0.05], spreads=found.spreads, alpha=0.05)
    assert found.log_e == pytest.approx(float(test.log_e), abs=1e-9)
    assert found.spreads[0] == pytest.approx(np.log1p(0.1))


def test_a_ramp_is_tested_stage_by_stage() -> None:
    counts = ((980, 20), (950, 52), (900, 98), (740, 255), (500, 510))
    stages = [_two(c, t, p) for (c, t), p in zip(counts, RAMP, strict=True)]
    assert not _check(*stages, tolerance=0.01).mismatch
    assert _check(_two(4070, 935), tolerance=0.01).mismatch


def test_stages_to_come_change_little_and_nothing_of_the_evidence() -> None:
    now = _check(_two(9500, 700, 0.05), tolerance=0.05)
    planned = _check(_two(9500, 700, 0.05), _two(0, 0, 0.5), tolerance=0.05)
    assert planned.log_e == pytest.approx(now.log_e, abs=1e-9)
    assert planned.mismatch


def test_one_broken_stage_among_sound_ones_is_named() -> None:
    stages = [_two(95_000, 5000, 0.05), _two(74_000, 26_000, 0.25), _two(500_000, 500_000)]
    found = _check(*stages, tolerance=0.02)
    assert found.mismatch
    assert found.worst_stage == 1
    assert abs(np.log(found.worst_odds_ratio)) == pytest.approx(np.log(0.26 / 0.74 * 3), abs=0.001)


def test_stages_that_deviate_to_opposite_sides_do_not_cancel() -> None:
    found = _check(_two(52_000, 48_000), _two(48_000, 52_000), tolerance=0.01)
    assert found.mismatch
    assert found.worst_stage in {0, 1}


def test_a_deviation_within_the_tolerance_is_no_mismatch_however_sure() -> None:
    found = _check(_two(5_020_000, 4_980_000), tolerance=0.05)
    assert found.p_value < 1e-6
    assert not found.mismatch


def test_weights_that_were_never_applied_are_found() -> None:
    found = _check(_two(9000, 0, 0.1), tolerance=0.25)
    assert found.mismatch
    assert found.chi_square_p_value < 1e-100


def test_without_a_configured_split_there_is_nothing_to_test() -> None:
    assert check_sample_ratio([StageCounts({"a": 10, "b": 5}, {})], tolerance=0.1) is None
    assert check_sample_ratio([_two(0, 0)], tolerance=0.1) is None
    assert check_sample_ratio([StageCounts({"a": 10}, {"a": 1.0})], tolerance=0.1) is None


def _all_on_a(a: float, b: float, settled: dict[str, float] | None = None) -> StageCounts:
    return StageCounts({"a": a, "b": b}, {"a": 1.0, "b": 0.0}, settled)


def test_a_variant_configured_at_0_that_has_its_half_is_a_mismatch() -> None:
    found = _check(_all_on_a(5000, 5000), tolerance=0.25)
    assert found.mismatch
    assert (found.worst_variant, found.share, found.configured_share) == ("b", 0.5, 0.0)
    assert found.worst_stage == 0
    assert found.worst_odds_ratio == pytest.approx(20.0)  # a fifth of the tolerance may be there
    low, high = found.odds_interval
    assert 15 < low < 20 < high < 25


def test_a_variant_that_the_split_does_not_name_is_configured_at_0() -> None:
    found = _check(StageCounts({"a": 500, "b": 500}, {"a": 1.0}), tolerance=0.25)
    assert (found.mismatch, found.worst_variant) == (True, "b")


def test_test_traffic_of_a_variant_configured_at_0_is_no_mismatch() -> None:
    assert not _check(_all_on_a(97_000, 3000), tolerance=0.25).mismatch
    assert _check(_all_on_a(97_000, 3000), tolerance=0.01).mismatch
    assert not _check(_all_on_a(97_000, 0), tolerance=0.01).mismatch


def test_a_spec_may_allow_more_test_traffic_of_the_candidate_and_no_strays_of_others() -> None:
    for name, share, is_found in (("b", 0.4, False), ("b", 0.2, True), ("a", 0.4, True)):
        stage = replace(_all_on_a(70_000, 30_000), tests={name: share})
        assert _check(stage, tolerance=0.25).mismatch is is_found, (name, share)


def test_what_is_in_flight_while_the_split_changes_is_no_mismatch() -> None:
    assert _check(_all_on_a(5000, 800), tolerance=0.25).mismatch
    assert not _check(_all_on_a(5000, 800, {"a": 4000.0, "b": 0.0}), tolerance=0.25).mismatch


def test_a_stage_at_0_weakens_the_others_by_a_half_at_most() -> None:
    alone = _check(_two(5600, 4400), tolerance=0.01)
    beside = _check(_all_on_a(1000, 0), _two(5600, 4400), tolerance=0.01)
    assert alone.mismatch
    assert beside.mismatch
    assert beside.configured_share == 0.5
    assert beside.log_e == pytest.approx(alone.log_e - np.log(2), abs=0.1)
    found = _check(_all_on_a(500, 500), _two(5000, 5000), tolerance=0.01)
    assert (found.mismatch, found.worst_variant, found.worst_stage) == (True, "b", 0)


def test_strays_of_several_variants_are_the_mean_of_their_evidence() -> None:
    """Each e-value is of the same data: their mean is one again, their sum isn't."""
    shares = {"a": 1.0, "b": 0.0, "c": 0.0}
    both = check_zero_share(
        [StageCounts({"a": 900, "b": 100, "c": 0}, shares)], tolerance=0.25, alpha=0.05
    )
    assert both is not None
    edge = 0.05 / 1.05
    each = one_sided_log_e(np.array([[900.0, 100.0], [1000.0, 0.0]]), edge, 2.0)
    assert both.log_e == pytest.approx(np.log(np.exp(each).mean()))
    assert both.variant == "b"


def test_exact_probability_that_test_traffic_at_the_limit_ever_alarms() -> None:
    """All paths of 250 requests, of which so many are strays as are still acceptable."""
    odds = 0.25 / 5
    edge = odds / (1 + odds)

    def log_e(x: NDArray[np.float64], n: float) -> NDArray[np.float64]:
        return one_sided_log_e(np.stack([n - x, x], axis=-1), edge, 2.0)

    assert _check(_all_on_a(95, 7), tolerance=0.25).log_e == pytest.approx(log_e(np.array(7), 102))
    for level in (ALARM_P_VALUE, 0.05):
        alarms = ever_alarms_one(lambda x, n, a=level: log_e(x, n) >= -np.log(a), edge, 250)  # type: ignore[misc]
        assert 0 < alarms <= level


def test_odds_ratio_is_observed_over_configured_odds() -> None:
    found = _check(_two(900, 200, 0.1), tolerance=0.25)
    # 900 : 200 against 9 : 1, whichever variant is named.
    assert abs(np.log(found.worst_odds_ratio)) == pytest.approx(np.log(2), abs=0.01)


def test_of_several_variants_the_broken_one_is_named() -> None:
    shares = {"stable": 50, "x": 30, "y": 20}
    sound = StageCounts({"stable": 50_200, "x": 29_900, "y": 19_900}, shares)
    broken = StageCounts({"stable": 50_600, "x": 30_400, "y": 19_000}, shares)
    assert not _check(sound, tolerance=0.01).mismatch
    found = _check(broken, tolerance=0.01)
    assert found.mismatch
    assert found.worst_variant == "y"
    assert found.odds_interval[1] < 0.99


def test_a_variant_that_joins_later_is_tested_from_then_on() -> None:
    first = StageCounts({"a": 5000, "b": 5000}, HALF)
    later = StageCounts({"a": 4000, "b": 4000, "c": 1500}, {"a": 0.4, "b": 0.4, "c": 0.2})
    found = _check(first, later, tolerance=0.05)
    assert found.mismatch
    assert found.worst_variant == "c"


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_exact_probability_that_a_look_after_every_user_ever_alarms(share: float) -> None:
    """All paths of 250 users in one stage; the identity above makes it the check's own log e."""
    spreads = _check(_two(10, 10), tolerance=0.01).spreads
    for level in (ALARM_P_VALUE, 0.05):
        alarms = ever_alarms_one(
            lambda x, n, a=level: (
                compare_steps(  # type: ignore[misc]
                    (n - x)[:, None], x[:, None], share, spreads=spreads, alpha=0.05
                ).p_value
                < a
            ),
            share,
            250,
        )
        assert 0 < alarms <= level


def test_twenty_looks_along_a_ramp_hold_a_level_that_a_chi_square_exceeds() -> None:
    rng, runs, alarms, chi_square_alarms = np.random.default_rng(8), 100, 0, 0
    declared = np.repeat(RAMP, 20)
    for _ in range(runs):
        own = rng.binomial(400, declared).reshape(5, 20).cumsum(axis=1)
        ends = own[:, -1].tolist()
        smallest = smallest_chi = 1.0
        for stage, look in np.ndindex(5, 20):
            if look % 5:
                continue
            stages = [_two(8000 - x, x, p) for x, p in zip(ends[:stage], RAMP, strict=False)]
            now = float(own[stage, look])
            stages.append(_two(400 * (look + 1) - now, now, RAMP[stage]))
            found = _check(*stages, tolerance=0.0)
            smallest = min(smallest, found.p_value)
            smallest_chi = min(smallest_chi, found.chi_square_p_value)
        alarms += smallest < 0.05
        chi_square_alarms += smallest_chi < 0.05
    # At a level where so few runs can tell: 0.05 instead of ALARM_P_VALUE.
    assert ALARM_P_VALUE < 0.05
    assert alarms / runs <= 0.05
    assert chi_square_alarms / runs > 0.1
