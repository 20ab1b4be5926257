"""Margins: p-values agree with the intervals, with the tests of means, and with simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind

from analysis.fixed.comparison import Sample, compare_means, proportion_sample
from analysis.fixed.margins import means_within, shares_within


def _means(seed: int, cells: int = 50) -> tuple[Sample, Sample]:
    rng = np.random.default_rng(seed)
    users = rng.integers(20, 500, (2, cells)).astype(np.float64)
    means, variances = rng.normal(5, 1, (2, cells)), rng.gamma(3, 1, (2, cells))
    return (
        Sample(users[0], means[0], variances[0]),
        Sample(users[1], means[1], variances[1]),
    )


def _shares(seed: int, cells: int = 50) -> tuple[Sample, Sample]:
    rng = np.random.default_rng(seed)
    n = rng.integers(20, 5000, (2, cells))
    x = rng.binomial(n, rng.uniform(0.01, 0.9, cells))
    return proportion_sample(n[0], x[0]), proportion_sample(n[1], x[1])


def test_equivalence_of_raw_values_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    control, treatment = rng.normal(5, 1, 80), rng.normal(5.1, 2, 60)
    comparison = compare_means(
        *(
            Sample(np.array([float(len(v))]), np.array([v.mean()]), np.array([v.var(ddof=1)]))
            for v in (control, treatment)
        )
    )
    found = means_within(comparison, np.array([0.5]), relative=False, alpha=0.05)
    p_value, lower, upper = ttost_ind(treatment, control, -0.5, 0.5, usevar="unequal")
    assert found.p_equivalent[0] == pytest.approx(p_value, rel=1e-9)
    assert found.p_not_lower[0] == pytest.approx(lower[1], rel=1e-9)
    assert found.p_not_higher[0] == pytest.approx(upper[1], rel=1e-9)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("of_shares", [False, True])
@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_p_values_agree_with_the_interval(relative: bool, of_shares: bool, alpha: float) -> None:
    for margin in (0.02, 0.1, 0.3):
        size = np.full(50, margin)
        if of_shares:
            found = shares_within(*_shares(7), size, relative=relative, alpha=alpha)
        else:
            comparison = compare_means(*_means(7))
            found = means_within(comparison, size, relative=relative, alpha=alpha)
        np.testing.assert_array_equal(found.p_not_lower < alpha, found.lower > -margin)
        np.testing.assert_array_equal(found.p_not_higher < alpha, found.upper < margin)
        inside = (found.lower > -margin) & (found.upper < margin)
        np.testing.assert_array_equal(found.p_equivalent < alpha, inside)


def test_a_baseline_below_zero_has_a_margin_of_its_size() -> None:
    """A loss of 5 instead of 5.2 is no lower; a mirrored metric gets the mirrored answer."""
    baseline, candidate = _means(3)
    margin = np.full(50, 0.05)
    found = means_within(compare_means(baseline, candidate), margin, relative=True, alpha=0.05)
    mirrored = (Sample(s.n, -s.mean, s.variance) for s in (baseline, candidate))
    other = means_within(compare_means(*mirrored), margin, relative=True, alpha=0.05)
    np.testing.assert_allclose(other.p_not_higher, found.p_not_lower, rtol=1e-9)
    np.testing.assert_allclose(other.lower, -found.upper, rtol=1e-9)


def test_a_share_at_the_margin_passes_as_seldom_as_promised() -> None:
    rng = np.random.default_rng(11)
    n = 400
    for shares, margin, relative in (((0.5, 0.4), 0.1, False), ((0.2, 0.16), 0.2, True)):
        x = rng.binomial(n, np.array(shares)[:, None], (2, 4000))
        arms = proportion_sample(n, x[0]), proportion_sample(n, x[1])
        found = shares_within(*arms, np.full(4000, margin), relative=relative, alpha=0.05)
        passed = int((found.p_not_lower < 0.05).sum())
        assert passed <= stats.binom.ppf(0.999, 4000, 0.05)
        assert passed > 4000 * 0.02


def test_nobody_shows_nothing() -> None:
    empty = proportion_sample(np.array([0.0]), np.array([0.0]))
    found = shares_within(empty, empty, np.array([0.1]), relative=False, alpha=0.05)
    assert np.isnan(found.p_equivalent).all()


def test_a_relative_margin_of_users_who_are_all_alike_shows_nothing() -> None:
    """Both sides had p = 0 beside an interval without bounds."""
    same = Sample(np.array([50.0]), np.array([3.0]), np.array([0.0]))
    found = means_within(compare_means(same, same), np.array([0.02]), relative=True, alpha=0.05)
    assert np.isneginf(found.lower[0])
    assert np.isposinf(found.upper[0])
    assert np.isnan(found.p_equivalent[0])
