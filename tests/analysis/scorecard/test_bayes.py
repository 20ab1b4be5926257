"""Posteriors against closed forms, exact sums and draws."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.special import betaln

from analysis.fixed.comparison import (
    Sample,
    compare_means,
    compare_proportions,
    mean_sample,
    proportion_sample,
)
from analysis.scorecard.bayes import BetaPrior, NormalPrior, beta_posterior, normal_posterior
from analysis.users.guarded_comparison import compare_guarded


def test_normal_posterior_equals_draws() -> None:
    comparison = compare_means(mean_sample(500, 2.0, 4.0), mean_sample(600, 2.1, 5.0))
    found = normal_posterior(comparison, NormalPrior(0.0, 0.05))
    estimate = 0.1 / 2.0
    error = np.sqrt(5.0 / 600 + 4.0 / 500) / 2.0
    precision = 1 / error**2 + 1 / 0.05**2
    mean, sd = estimate / error**2 / precision, 1 / np.sqrt(precision)
    draws = np.random.default_rng(1).normal(mean, sd, 2_000_000)
    assert found.lift == pytest.approx(mean, rel=1e-12)
    assert found.chance_to_win == pytest.approx(np.mean(draws > 0), abs=0.001)
    assert found.expected_loss == pytest.approx(2.0 * np.maximum(-draws, 0).mean(), rel=0.01)
    assert found.expected_loss_baseline == pytest.approx(
        2.0 * np.maximum(draws, 0).mean(), rel=0.01
    )
    assert [float(found.lower), float(found.upper)] == pytest.approx(
        np.quantile(draws, [0.025, 0.975]).tolist(), abs=2e-4
    )
    assert found.prior == "relative lift ~ normal(0, 0.05)"


def test_a_flat_prior_leaves_the_estimate_and_no_data_leaves_the_prior() -> None:
    comparison = compare_proportions(proportion_sample(1000, 100), proportion_sample(1000, 130))
    flat = normal_posterior(comparison, NormalPrior(0.0, 1e6))
    assert flat.lift == pytest.approx(0.3)
    nothing = compare_proportions(proportion_sample(0, 0), proportion_sample(0, 0))
    prior = normal_posterior(nothing, NormalPrior(0.02, 0.1))
    assert prior.lift == pytest.approx(0.02)
    assert prior.upper == pytest.approx(0.02 + 1.959964 * 0.1)


@pytest.mark.parametrize(
    ("baseline", "candidate", "chance"),
    [
        (proportion_sample(1000, 100), proportion_sample(1000, 0), 0.0),
        (proportion_sample(1000, 0), proportion_sample(1000, 100), 1.0),
        (mean_sample(10_000, 1e-4, 1.0), mean_sample(10_000, 0.5, 1.0), 1.0),
        (mean_sample(10_000, 0.0, 1.0), mean_sample(10_000, 0.5, 1.0), 1.0),
        (mean_sample(10_000, -1e-4, 1.0), mean_sample(10_000, -0.5, 1.0), 0.0),
        (mean_sample(1000, 0.1, 0.12), mean_sample(1000, 0.0, 0.0), 0.0),
        (mean_sample(1000, 0.1, 0.12), mean_sample(1000, 10.0, 12.0), 1.0),
    ],
)
def test_overwhelming_evidence_is_believed_where_the_lift_is_not_normal(
    baseline: Sample, candidate: Sample, chance: float
) -> None:
    for compare in (compare_means, partial(compare_guarded, is_share=False)):
        found = normal_posterior(compare(baseline, candidate), NormalPrior())
        assert found.chance_to_win == pytest.approx(chance, abs=1e-4)
        loss = found.expected_loss if chance else found.expected_loss_baseline
        assert float(loss) == pytest.approx(0, abs=1e-4)


def test_where_no_user_differs_the_prior_is_left() -> None:
    same = (mean_sample(1000, mean, 0.0) for mean in (0.0, 7.0))
    found = normal_posterior(compare_means(*same), NormalPrior(0.02, 0.1))
    assert found.lift == pytest.approx(0.02)
    assert found.upper == pytest.approx(0.02 + 1.959964 * 0.1)


def _exact_chance(a_b: int, b_b: int, a_c: int, b_c: int) -> float:
    """P(candidate > baseline) of two betas with whole parameters: a finite sum (Cook 2005)."""
    i = np.arange(a_c)
    terms = betaln(a_b + i, b_b + b_c) - np.log(b_c + i) - betaln(1 + i, b_c) - betaln(a_b, b_b)
    return float(np.exp(terms).sum())


@pytest.mark.parametrize(
    ("n_b", "x_b", "n_c", "x_c"),
    [
        (20, 3, 25, 6),
        (100, 0, 100, 2),
        (1000, 100, 900, 120),
        (50, 50, 60, 55),
        (10**5, 3, 10**5, 9),
    ],
)
def test_chance_to_win_of_shares_is_exact(n_b: int, x_b: int, n_c: int, x_c: int) -> None:
    found = beta_posterior((n_b, n_c), (x_b, x_c), BetaPrior())
    exact = _exact_chance(x_b + 1, n_b - x_b + 1, x_c + 1, n_c - x_c + 1)
    assert found.chance_to_win == pytest.approx(exact, abs=1e-9)


def test_loss_and_lift_of_shares_equal_draws() -> None:
    rng = np.random.default_rng(2)
    n, x = (200, 300), (30, 60)
    found = beta_posterior(n, x, BetaPrior(2, 8))
    b, c = (rng.beta(x[i] + 2, n[i] - x[i] + 8, 2_000_000) for i in (0, 1))
    assert found.expected_loss == pytest.approx(np.maximum(b - c, 0).mean(), rel=0.02)
    assert found.expected_loss_baseline == pytest.approx(np.maximum(c - b, 0).mean(), rel=0.01)
    lifts = np.quantile(c / b - 1, [0.5, 0.025, 0.975])
    assert [float(found.lift), float(found.lower), float(found.upper)] == pytest.approx(
        lifts.tolist(), abs=0.002
    )
    assert found.prior == "share ~ beta(2, 8)"


def test_thousands_of_shares_are_judged_at_once_as_each_alone() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(10, 5000, (2, 50))
    x = rng.binomial(n, 0.1)
    together = beta_posterior((n[0], n[1]), (x[0], x[1]), BetaPrior())
    for i in range(0, 50, 10):
        alone = beta_posterior((n[0, i], n[1, i]), (x[0, i], x[1, i]), BetaPrior())
        assert together.chance_to_win[i] == pytest.approx(float(alone.chance_to_win), rel=1e-12)
        assert together.upper[i] == pytest.approx(float(alone.upper), rel=1e-9)
