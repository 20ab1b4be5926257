"""Shares and rate ratios: worked numbers, sides without events, exact and simulated validity."""

import numpy as np
import pytest

from analysis.sequential.confidence_sequence import tuning
from analysis.sequential.dirichlet import mixture_log_e, planned_concentration
from analysis.sequential.multinomial import (
    compare_rates,
    compare_shares,
    one_sided_log_e,
    shares_with_concentration,
)
from tests.analysis.sequential.paths import at_most, ever_alarms_one


def test_worked_example_of_a_split() -> None:
    found = shares_with_concentration([5200, 4800], [1, 1], alpha=0.05, concentration=100)
    assert float(found.log_e) == pytest.approx(5.613613, abs=1e-6)
    assert float(found.p_value) == pytest.approx(0.003648, abs=1e-6)
    assert found.lower[0] == pytest.approx(0.503595, abs=1e-6)
    assert found.upper[0] == pytest.approx(0.536376, abs=1e-6)
    assert found.lower[1] == pytest.approx(1 - found.upper[0], rel=1e-9)


def test_worked_examples_of_rates() -> None:
    n_opt = 101 * tuning(0.05, 1.0) ** 2  # a concentration of 100
    found = compare_rates([950, 100], [80, 130], [95, 50], [5, 50], alpha=0.05, n_opt=n_opt)
    assert found.log_e[0] == pytest.approx(5.177759, abs=1e-6)
    assert found.p_value == pytest.approx([0.005641, 0.4626], abs=5e-5)
    assert found.estimate == pytest.approx([1.60, 1.30])
    assert found.lower == pytest.approx([1.0861, 0.8865], abs=5e-5)
    assert found.upper == pytest.approx([2.2691, 1.9188], abs=1e-4)


def test_a_version_without_events_leaves_its_side_open() -> None:
    found = compare_rates([0, 8, 0], [8, 0, 0], 1, 1, alpha=0.05, n_opt=10)
    assert found.lower[0] > 0
    assert np.isinf(found.upper[0])
    assert found.lower[1] == 0
    assert np.isfinite(found.upper[1])
    assert (found.lower[2], found.upper[2]) == (0, np.inf)
    assert np.isnan(found.estimate[2])
    assert found.p_value[2] == 1


def test_interval_ends_are_where_the_prior_mixture_is_alpha() -> None:
    """The likelihood at each end is alpha times the mixture's: by brute force, three categories."""
    x, null, k = np.array([30.0, 50.0, 5.0]), np.full(3, 1 / 3), 12.0
    found = shares_with_concentration(x, null, alpha=0.1, concentration=k)
    log_mixture = float(mixture_log_e(x, null, k)) + float((x * np.log(null)).sum())
    for i in range(3):
        rest = np.delete(x, i) / np.delete(x, i).sum()
        for end in (found.lower[i], found.upper[i]):
            theta = np.insert((1 - end) * rest, i, end)
            assert (x * np.log(theta)).sum() == pytest.approx(log_mixture + np.log(0.1), abs=1e-8)


@pytest.mark.parametrize("n", [1e3, 1e6, 1e9, 1e12])
def test_interval_of_a_rare_share_at_any_size(n: float) -> None:
    rate = 1e-9 if n > 1e9 else 3 / n
    found = compare_shares([n * rate, n * (1 - rate)], [rate, 1 - rate], alpha=0.05, n_opt=n)
    assert 0 < found.lower[0] < rate < found.upper[0] < 20 * rate + 20 / n


def test_ratio_of_rare_events_against_many_keeps_its_digits() -> None:
    found = compare_rates(1e9, 1e3, 1e9, 1e3, alpha=0.05, n_opt=1e9)
    swapped = compare_rates(1e3, 1e9, 1e3, 1e9, alpha=0.05, n_opt=1e9)
    assert float(found.lower) == pytest.approx(1 / float(swapped.upper), rel=1e-8)
    assert float(found.upper) == pytest.approx(1 / float(swapped.lower), rel=1e-8)
    assert 0.8 < float(found.lower) < 1 < float(found.upper) < 1.25


def test_far_below_the_margin_evidence_is_small_and_finite() -> None:
    log_e = one_sided_log_e([[1e5, 10.0], [10.0, 1e5]], [0.5, 0.5], [50.0, 50.0])
    assert -20_000 < log_e[0] < 0
    assert log_e[1] > 60_000


@pytest.mark.parametrize("edge", [0.05, 0.5])
@pytest.mark.parametrize("true", [1.0, 0.8])
def test_exact_one_sided_false_alarms_over_all_paths(edge: float, true: float) -> None:
    k = float(planned_concentration(0.05, 40))
    alarms = ever_alarms_one(
        lambda x, n: one_sided_log_e(np.stack([n - x, x], axis=-1), edge, k) >= np.log(20),
        edge * true,
        120,
    )
    assert alarms <= 0.05


def test_poisson_streams_under_a_hundred_looks() -> None:
    """Rates follow a common wave; the ratio is 1.5; coverage and false alarms at all looks."""
    rng, runs = np.random.default_rng(12), 800
    wave = 3 + 2.5 * np.sin(np.arange(100) / 9)
    b = rng.poisson(9 * wave, size=(runs, 100)).cumsum(axis=1)
    same, half_more = (
        rng.poisson(ratio * wave, size=(runs, 100)).cumsum(axis=1) for ratio in (1.0, 1.5)
    )
    null = compare_rates(b, same, 9, 1, alpha=0.05, n_opt=1500)
    assert (null.p_value < 0.05).any(axis=1).mean() <= at_most(0.05, runs)
    shifted = compare_rates(b, half_more, 9, 1, alpha=0.05, n_opt=1500)
    missed = (shifted.lower > 1.5) | (shifted.upper < 1.5)
    assert missed.any(axis=1).mean() <= at_most(0.05, runs)
    assert (shifted.lower > 1).any(axis=1).mean() > 0.9


def test_three_arms_under_a_hundred_looks() -> None:
    rng, runs = np.random.default_rng(13), 800
    x = rng.multinomial(40, [0.5, 0.3, 0.2], size=(runs, 100)).cumsum(axis=1)
    found = compare_shares(x, [5, 3, 2], alpha=0.05, n_opt=2000)
    assert (found.p_value < 0.05).any(axis=1).mean() <= at_most(0.05, runs)


def test_a_null_share_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        compare_shares([3, 4], [1, 0], alpha=0.05, n_opt=10)
