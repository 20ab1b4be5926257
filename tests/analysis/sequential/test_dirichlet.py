"""The Dirichlet mixture: against log-gammas, at sizes where those lose digits, and exactly."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.sequential.dirichlet import divergence, mixture_log_e, planned_concentration
from analysis.sequential.e_values import always_valid_p, log_average
from tests.analysis.sequential.paths import ever_alarms_one


def _by_log_gamma(counts: list[float], null: list[float], k: float) -> float:
    n = sum(counts)
    terms = [
        math.lgamma(k * t + x) - math.lgamma(k * t) - x * math.log(t)
        for x, t in zip(counts, null, strict=True)
    ]
    return sum(terms) - math.lgamma(k + n) + math.lgamma(k)


@given(
    counts=st.lists(st.integers(0, 400), min_size=2, max_size=5),
    k=st.floats(0.01, 1000),
)
def test_is_the_ratio_of_multinomial_beta_functions(counts: list[int], k: float) -> None:
    null = np.arange(1.0, len(counts) + 1) / sum(range(1, len(counts) + 1))
    expected = _by_log_gamma([float(x) for x in counts], list(null), k)
    assert mixture_log_e(counts, null, k) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_keeps_its_digits_at_a_trillion_counts() -> None:
    # Normal limit: z^2 / 2 n / (n + k) - log(1 + n / k) / 2.
    n, z, k = 1e12, 6.0, 1000.0
    x = n / 2 + z * math.sqrt(n) / 2
    limit = z**2 / 2 * n / (n + k) - math.log1p(n / k) / 2
    assert float(mixture_log_e([x, n - x], [0.5, 0.5], k)) == pytest.approx(limit, abs=1e-3)
    assert float(divergence([x, n - x], [0.5, 0.5])) == pytest.approx(z**2 / 2, rel=1e-6)


def test_no_count_of_a_category_among_a_trillion() -> None:
    found = float(mixture_log_e([1e12, 0.0], [0.5, 0.5], 1.0))
    assert found == pytest.approx(1e12 * math.log(2), rel=1e-9)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.3, 0.5])
@pytest.mark.parametrize("k", [1.0, 20.0])
def test_exact_false_alarms_over_all_paths_are_at_most_alpha(share: float, k: float) -> None:
    for alpha in (0.05, 0.2):
        alarms = ever_alarms_one(
            lambda x, n, a=alpha: (
                mixture_log_e(  # type: ignore[misc]
                    np.stack([x, n - x], axis=-1), [share, 1 - share], k
                )
                >= -np.log(a)
            ),
            share,
            150,
        )
        assert 0 < alarms <= alpha


def test_planned_concentration_is_the_tightest_there() -> None:
    n_opt = 2000.0
    best = float(planned_concentration(0.05, n_opt))
    needed = []
    for k in (best / 3, best, best * 3):
        x = np.linspace(n_opt / 2, n_opt * 0.6, 20_001)
        log_e = mixture_log_e(np.stack([x, n_opt - x], axis=-1), [0.5, 0.5], k)
        needed.append(x[np.argmax(log_e >= np.log(20))])
    assert needed[1] < min(needed[0], needed[2])


def test_an_average_of_e_values_is_taken_in_logarithms() -> None:
    assert float(log_average([np.log(3.0), np.log(5.0)])) == pytest.approx(np.log(4))
    assert float(log_average([5000.0, 0.0])) == pytest.approx(5000 - np.log(2))
    assert float(always_valid_p(-3.0)) == 1.0
    assert float(always_valid_p(np.log(50))) == pytest.approx(0.02)
