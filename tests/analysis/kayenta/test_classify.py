"""Labels of metrics: each option as it is defined, and many mixtures against the definition."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kayenta.classify import classify_metrics, without_outliers
from analysis.kayenta.config import (
    Direction,
    EffectMeasure,
    MetricConfig,
    NanStrategy,
    OutlierStrategy,
)
from analysis.kayenta.judgement import MetricJudgement
from tests.analysis.kayenta.definition import label_by_definition
from tests.builders.judged_metric import classify_metric

FloatArray = NDArray[np.float64]

NONE: list[float] = []
GAPS = [np.nan] * 12
STEADY = [10.0, 11, 12, 13, 14, 15, 16, 17, 18, 19]
HIGHER = [value + 20 for value in STEADY]
LOWER = [value - 9.5 for value in STEADY]
UP, DOWN, EITHER = Direction.INCREASE, Direction.DECREASE, Direction.EITHER
CLES = MetricConfig(measure=EffectMeasure.CLES)
CRITICAL = MetricConfig(critical=True)
MUST = MetricConfig(must_have_data=True)
ZERO = MetricConfig(nan_strategy=NanStrategy.REPLACE)
DROP = MetricConfig(outliers=OutlierStrategy.REMOVE)


def _label(judged: MetricJudgement) -> str:
    return judged.label.value + (" critical" if judged.critical_failure else "")


def _judge(control: list[float], experiment: list[float], config: MetricConfig) -> str:
    return _label(classify_metric(np.array(control), np.array(experiment), config))


@pytest.mark.parametrize(
    ("control", "experiment", "config", "label"),
    [
        # direction
        (STEADY, HIGHER, MetricConfig(), "High"),
        (STEADY, HIGHER, MetricConfig(direction=EITHER), "High"),
        (STEADY, HIGHER, MetricConfig(direction=DOWN), "Pass"),
        (STEADY, LOWER, MetricConfig(), "Pass"),
        (STEADY, LOWER, MetricConfig(direction=EITHER), "Low"),
        (STEADY, LOWER, MetricConfig(direction=DOWN), "Low"),
        # the interval must clear a quarter of the estimate
        (STEADY, [value + 2 for value in STEADY], MetricConfig(), "Pass"),
        ([1.0] * 10, [100.0] * 7 + [1.0] * 3, MetricConfig(), "Pass"),
        ([1.0] * 10, [100.0] * 9 + [1.0], MetricConfig(), "High"),
        # equal series, in any order; one single value
        (STEADY, STEADY[::-1], MetricConfig(), "Pass"),
        ([5.0] * 3, [5.0] * 7, MetricConfig(direction=EITHER), "Pass"),
        ([0.0] * 9, [0.0] * 9, CRITICAL, "Pass"),
        # two constants: the shift is certain
        ([5.0] * 10, [6.0] * 10, MetricConfig(), "High"),
        ([6.0] * 10, [5.0] * 10, MetricConfig(direction=EITHER), "Low"),
        ([0.0] * 10, [1.0] * 10, MetricConfig(), "High"),
        # allowed effect sizes, by the ratio of means (34.5 / 14.5 = 2.38)
        (STEADY, HIGHER, MetricConfig(allowed_increase=2.3), "High"),
        (STEADY, HIGHER, MetricConfig(allowed_increase=2.4), "Pass"),
        (STEADY, LOWER, MetricConfig(direction=DOWN, allowed_decrease=0.4), "Low"),
        (STEADY, LOWER, MetricConfig(direction=DOWN, allowed_decrease=0.3), "Pass"),
        ([5.0] * 10, [10.0] * 10, MetricConfig(allowed_increase=2.0), "High"),
        # a mean of zero: the ratio is unknown, and no limit protects
        ([0.0] * 10, [1.0] * 10, MetricConfig(allowed_increase=1000), "High"),
        ([1.0] * 10, [0.0] * 10, MetricConfig(direction=DOWN, allowed_decrease=0), "Low"),
        ([-1.0] * 10, [0.0] * 10, MetricConfig(), "High"),
        # by the probability of superiority: all of 100 pairs
        (STEADY, HIGHER, CLES, "High"),
        (STEADY, HIGHER, replace(CLES, allowed_increase=1.0), "High"),
        (STEADY, LOWER, replace(CLES, direction=DOWN), "Low"),
        (STEADY, LOWER, replace(CLES, direction=DOWN, allowed_decrease=0.0), "Low"),
        # two of 100 pairs
        (STEADY, [v - 8 for v in STEADY], replace(CLES, direction=DOWN), "Low"),
        (
            STEADY,
            [v - 8 for v in STEADY],
            replace(CLES, direction=DOWN, allowed_decrease=0.03),
            "Low",
        ),
        (
            STEADY,
            [v - 8 for v in STEADY],
            replace(CLES, direction=DOWN, allowed_decrease=0.01),
            "Pass",
        ),
        # critical, with the limits of a critical failure
        (STEADY, HIGHER, CRITICAL, "High critical"),
        (STEADY, HIGHER, replace(CRITICAL, critical_increase=2.3), "High critical"),
        (STEADY, HIGHER, replace(CRITICAL, critical_increase=2.4), "High"),
        (STEADY, HIGHER, replace(CRITICAL, allowed_increase=2.4), "Pass"),
        (STEADY, LOWER, replace(CRITICAL, direction=DOWN), "Low critical"),
        (STEADY, LOWER, replace(CRITICAL, direction=DOWN, critical_decrease=0.3), "Low"),
        ([0.0] * 10, [1.0] * 10, replace(CRITICAL, critical_increase=1000), "High critical"),
        # no data
        (NONE, STEADY, MetricConfig(), "Nodata"),
        (STEADY, NONE, MetricConfig(), "Nodata"),
        (NONE, NONE, MetricConfig(), "Nodata"),
        (GAPS, STEADY, MetricConfig(), "Nodata"),
        (GAPS, STEADY, MUST, "NodataFailMetric"),
        (STEADY, GAPS, MUST, "NodataFailMetric"),
        (GAPS, STEADY, CRITICAL, "Nodata critical"),
        (GAPS, STEADY, replace(CRITICAL, must_have_data=True), "Nodata critical"),
        (NONE, STEADY, ZERO, "Pass"),
        (NONE, STEADY, replace(ZERO, critical=True, must_have_data=True), "Pass"),
        # NaN as zero
        (GAPS, STEADY, ZERO, "High"),
        (GAPS, GAPS, ZERO, "Pass"),
        ([0.0] * 12, GAPS, ZERO, "Pass"),
        ([np.nan] * 60, [np.nan] * 48 + [5.0] * 12, ZERO, "Pass"),
        ([*STEADY, np.nan], [np.nan, *HIGHER], MetricConfig(), "High"),
        # outliers: 6 of 60 spikes are beyond P75 + 3 IQR, but not beyond P99
        (STEADY * 6, [*(HIGHER * 5), *([1e6] * 10)], DROP, "High"),
        ([1.0, 2.0] * 200 + [500.0], [1.0, 2.0] * 200 + [900.0], DROP, "Pass"),
    ],
)
def test_label(
    control: list[float], experiment: list[float], config: MetricConfig, label: str
) -> None:
    assert _judge(control, experiment, config) == label
    sides = np.array(control), np.array(experiment)
    assert label_by_definition(*sides, config) == label


_MIXTURES = list(
    itertools.product(
        Direction,
        NanStrategy,
        EffectMeasure,
        OutlierStrategy,
        (False, True),
        (0.0, 0.4, 1.0),
    )
)


@pytest.mark.parametrize("seed", range(len(_MIXTURES)))
def test_mixtures_of_options_have_the_label_of_the_definition(seed: int) -> None:
    direction, nan_strategy, measure, outliers, critical, shift = _MIXTURES[seed]
    random = np.random.default_rng(seed)
    neutral = measure.no_difference
    for _ in range(2):
        config = MetricConfig(
            direction=direction,
            nan_strategy=nan_strategy,
            measure=measure,
            outliers=outliers,
            outlier_factor=float(random.choice([0.5, 3])),
            critical=critical,
            must_have_data=bool(random.random() < 0.5),
            allowed_increase=float(neutral + random.choice([0, 0.1])),
            allowed_decrease=None if random.random() < 0.5 else float(neutral - 0.1),
            critical_increase=float(neutral + random.choice([0.05, 0.2])),
            critical_decrease=float(neutral - 0.2),
        )
        control, experiment = (
            _series(random, 0),
            _series(random, float(random.choice([-1, 1]) * shift)),
        )
        expected = label_by_definition(control, experiment, config)
        assert _label(classify_metric(control, experiment, config)) == expected


def _series(random: np.random.Generator, shift: float) -> FloatArray:
    size = int(random.integers(5, 70))
    values: FloatArray = np.asarray(random.normal(3 + shift, 0.7, size), dtype=np.float64)
    if random.random() < 0.4:
        values[:] = np.round(np.maximum(values, 0))
    values[random.random(size) < 0.1] += 30.0 * int(random.integers(2))
    values[random.random(size) < 0.15] = np.nan
    return values


def test_outer_percentiles_keep_fences_from_closing_on_equal_values() -> None:
    values = np.array([1.0] * 95 + [2.0] * 5)
    assert without_outliers(values, factor=3).size == 100
    spiked = np.array([*np.linspace(1, 2, 300), 50.0])
    assert without_outliers(spiked, factor=3).max() == 2


def test_judgement_carries_the_numbers_of_the_test() -> None:
    judged = classify_metric(np.array([1.0] * 10), np.array([100.0] * 7 + [1.0] * 3))
    assert judged.test is not None
    assert (judged.test.lower, judged.test.estimate, judged.test.upper) == (0, 99, 99)
    assert judged.test.p_value == pytest.approx(0.00161677, rel=1e-5)
    assert judged.effect == pytest.approx(70.3)
    assert "0 and 99" in judged.reason


def test_what_is_no_harm_or_allowed_is_said_so() -> None:
    fallen = classify_metric(np.array(STEADY), np.array(LOWER))
    assert "lower, which is not harm here" in fallen.reason
    allowed = classify_metric(np.array(STEADY), np.array(HIGHER), MetricConfig(allowed_increase=3))
    assert "within what is allowed (3)" in allowed.reason


def test_many_metrics_are_judged_as_each_alone() -> None:
    random = np.random.default_rng(2)
    series = [(_series(random, 0), _series(random, 0.5)) for _ in range(60)]
    configs = [MetricConfig(name=str(i), measure=list(EffectMeasure)[i % 2]) for i in range(60)]
    together = classify_metrics(series, configs)
    for (control, experiment), config, judged in zip(series, configs, together, strict=True):
        assert repr(classify_metric(control, experiment, config)) == repr(judged)


def test_infinite_value_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'cpu' has an infinite value"):
        classify_metric(np.array([1.0, np.inf]), np.array([1.0]), MetricConfig.default("cpu"))
