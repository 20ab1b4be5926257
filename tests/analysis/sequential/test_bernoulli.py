"""Two Bernoulli arms: worked numbers, brute force, and exact validity over all paths."""

from itertools import product

import numpy as np
import pytest

from analysis.sequential.bernoulli import compare_failures, failures_by_block
from tests.analysis.sequential.paths import at_most, ever_alarms_two

TRIALS = 35


def test_worked_examples() -> None:
    found = compare_failures([10, 50], [200_000, 1000], [40, 80], [10_000, 1000], alpha=0.05)
    assert found.log_e == pytest.approx([86.158, -3.627], abs=5e-4)
    assert found.difference == pytest.approx([0.00395, 0.03])
    assert found.lower[0] > 0
    assert found.lower[1] < 0 < found.upper[1]


def test_interval_excludes_zero_exactly_where_the_e_value_does() -> None:
    x = np.arange(41.0)
    found = compare_failures(x[:, None], 40, x[None, :], 40, alpha=0.05)
    outside = (found.lower > 0) | (found.upper < 0)
    assert np.array_equal(outside, found.log_e > np.log(20))
    assert np.array_equal(found.lower > 0, (found.log_e_beyond > np.log(20)))


def test_interval_ends_by_brute_force() -> None:
    x_b, n_b, x_c, n_c = 3, 40, 9, 25
    found = compare_failures(x_b, n_b, x_c, n_c, alpha=0.1)
    p = np.linspace(0, 1, 40_001)[1:-1]
    for end in (float(found.lower), float(found.upper)):
        q = p + end
        p_b, q = p[(q > 0) & (q < 1)], q[(q > 0) & (q < 1)]
        likelihood = x_b * np.log(p_b) + (n_b - x_b) * np.log1p(-p_b)
        likelihood += x_c * np.log(q) + (n_c - x_c) * np.log1p(-q)
        pooled = 12 / 65
        null = 12 * np.log(pooled) + 53 * np.log1p(-pooled)
        log_e = float(found.log_e) + null - likelihood.max()
        assert log_e == pytest.approx(np.log(10), abs=1e-5)


def test_margin_moves_the_null() -> None:
    margins = np.array([-0.05, 0.0, 0.1, 0.24])
    found = compare_failures(3, 40, 18, 40, alpha=0.05, margin=margins)
    assert np.all(np.diff(found.log_e_beyond) < 0)
    assert found.log_e_beyond[1] == pytest.approx(found.log_e[1])
    at_lower = compare_failures(3, 40, 18, 40, alpha=0.05, margin=found.lower[0])
    assert float(at_lower.log_e_beyond) == pytest.approx(np.log(20), abs=1e-6)


def test_no_trials_say_nothing_and_no_failures_are_no_error() -> None:
    found = compare_failures([0, 0, 5], [0, 30, 5], [0, 0, 0], [10, 30, 5], alpha=0.05)
    assert (found.lower[0], found.upper[0], found.log_e[0]) == (-1, 1, 0)
    assert found.lower[1] == pytest.approx(-found.upper[1])
    assert 0.05 < found.upper[1] < 0.3
    assert found.lower[2] == -1
    assert found.upper[2] < 0


def test_rates_of_a_billionth() -> None:
    found = compare_failures(1e3, 1e12, 2e3, 1e12, alpha=0.05)
    assert 0 < float(found.lower) < 1e-9 < float(found.upper) < 2e-9


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.9])
def test_exact_false_alarms_over_all_paths(share: float) -> None:
    for alpha in (0.05, 0.2):
        alarms = ever_alarms_two(
            lambda b, c, n, a=alpha: compare_failures(b, n, c, n, alpha=a).p_value <= a,  # type: ignore[misc]
            share,
            share,
            TRIALS,
        )
        assert alarms <= alpha


