"""Two Bernoulli arms: worked numbers, brute force, and exact validity over all paths."""

import numpy as np
import pytest

from analysis.sequential.bernoulli import compare_failures
from tests.analysis.sequential.paths import ever_alarms_two

TRIALS = 35


def test_worked_examples() -> None:
    found = compare_failures([10, 50], [200_000, 1000], [40, 80], [10_000, 1000], alpha=0.05)
    assert found.log_e == pytest.approx([86.158, -3.627], abs=5e-4)
    assert found.estimate == pytest.approx([0.00395, 0.03])
    assert found.lower[0] > 0
    assert found.lower[1] < 0 < found.upper[1]


def test_interval_excludes_zero_exactly_where_the_e_value_does() -> None:
    x = np.arange(41.0)
    found = compare_failures(x[:, None], 40, x[None, :], 40, alpha=0.05)
    outside = (found.lower > 0) | (found.upper < 0)
    assert np.array_equal(outside, found.log_e > np.log(20))


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


def test_exact_coverage_of_the_interval_over_all_paths() -> None:
    def misses(b: np.ndarray, c: np.ndarray, n: int) -> np.ndarray:
        found = compare_failures(b, n, c, n, alpha=0.2)
        return np.asarray((found.lower > 0.25) | (found.upper < 0.25))

    assert ever_alarms_two(misses, 0.15, 0.4, TRIALS) <= 0.2
