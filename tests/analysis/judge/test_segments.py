"""Segments, paradoxes and doubtful effects are found where they are, and only there."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fixed.comparison import Sample, mean_sample, proportion_sample
from analysis.judge.segments import SegmentTable, compare_segments
from analysis.users.plausibility import effect_trend, largest_user, too_large_to_be_true

ARMS = ("a", "b")


def _table(samples: dict[str, dict[str, dict[str, Sample]]]) -> SegmentTable:
    pairs = {
        dimension: {name: (arms["a"], arms["b"]) for name, arms in parts.items()}
        for dimension, parts in samples.items()
    }
    return compare_segments("m", "b", pairs, is_share=True, alpha=0.05, n_opt=5000.0)


def _shares(
    counts: dict[str, tuple[tuple[int, int], tuple[int, int]]],
) -> dict[str, dict[str, Sample]]:
    """By segment and arm, from (users, successes) of a and of b."""
    return {
        name: {arm: proportion_sample(*count) for arm, count in zip(ARMS, both, strict=True)}
        for name, both in counts.items()
    }


def test_simpsons_paradox_is_named() -> None:
    """Charig et al. 1986, kidney stones: open surgery wins in both groups and loses pooled."""
    stones = {"small": ((270, 234), (87, 81)), "large": ((80, 55), (263, 192))}
    (found,) = _table({"size": _shares(stones)}).interactions
    assert found.pooled == pytest.approx(273 / 350 - 289 / 350)
    small, large = 81 / 87 - 234 / 270, 192 / 263 - 55 / 80
    assert found.stratified == pytest.approx((357 * small + 343 * large) / 700)
    assert not found.reversed  # with so few patients neither direction is beyond chance
    many = {k: tuple((20 * n, 20 * x) for n, x in v) for k, v in stones.items()}
    (found,) = _table({"size": _shares(many)}).interactions  # type: ignore[arg-type]
    assert found.reversed


def test_no_paradox_where_users_are_divided_alike() -> None:
    parts = {"x": ((10_000, 1000), (10_000, 1200)), "y": ((500, 200), (500, 210))}
    (found,) = _table({"d": _shares(parts)}).interactions
    assert not found.reversed
    assert found.pooled > 0
    assert found.stratified > 0


def test_an_effect_in_one_segment_only_stands_out_and_interacts() -> None:
    parts = {f"s{i}": ((10_000, 1000), (10_000, 1000)) for i in range(9)}
    parts["hit"] = ((10_000, 1000), (10_000, 1400))
    table = _table({"d": _shares(parts)})
    assert [e.segment for e in table.effects if e.notable] == ["hit"]
    assert table.interactions[0].p_value < 1e-6


def test_interaction_test_and_e_bh_keep_their_levels() -> None:
    """400 experiments without any effect, six segments each, looked at once."""
    rng = np.random.default_rng(8)
    low, notable = 0, 0
    for _ in range(400):
        parts = {
            f"s{i}": tuple((2000, int(rng.binomial(2000, 0.1 + 0.05 * i))) for _ in ARMS)
            for i in range(6)
        }
        table = _table({"d": _shares(parts)})  # type: ignore[arg-type]
        low += table.interactions[0].p_value < 0.05
        notable += any(effect.notable for effect in table.effects)
    error = np.sqrt(0.05 * 0.95 / 400)
    assert low / 400 == pytest.approx(0.05, abs=3 * error)
    assert notable / 400 <= 0.05 + 3 * error


@pytest.mark.parametrize("split", [(2970, 30), (300, 300)])
def test_small_arms_in_segments_neither_stand_out_nor_interact(split: tuple[int, int]) -> None:
    """100 experiments without an effect, four segments, two looks; 66 % stood out at 99:1."""
    rng = np.random.default_rng([9, *split])
    runs, low, notable = 100, 0, 0
    for _ in range(runs):
        successes = rng.binomial(np.array(split), 0.05, (2, 4, 2)).cumsum(axis=0)
        found = [
            _table({"d": {
                f"s{i}": {a: proportion_sample(n * look, x)
                          for a, n, x in zip(ARMS, split, both, strict=True)}
                for i, both in enumerate(counts)
            }})
            for look, counts in enumerate(successes, start=1)
        ]  # fmt: skip
        notable += any(effect.notable for table in found for effect in table.effects)
        low += any(each.p_value < 0.05 for each in found[-1].interactions)
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / runs)
    assert notable / runs <= most
    assert low / runs <= most


def test_interaction_of_rare_shares_is_not_given() -> None:
    parts = {f"s{i}": ((2970, 150), (30, i)) for i in range(4)}
    assert _table({"d": _shares(parts)}).interactions == ()


def test_tiny_segments_are_left_out() -> None:
    table = _table({"d": _shares({"few": ((29, 3), (400, 40)), "many": ((400, 40), (400, 44))})})
    assert [effect.segment for effect in table.effects] == ["many"]
    assert table.interactions == ()


def test_one_whale_is_found() -> None:
    rng = np.random.default_rng(2)
    spend = rng.exponential(10, 500)
    whale = np.append(spend, 20_000.0)
    calm, wild = (mean_sample(len(v), v.mean(), v.var(ddof=1)) for v in (spend, whale))
    found = largest_user(calm, wild, (float(spend.max()), 20_000.0))
    assert found is not None
    assert found.influential
    assert found.without == pytest.approx(spend.mean() - np.sort(spend)[:-1].mean(), rel=1e-9)
    same = largest_user(calm, calm, (float(spend.max()), float(spend.max())))
    assert same is not None
    assert not same.influential


def _trend_samples(seed: int, slope: float, users: int = 4000) -> tuple[Sample, Sample]:
    """Seven days of events for each user; the candidate's effect starts at 0.3 and changes."""
    rng = np.random.default_rng(seed)
    days = np.arange(7)
    arms = []
    for effect in (0.0, 1.0):
        rate = rng.gamma(2, 0.5, (users, 1)) + effect * (0.3 + slope * days)
        events = rng.poisson(np.maximum(rate, 0))
        trend = events @ (days - 3.0)
        arms.append(mean_sample(users, trend.mean(), trend.var(ddof=1)))
    return arms[0], arms[1]


def test_a_novelty_effect_fades_and_learning_grows() -> None:
    fading = effect_trend(*_trend_samples(1, -0.05), days=7, effect=1.0)
    assert fading.kind == "fading"
    assert fading.slope == pytest.approx(-0.05, abs=0.02)
    assert effect_trend(*_trend_samples(2, 0.05), days=7, effect=1.0).kind == "growing"
    assert effect_trend(*_trend_samples(3, 0.0), days=7, effect=1.0).kind == "steady"


def test_steady_effects_are_seldom_called_a_trend() -> None:
    p_values = [
        effect_trend(*_trend_samples(s, 0.0, 300), days=7, effect=1.0).p_value for s in range(200)
    ]
    assert np.mean(np.array(p_values) < 0.05) == pytest.approx(0.05, abs=3 * 0.0154)


def test_twymans_law() -> None:
    assert too_large_to_be_true(0.55, 0.9, 0.1)
    assert too_large_to_be_true(-0.9, -0.5, 0.1)
    assert not too_large_to_be_true(-0.1, 0.9, 0.1)
    assert not too_large_to_be_true(np.nan, np.nan, 0.1)
