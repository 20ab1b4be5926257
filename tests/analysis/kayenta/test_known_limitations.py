"""Where Kayenta's judge passes what a person wouldn't, and what is said beside it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kayenta.config import Direction, MetricConfig, NanStrategy
from analysis.kayenta.judgement import MetricLabel
from analysis.kayenta.known_limitations import Limitation, known_limitations
from tests.builders.judged_metric import classify_metric

FloatArray = NDArray[np.float64]

UP = MetricConfig(name="errors")
ZERO = MetricConfig(name="errors", nan_strategy=NanStrategy.REPLACE)


def _seen(
    control: FloatArray, experiment: FloatArray, config: MetricConfig = UP
) -> tuple[MetricLabel, dict[Limitation, str]]:
    judged = classify_metric(control, experiment, config)
    spots = known_limitations(control, experiment, config, judged)
    return judged.label, {spot.kind: spot.message for spot in spots}


def _normal(seed: int, mean: float, spread: float, size: int = 60) -> FloatArray:
    return np.random.default_rng(seed).normal(mean, spread, size)


def test_healthy_series_have_no_blind_spot() -> None:
    quiet = 0
    for seed in range(40):
        label, seen = _seen(_normal(seed, 100, 5), _normal(seed + 100, 100, 5))
        quiet += label is MetricLabel.PASS and not seen
    assert quiet >= 38


def test_seven_of_ten_values_a_hundredfold_pass_with_warnings() -> None:
    label, seen = _seen(np.full(10, 1.0), np.array([100.0, 1, 100, 100, 1, 100, 100, 100, 1, 100]))
    assert label is MetricLabel.PASS
    assert "7 of 10 stray farther" in seen[Limitation.SPREAD]
    assert "70.3 times" in seen[Limitation.LARGE_RATIO]
    assert "10 values, fewer than 50" in seen[Limitation.FEW_VALUES]


def test_spread_that_grows_around_the_same_median_is_warned_of() -> None:
    for seed in range(5):
        label, seen = _seen(_normal(seed, 100, 5), _normal(seed + 50, 100, 20))
        assert label is MetricLabel.PASS
        assert Limitation.SPREAD in seen


def test_spread_that_shrinks_or_grows_only_on_the_harmless_side_is_no_matter() -> None:
    assert Limitation.SPREAD not in _seen(_normal(1, 100, 20), _normal(2, 100, 5))[1]
    dips = _normal(3, 100, 5)
    dips[::3] -= 40
    assert Limitation.SPREAD not in _seen(_normal(4, 100, 5), dips)[1]


def test_spread_that_grows_by_less_than_half_is_no_matter() -> None:
    random = np.random.default_rng(10)
    control, wider = random.uniform(90, 110, 300), random.uniform(87, 113, 300)
    assert (wider > control.max()).mean() + (wider < control.min()).mean() > 0.2
    assert (
        Limitation.SPREAD not in _seen(control, wider, MetricConfig(direction=Direction.EITHER))[1]
    )


def test_shift_that_is_seen_and_allowed_is_no_growing_spread() -> None:
    config = MetricConfig(allowed_increase=1.5)
    label, seen = _seen(_normal(5, 100, 5), _normal(6, 130, 5), config)
    assert label is MetricLabel.PASS
    assert not seen


@pytest.mark.parametrize("config", [UP, ZERO])
def test_baseline_without_a_value_hides_errors_of_the_canary(config: MetricConfig) -> None:
    errors = np.full(60, np.nan)
    errors[::5] = 7.0
    label, seen = _seen(np.full(60, np.nan), errors, config)
    assert label in (MetricLabel.PASS, MetricLabel.NODATA)
    assert "12 values that aren't zero, up to 7" in seen[Limitation.DEAD_BASELINE]


def test_baseline_and_canary_without_values_hide_nothing() -> None:
    assert not _seen(np.full(60, np.nan), np.full(60, np.nan), ZERO)[1]


def test_sparse_errors_pass_with_their_sums_said() -> None:
    errors = np.zeros(60)
    errors[::6] = 3.0
    label, seen = _seen(np.zeros(60), errors)
    assert label is MetricLabel.PASS
    assert "the experiment has 10 that aren't (sum 30)" in seen[Limitation.SPARSE]


def test_slow_waves_are_warned_of() -> None:
    wave = 10 * np.sin(np.arange(60) / 6)
    _, seen = _seen(100 + wave + _normal(7, 0, 1), 100 + wave + _normal(8, 0, 1))
    assert "autocorrelation 0.9" in seen[Limitation.AUTOCORRELATION]


def test_threefold_mean_that_passes_is_warned_of() -> None:
    random = np.random.default_rng(9)
    control = random.exponential(1, 12)
    experiment = control[::-1].copy()
    experiment[:3] += 12
    label, seen = _seen(control, experiment, MetricConfig(direction=Direction.EITHER))
    assert label is MetricLabel.PASS
    assert Limitation.LARGE_RATIO in seen


def test_values_as_small_as_kayentas_search_error_are_warned_of() -> None:
    control, experiment = _normal(11, 5e-5, 1e-5), _normal(12, 8e-5, 1e-5)
    label, seen = _seen(control, experiment)
    assert label is MetricLabel.HIGH
    assert "may give another label" in seen[Limitation.SEARCH_ERROR]
    label, seen = _seen(control * 1e6, experiment * 1e6)
    assert label is MetricLabel.HIGH
    assert not seen
