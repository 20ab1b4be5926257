"""Our judge on plain series: what it fails, passes, leaves open; and how often it errs.

Covers analysis.kayenta.few_values_judge, analysis.kayenta.heavy_tails.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm, t

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import Direction, EffectMeasure, MetricConfig, NanStrategy, ValuePlan
from analysis.kayenta.harms import Harm
from analysis.kayenta.judgement import MetricLabel
from analysis.kayenta.paired_values import judge_values
from analysis.kayenta.series_means import lag_one_autocorrelation
from analysis.kayenta.value_judgement import ValueJudgement, ValueLabel
from tests.builders.judged_metric import classify_metric

FloatArray = NDArray[np.float64]

UP = MetricConfig(name="errors")
ZERO = MetricConfig(name="errors", nan_strategy=NanStrategy.REPLACE)
EITHER = MetricConfig(name="errors", direction=Direction.EITHER)


def _judge(
    control: FloatArray, experiment: FloatArray, config: MetricConfig = UP
) -> ValueJudgement:
    return judge_values([(control, experiment)], [config])[0]


def _normal(seed: int, mean: float, spread: float, size: int = 60) -> FloatArray:
    return np.random.default_rng(seed).normal(mean, spread, size)


def test_what_kayenta_passes_of_seven_in_ten_fails_here() -> None:
    control = np.full(10, 1.0)
    experiment = np.array([100.0, 1, 100, 100, 1, 100, 100, 100, 1, 100])
    assert classify_metric(control, experiment, UP).label is MetricLabel.PASS
    judged = _judge(control, experiment)
    assert (judged.label, judged.harm) == (ValueLabel.HIGH, Harm.INCREASE)
    assert "exceeds what is allowed (10 %)" in judged.reason


def test_what_kayenta_passes_of_sparse_errors_fails_here() -> None:
    errors = np.zeros(60)
    errors[::5] = 3.0
    assert classify_metric(np.zeros(60), errors, UP).label is MetricLabel.PASS
    assert _judge(np.zeros(60), errors).label is ValueLabel.HIGH


def test_errors_against_a_baseline_without_values_never_pass() -> None:
    errors = np.full(60, np.nan)
    errors[::5] = 7.0
    dead = np.full(60, np.nan)
    assert classify_metric(dead, errors, ZERO).label is MetricLabel.PASS
    assert _judge(dead, errors, ZERO).label is ValueLabel.HIGH
    assert _judge(dead, errors).label is ValueLabel.NO_DATA
    errors[5:] = np.nan
    assert _judge(dead, errors, ZERO).label is ValueLabel.UNCERTAIN


def test_what_kayenta_passes_of_a_growing_spread_fails_here() -> None:
    for seed in range(5):
        control, experiment = _normal(seed, 100, 5, 120), _normal(seed + 50, 100, 25, 120)
        assert classify_metric(control, experiment, EITHER).label is MetricLabel.PASS
        judged = _judge(control, experiment, EITHER)
        assert (judged.label, judged.harm) == (ValueLabel.HIGH, Harm.SPREAD)


@pytest.mark.parametrize(
    ("config", "mean", "label"),
    [
        (UP, 130, ValueLabel.HIGH),
        (UP, 70, ValueLabel.PASS),
        (EITHER, 70, ValueLabel.LOW),
        (replace(UP, direction=Direction.DECREASE), 70, ValueLabel.LOW),
        (replace(UP, direction=Direction.DECREASE), 130, ValueLabel.PASS),
        (replace(UP, allowed_increase=1.5), 130, ValueLabel.PASS),
        (replace(UP, allowed_increase=1.2), 130, ValueLabel.HIGH),
        (replace(EITHER, allowed_decrease=0.6), 70, ValueLabel.PASS),
        (replace(UP, allowed_increase=1.3), 130, ValueLabel.UNCERTAIN),
        # limits of cles are no ratios: the plan's margin of 10 % holds
        (replace(UP, measure=EffectMeasure.CLES, allowed_increase=0.9), 130, ValueLabel.HIGH),
    ],
)
def test_label_follows_direction_and_allowed_change(
    config: MetricConfig, mean: float, label: ValueLabel
) -> None:
    spread = 5 if mean >= 100 else 3.5
    assert _judge(_normal(1, 100, 5), _normal(2, mean, spread), config).label is label


def test_negative_values_have_margins_of_their_size() -> None:
    control = _normal(3, -100, 3)
    assert _judge(control, _normal(4, -96, 3)).label is ValueLabel.PASS
    assert _judge(control, _normal(5, -70, 3)).label is ValueLabel.HIGH


def test_shared_shocks_cancel_within_an_interval() -> None:
    shocks = np.random.default_rng(6).exponential(40, 60)
    control, experiment = shocks + _normal(7, 100, 2), shocks + _normal(8, 120, 2)
    judged = _judge(control, experiment, replace(UP, allowed_increase=1.05))
    assert judged.label is ValueLabel.HIGH


def test_healthy_canaries_pass_within_an_hour() -> None:
    random = np.random.default_rng(19)
    pairs = list(zip(*random.normal(100, 10, (2, 500, 60)), strict=True))
    judged = judge_values(pairs, [EITHER] + [replace(EITHER, muted=True)] * 499)
    assert np.mean([found.label is ValueLabel.PASS for found in judged]) > 0.95


def test_few_intervals_are_judged_by_counting_the_ways_to_share_them_out() -> None:
    few = _judge(np.zeros(4), np.ones(4))
    assert (few.label, "of the 70 ways" in few.reason) == (ValueLabel.HIGH, True)
    for count in (2, 3, 9, 10):
        assert _judge(np.full(count, 5.0), np.full(count, 5.0)).label is ValueLabel.PASS


def test_the_first_intervals_of_a_longer_plan_prove_nothing() -> None:
    """Alpha is spent once: the exact test is for the look at all the values."""
    plan = ValuePlan(intervals=60)
    [found] = judge_values([(np.zeros(4), np.ones(4))], [UP], plan)
    assert found.label is ValueLabel.UNCERTAIN
    [early] = judge_values([(np.full(9, 5.0), np.full(9, 5.0))], [UP], plan)
    assert (early.label, "fewer than 10" in early.reason) == (ValueLabel.UNCERTAIN, True)


def test_intervals_without_a_pair_are_left_out() -> None:
    control, experiment = _normal(9, 100, 3, 80), _normal(10, 130, 3, 80)
    control[20:40] = np.nan
    experiment[30:50] = np.nan
    judged = _judge(control, experiment)
    kept = ~np.isnan(control + experiment)
    assert judged.pairs == 50
    assert judged.difference.value == pytest.approx((experiment - control)[kept].mean())


def test_lengths_that_differ_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'errors' has 3 control and 2 experiment values"):
        _judge(np.zeros(3), np.zeros(2))


def test_metrics_of_other_lengths_change_no_numbers() -> None:
    pairs = [(_normal(11, 100, 5, 20), _normal(12, 105, 5, 20)), (np.zeros(90), np.zeros(90))]
    configs = [UP, replace(UP, name="other", muted=True)]
    together, alone = judge_values(pairs, configs)[0], _judge(*pairs[0])
    assert together.label is alone.label
    for field in ("value", "lower", "upper"):
        known = getattr(alone.excess, field)
        assert getattr(together.excess, field) == pytest.approx(known, rel=1e-9)


def test_alpha_is_shared_by_metrics_that_count() -> None:
    pair = (_normal(13, 100, 5), _normal(14, 113, 5))
    alone, of_ten = (judge_values([pair] * n, [UP] * n)[0] for n in (1, 10))
    muted = judge_values([pair] * 10, [UP] + [replace(UP, muted=True)] * 9)[0]
    assert of_ten.excess.lower < alone.excess.lower == muted.excess.lower


@pytest.mark.parametrize(
    ("alike", "intervals", "most"), [(0.0, 60, 0.0125), (0.5, 60, 0.025), (0.5, 20, 0.04)]
)
def test_canaries_at_the_margin_fail_rarely_even_with_alike_neighbours(
    alike: float, intervals: int, most: float
) -> None:
    """At the margin itself the lower bound may lie above 0 in alpha / 2 of the runs: 0.025."""
    random = np.random.default_rng(15)
    runs = 2000
    noise = 10 * _alike(random, (2, runs, intervals), alike)
    configs = [UP] + [replace(UP, muted=True)] * (runs - 1)
    plan = ValuePlan(alpha=0.05, margin=0.1)
    judged = judge_values(list(zip(100 + noise[0], 110 + noise[1], strict=True)), configs, plan)
    failed = np.mean([found.label in (ValueLabel.HIGH, ValueLabel.LOW) for found in judged])
    assert failed <= most


def test_alike_neighbours_deceive_kayenta_but_not_us() -> None:
    random = np.random.default_rng(16)
    runs = 500
    noise = 10 * _alike(random, (2, runs, 60), 0.8)
    pairs = list(zip(100 + noise[0], 100 + noise[1], strict=True))
    kayenta = classify_metrics(pairs, [EITHER] * runs)
    ours = judge_values(pairs, [EITHER] + [replace(EITHER, muted=True)] * (runs - 1))
    assert np.mean([found.label is not MetricLabel.PASS for found in kayenta]) > 0.2
    assert np.mean([found.label in (ValueLabel.HIGH, ValueLabel.LOW) for found in ours]) < 0.05


def test_looking_at_every_interval_keeps_the_level() -> None:
    random = np.random.default_rng(17)
    runs = 400
    noise = 10 * random.normal(size=(2, runs, 60))
    configs = [UP] + [replace(UP, muted=True)] * (runs - 1)
    failed = np.zeros(runs, dtype=bool)
    for seen in range(10, 61, 5):
        pairs = list(zip(100 + noise[0, :, :seen], 110 + noise[1, :, :seen], strict=True))
        judged = judge_values(pairs, configs, ValuePlan(intervals=60))
        failed |= [found.label is ValueLabel.HIGH for found in judged]
    assert failed.mean() <= 0.05


def test_autocorrelation_is_that_of_the_process() -> None:
    random = np.random.default_rng(18)
    found = lag_one_autocorrelation(_alike(random, (20, 2000), 0.6))
    assert found.mean() == pytest.approx(0.6, abs=0.02)
    assert lag_one_autocorrelation(np.full((1, 9), 3.0))[0] == 0
    # 1.25 / 5, and 1 / 4 for the bias
    assert lag_one_autocorrelation(np.array([[1.0, 2, 3, 4]]))[0] == pytest.approx(0.5)


def test_independent_intervals_are_hardly_discounted() -> None:
    random = np.random.default_rng(20)
    pairs = list(zip(*random.normal(100, 10, (2, 300, 60)), strict=True))
    found = [j.independent_pairs for j in judge_values(pairs, [UP] * 300)]
    assert np.mean(found) > 57


def test_bounds_are_those_of_the_confidence_sequence_with_students_tail() -> None:
    rise = np.array([3.0, -1, 4, -1, 5, -9, 2, 6, -5, 3])
    assert lag_one_autocorrelation(rise[None])[0] == 0
    judged = judge_values([(np.zeros(10), rise)], [UP], ValuePlan(alpha=0.05, intervals=40))[0]
    error = rise.std(ddof=1) / np.sqrt(10)
    for bound, alpha in ((judged.difference.lower, 0.025), (judged.difference.upper, 0.05)):
        # Waudby-Smith et al. 2024, proposition B.1, tuned by equation 24
        doubled = np.log(2 * alpha)
        rho_squared = (-2 * doubled + np.log(1 - 2 * doubled)) / 40
        scale = 10 * rho_squared
        normal = np.sqrt(2 * (scale + 1) / scale * np.log1p(np.sqrt(scale + 1) / (2 * alpha)))
        expected = t.isf(norm.sf(normal), 9) * error
        assert abs(bound - rise.mean()) == pytest.approx(expected, rel=1e-9)


def _alike(random: np.random.Generator, shape: tuple[int, ...], alike: float) -> FloatArray:
    """Standard normal series whose neighbours correlate."""
    series = random.normal(size=shape)
    for at in range(1, shape[-1]):
        series[..., at] *= np.sqrt(1 - alike**2)
        series[..., at] += alike * series[..., at - 1]
    return series


@pytest.mark.parametrize(
    ("factor", "label"),
    [
        (1.0, ValueLabel.PASS),
        (1.02, ValueLabel.PASS),
        (1.1, ValueLabel.PASS),  # as much is allowed
        (1.101, ValueLabel.UNCERTAIN),
        (1.3, ValueLabel.UNCERTAIN),
    ],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_control_that_swings_is_no_doubt_about_a_change_that_does_not(
    factor: float, label: ValueLabel, sign: int
) -> None:
    """An hour in which load rises tenfold; the same of both versions was uncertain before."""
    control = sign * np.linspace(1, 10, 60)
    config = UP if sign > 0 else replace(UP, direction=Direction.DECREASE)
    assert _judge(control, factor * control, config).label is label
