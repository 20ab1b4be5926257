"""Confidence sequences against published worked numbers, and by simulation under 100 looks."""

import numpy as np
import pytest

from analysis.sequential.confidence_sequence import (
    log_e_value,
    one_sided_multiplier,
    student_adjusted,
    two_sided_multiplier,
)


@pytest.mark.parametrize(
    ("n", "expected"), [(100, 6.69), (500, 3.86), (1000, 3.36), (5000, 3.04), (20000, 3.13)]
)
def test_two_sided_multiplier_matches_published_table(n: int, expected: float) -> None:
    assert float(two_sided_multiplier(n, alpha=0.05, n_opt=5000)) == pytest.approx(
        expected, abs=0.006
    )


def test_worked_example_of_interval_bound_and_e_value() -> None:
    half_width = float(two_sided_multiplier(10_000, alpha=0.05, n_opt=5000)) * 0.008
    bound = float(one_sided_multiplier(10_000, alpha=0.05, n_opt=5000)) * 0.008
    e_value = float(np.exp(log_e_value(2.5, 10_000, alpha=0.05, n_opt=5000)))
    assert 0.02 + half_width == pytest.approx(0.044492, abs=1e-6)
    assert 0.02 - bound == pytest.approx(-0.002411, abs=1e-6)
    assert e_value == pytest.approx(4.60410, abs=1e-5)


def test_e_value_and_interval_never_contradict() -> None:
    n = np.array([20.0, 300.0, 5000.0, 80_000.0])
    edge = two_sided_multiplier(n, alpha=0.05, n_opt=1000)
    assert np.exp(log_e_value(edge, n, alpha=0.05, n_opt=1000)) == pytest.approx(1 / 0.05)


def test_bound_is_infinite_before_the_second_observation() -> None:
    assert np.isinf(one_sided_multiplier(1, alpha=0.05, n_opt=100))
    assert np.isinf(student_adjusted(3.0, 0.5))


def test_students_multiplier_is_never_below_the_normal_one() -> None:
    normal = np.linspace(0.5, 80.0, 300)[:, None]
    adjusted = student_adjusted(normal, [1, 3, 5, 10, 100, 1e4, 1e6, 1e12])
    assert np.all(adjusted >= normal)


def test_few_degrees_of_freedom_never_turn_a_bound_round() -> None:
    """scipy's quantile at 6 degrees and a tail of 1e-300 is +inf: 8 users proved any harm."""
    dof = np.concatenate([np.linspace(1, 60, 300), np.geomspace(60, 1e9, 100)])[:, None]
    normal = np.concatenate([np.linspace(0, 60, 121), [1e3, 1e6]])
    adjusted = student_adjusted(normal, dof)
    assert np.all(adjusted >= normal)
    assert np.all(np.diff(adjusted, axis=1) >= 0)
    assert np.all(np.diff(adjusted, axis=0) <= 1e-6 * adjusted[1:])


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1])
def test_alpha_outside_the_unit_interval_is_refused(alpha: float) -> None:
    for multiplier in (two_sided_multiplier, one_sided_multiplier):
        with pytest.raises(ValueError, match="alpha is"):
            multiplier(10, alpha=alpha, n_opt=100)


@pytest.mark.parametrize("draw", ["normal", "skewed"])
def test_false_alarms_under_a_hundred_looks_stay_below_alpha(draw: str) -> None:
    rng = np.random.default_rng(20261123)
    runs, looks, alpha = 4000, 100, 0.05
    if draw == "normal":
        values = rng.normal(size=(runs, looks))
    else:
        values = rng.exponential(size=(runs, looks)) - 1
    n = np.arange(1, looks + 1)
    mean = values.cumsum(axis=1) / n
    squares = (values**2).cumsum(axis=1)
    variance = np.maximum(squares - n * mean**2, 0) / np.maximum(n - 1, 1)
    multiplier = student_adjusted(one_sided_multiplier(n, alpha=alpha, n_opt=looks), n - 1)
    with np.errstate(invalid="ignore"):
        lower = mean - multiplier * np.sqrt(variance / n)
    alarms = (np.nan_to_num(lower, nan=-np.inf) > 0).any(axis=1).mean()
    assert alarms <= alpha + 3 * np.sqrt(alpha * (1 - alpha) / runs)