@pytest.mark.parametrize(("p_b", "p_c"), [(0.05, 0.25), (0.3, 0.5), (0.0, 0.2), (0.3, 0.1)])
def test_exact_false_alarms_against_a_margin_over_all_paths(p_b: float, p_c: float) -> None:
    alarms = ever_alarms_two(
        lambda b, c, n: compare_failures(b, n, c, n, alpha=0.2, margin=0.2).p_value_beyond <= 0.2,
        p_b,
        p_c,
        TRIALS,
    )
    assert alarms <= 0.2


def test_exact_coverage_of_the_interval_over_all_paths() -> None:
    def misses(b: np.ndarray, c: np.ndarray, n: int) -> np.ndarray:
        found = compare_failures(b, n, c, n, alpha=0.2)
        return np.asarray((found.lower > 0.25) | (found.upper < 0.25))

    assert ever_alarms_two(misses, 0.15, 0.4, TRIALS) <= 0.2


@pytest.mark.parametrize("drift", [0.0, 0.9])
def test_blocks_are_exact_whatever_the_common_rate_does(drift: float) -> None:
    """All 4^7 paths of seven blocks of one trial each: the mean is 1, and few reach 1 / alpha."""
    blocks = 7
    rates = 0.05 + drift * np.arange(blocks) / (blocks - 1)
    paths = np.array(list(product((0.0, 1.0), repeat=2 * blocks)))
    b, c = paths[:, :blocks], paths[:, blocks:]
    chance = np.prod(np.where(b > 0, rates, 1 - rates) * np.where(c > 0, rates, 1 - rates), axis=1)
    log_e = failures_by_block(b, 1.0, c, 1.0)
    assert float(chance @ np.exp(log_e[:, -1])) <= 1 + 1e-12
    for alpha in (0.05, 0.2, 0.5):
        assert float(chance @ (log_e.max(axis=1) >= -np.log(alpha))) <= alpha


def test_blocks_under_a_drifting_rate_with_and_without_effect() -> None:
    rng, runs = np.random.default_rng(3), 1500
    rate = np.linspace(0.3, 0.02, 100)
    n_b, n_c = np.full(100, 40), np.full(100, 4)
    b = rng.binomial(n_b, rate, size=(runs, 100))
    same, worse = (rng.binomial(n_c, rate + gap, size=(runs, 100)) for gap in (0.0, 0.15))
    alarms = failures_by_block(b, n_b, same, n_c) >= np.log(20)
    found = failures_by_block(b, n_b, worse, n_c) >= np.log(20)
    assert alarms.any(axis=1).mean() <= at_most(0.05, runs)
    assert found.any(axis=1).mean() > 0.95


def test_blocks_without_one_version_bet_nothing() -> None:
    log_e = failures_by_block([5.0, 5.0], [10.0, 10.0], [0.0, 0.0], [0.0, 0.0])
    assert log_e == pytest.approx([0, 0])


def test_one_sided_blocks_are_exact_wherever_the_baseline_fails_more() -> None:
    blocks = 6
    paths = np.array(list(product((0.0, 1.0), repeat=2 * blocks)))
    b, c = paths[:, :blocks], paths[:, blocks:]
    log_e = failures_by_block(b, 1.0, c, 1.0, only_higher=True)
    for p_b, p_c in ((0.5, 0.5), (0.6, 0.4), (0.2, 0.05), (1.0, 0.5)):
        share_b, share_c = np.where(b > 0, p_b, 1 - p_b), np.where(c > 0, p_c, 1 - p_c)
        chance = np.prod(share_b * share_c, axis=1)
        assert float(chance @ np.exp(log_e[:, -1])) <= 1 + 1e-12


def test_one_sided_blocks_see_only_a_worse_candidate() -> None:
    rng = np.random.default_rng(1)
    b, c = rng.binomial(50, 0.05, size=60), rng.binomial(50, 0.12, size=60)
    assert failures_by_block(b, 50.0, c, 50.0, only_higher=True)[-1] > 5
    assert failures_by_block(c, 50.0, b, 50.0, only_higher=True)[-1] < 0
