"""Two to ten values a side: what is found, what passes, and how often it errs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kayenta.config import Direction, MetricConfig, ValuePlan
from analysis.kayenta.few_values import Sides, few_values_tests
from analysis.kayenta.paired_values import judge_values
from analysis.kayenta.value_judgement import ValueLabel

FloatArray = NDArray[np.float64]
UP = MetricConfig(direction=Direction.INCREASE)
DOWN = MetricConfig(direction=Direction.DECREASE)
EITHER = MetricConfig(direction=Direction.EITHER)
Draw = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]

TAILS: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(10, 1, size),
    "lognormal": lambda rng, size: rng.lognormal(0, 2, size),
    "cauchy": lambda rng, size: np.abs(rng.standard_cauchy(size)),
    "counts": lambda rng, size: rng.poisson(0.7, size).astype(np.float64),
}


def _label(
    control: object, experiment: object, config: MetricConfig = UP, plan: ValuePlan | None = None
) -> ValueLabel:
    first, second = (np.asarray(side, dtype=np.float64) for side in (control, experiment))
    length = max(first.size, second.size)
    pair = tuple(np.append(side, np.full(length - side.size, np.nan)) for side in (first, second))
    return judge_values([(pair[0], pair[1])], [config], plan or ValuePlan())[0].label


@pytest.mark.parametrize("tails", TAILS)
@pytest.mark.parametrize(("values", "metrics"), [(3, 1), (3, 5), (4, 4), (6, 3)])
def test_false_failures_stay_below_alpha_over_all_metrics(
    tails: str, values: int, metrics: int
) -> None:
    """No margin, metrics that share most of what moves them."""
    rng = np.random.default_rng(hash((values, metrics)) % 2**32)
    failed, runs = 0, 500
    for _ in range(runs):
        common = TAILS[tails](rng, (2 * values,))
        rows = [common + 0.3 * TAILS[tails](rng, (2 * values,)) for _ in range(metrics)]
        sides = [Sides(row[:values], row[values:]) for row in rows]
        failed += any(test.p_value <= 0.05 for test in few_values_tests(sides))
    assert failed / runs <= 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / runs)


@pytest.mark.parametrize("tails", ["normal", "lognormal", "cauchy"])
@pytest.mark.parametrize("values", [3, 4, 7])
def test_what_is_many_times_as_much_is_found(tails: str, values: int) -> None:
    rng = np.random.default_rng(values)
    found = 0
    for _ in range(40):
        control, experiment = TAILS[tails](rng, (2, values))
        found += _label(control, experiment + 40 * (1 + np.median(control))) is ValueLabel.HIGH
    assert found >= 36


@pytest.mark.parametrize(("values", "least"), [(3, 0.9), (4, 0.9), (7, 0.75)])
def test_healthy_values_pass(values: int, least: float) -> None:
    rng = np.random.default_rng(values)
    labels = [_label(*rng.normal(100, 8, (2, values))) for _ in range(200)]
    assert labels.count(ValueLabel.PASS) / 200 >= least
    assert labels.count(ValueLabel.HIGH) / 200 <= 0.05


@pytest.mark.parametrize("values", [2, 3, 5, 9, 10, 11, 60, 500])
@pytest.mark.parametrize("level", [0.0, 1.0, 0.1, -3.0])
@pytest.mark.parametrize("config", [UP, DOWN, EITHER])
def test_the_same_constant_on_both_sides_passes(
    values: int, level: float, config: MetricConfig
) -> None:
    assert _label(np.full(values, level), np.full(values, level), config) is ValueLabel.PASS


@pytest.mark.parametrize(
    ("control", "experiment", "config", "label"),
    [
        # all worse by more than what is allowed
        ([1, 2, 3], [5, 4, 6], UP, ValueLabel.HIGH),
        ([5, 4, 6], [1, 2, 3], DOWN, ValueLabel.LOW),
        ([5, 4, 6], [1, 2, 3], UP, ValueLabel.PASS),
        ([5, 4, 6], [1, 2, 3], EITHER, ValueLabel.LOW),
        ([1, 2, 3], [5, 4, 6], EITHER, ValueLabel.HIGH),
        ([9, 1, 5], [2, 6, 7], EITHER, ValueLabel.PASS),
        ([0, 0, 0, 0], [3, 2, 9, 1], UP, ValueLabel.HIGH),
        ([-5, -4, -6], [-1, -2, -0.5], UP, ValueLabel.HIGH),
        # all worse, by less than a tenth
        ([100, 101, 102], [104, 105, 106], UP, ValueLabel.PASS),
        # one of the control's as bad as one of the experiment's
        ([1, 2, 9], [5, 8, 7], UP, ValueLabel.PASS),
        # a tenth of 100 % success is no failure that is allowed
        ([100, 100, 99.9], [98.1, 97.4, 98.6], DOWN, ValueLabel.LOW),
        ([1, 0.999, 0.998], [0.98, 0.97, 0.985], DOWN, ValueLabel.LOW),
        ([60, 61, 62], [58, 57, 59], DOWN, ValueLabel.PASS),
        # a gap on one side leaves the others
        ([1, np.nan, 2, 3], [5, 4, 6, np.nan], UP, ValueLabel.HIGH),
        # two a side: far apart or not; one: nothing
        ([10.0, 10.2], [30.1, 30.4], UP, ValueLabel.HIGH),
        ([1, 2], [2.5, 3.5], UP, ValueLabel.UNCERTAIN),
        ([1, 1], [2, 2], UP, ValueLabel.HIGH),
        ([99.7, 99.9], [97.4, 98.7], DOWN, ValueLabel.LOW),
        ([99.7, 99.9], [99.8, 99.6], DOWN, ValueLabel.PASS),
        ([0.085, 0.084], [0.112, 0.145], UP, ValueLabel.HIGH),
        # two values have ways enough beside five; of twelve intervals nine without a value hold
        ([1, 2], [5, 4, 6, 4.5, 5.5], UP, ValueLabel.HIGH),
        ([*range(100, 112)], [104, 101, 109, *[np.nan] * 9], UP, ValueLabel.UNCERTAIN),
        ([1, 4], [3, 2], UP, ValueLabel.PASS),
        ([1], [9], UP, ValueLabel.UNCERTAIN),
    ],
)
def test_labels_of_few_values(
    control: list[float], experiment: list[float], config: MetricConfig, label: ValueLabel
) -> None:
    assert _label(control, experiment, config) is label


def test_metrics_that_nothing_happened_to_do_not_hide_the_one_that_is_harmed() -> None:
    rng = np.random.default_rng(2)
    quiet = [tuple(rng.normal(100, 5, (2, 3))) for _ in range(5)]
    harmed = np.array([1.0, 1.2, 1.1]), np.array([9.0, 8.0, 9.5])
    found = judge_values([*quiet, harmed], [UP] * 6)
    assert [one.label for one in found] == [ValueLabel.PASS] * 5 + [ValueLabel.HIGH]
    assert "of the 20 ways" in found[-1].reason


@pytest.mark.parametrize("values", [3, 8, 10, 60])
def test_an_absolute_margin_stands_beside_the_relative_one(values: int) -> None:
    """Of a control at 0 a tenth is nothing."""
    rng = np.random.default_rng(1)
    zeros, small = np.zeros(values), rng.uniform(0.3, 0.5, values)
    assert _label(zeros, small) is ValueLabel.HIGH
    allowed = ValuePlan(absolute={"": 0.6})
    assert _label(zeros, small, UP, allowed) is ValueLabel.PASS
    assert _label(zeros, small + 2, UP, allowed) is ValueLabel.HIGH
    own = ValuePlan(absolute={"": 9.0, UP.name: 0.1})
    assert _label(zeros, small, UP, own) is ValueLabel.HIGH


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_series_whose_mean_one_value_decides_are_judged_by_ranks(factor: float) -> None:
    rng = np.random.default_rng(3)
    found = [
        _label(TAILS["cauchy"](rng, (60,)), factor * TAILS["cauchy"](rng, (60,))) for _ in range(60)
    ]
    failed = found.count(ValueLabel.HIGH)
    assert failed <= 6 if factor == 1 else failed >= 25


def test_rare_spikes_of_the_experiment_alone_do_not_pass() -> None:
    """Its ranks are the control's; its mean isn't, and the control has no heavy tail."""
    rng = np.random.default_rng(4)
    control, experiment = rng.normal(10, 1, (2, 60))
    experiment[::12] += 500
    assert _label(control, experiment) is not ValueLabel.PASS
