"""Tests of one planned look, against published values, scipy and simulation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from scipy import stats
from scipy.stats import binom

from analysis.fixed import several_variants
from analysis.fixed.comparison import (
    Sample,
    compare_means,
    compare_proportions,
    mean_sample,
    proportion_sample,
)
from analysis.fixed.margins import equivalence, non_inferiority
from analysis.fixed.proportions import share_bounds, share_statistic, z_test
from analysis.fixed.relative import relative_lift

Z = 1.959964


def test_relative_intervals_equal_the_published_example() -> None:
    arms = (proportion_sample(2000, 200), proportion_sample(2000, 240))
    comparison = compare_proportions(*arms)
    delta, log = relative_lift(comparison, Z, "delta"), relative_lift(comparison, Z, "log")
    assert [float(delta.lower), float(delta.upper)] == pytest.approx(
        [-0.012545, 0.412545], abs=1e-6
    )
    assert [float(log.lower), float(log.upper)] == pytest.approx([0.005214, 0.432531], abs=1e-6)
    assert (str(delta.method), str(log.method)) == ("delta", "log")


def test_near_a_baseline_of_zero_the_interval_is_fiellers() -> None:
    comparison = compare_means(mean_sample(100, 0.1, 1.0), mean_sample(100, 0.5, 1.0))
    found = relative_lift(comparison, Z)
    assert found.is_fieller
    assert str(found.method) == "fieller"
    assert np.isinf(found.upper)


@pytest.mark.parametrize("method", ["delta", "log"])
@pytest.mark.parametrize("counts", [(0, 10), (10, 0), (10, 10), (0, 0)])
def test_lifts_of_users_who_are_all_alike_claim_no_certainty(
    method: Literal["delta", "log"], counts: tuple[int, int]
) -> None:
    """A candidate at nothing had a lift of -100 % with no error at all by the delta method."""
    baseline, candidate = (proportion_sample(np.array([10]), np.array([x])) for x in counts)
    comparison = compare_proportions(baseline, candidate)
    found = relative_lift(comparison, np.array([1.96]), method)
    assert np.all(np.isinf(found.lower))
    assert not np.any(found.p_value < 0.05)
    mixed = compare_proportions(proportion_sample([100], [50]), proportion_sample([100], [0]))
    lift = relative_lift(mixed, np.array([1.96]), method)
    assert lift.is_fieller.all()
    assert np.all(lift.lower < lift.upper)


@pytest.mark.parametrize("method", ["delta", "log"])
@pytest.mark.parametrize("baseline", [0.02, 0.5, 2.0, -2.0])
def test_lifts_p_value_and_interval_are_one_test(
    method: Literal["delta", "log"], baseline: float
) -> None:
    """Over 4,000 comparisons of which half are near the limit, by any of the three methods."""
    rng = np.random.default_rng(12)
    n = rng.integers(5, 60, size=4000).astype(float)
    variance = rng.uniform(0.5, 2, size=4000)
    base = baseline + rng.normal(size=4000) * np.sqrt(variance / n)
    difference = rng.normal(0, 2.5, size=4000) * np.sqrt(2 * variance / n)
    comparison = compare_means(
        mean_sample(n, base, variance), mean_sample(n, base + difference, variance)
    )
    for alpha in (0.01, 0.05, 0.3):
        found = relative_lift(comparison, comparison.fixed_multiplier(alpha), method)
        assert set(found.method.tolist()) <= {"fieller", method}
        leaves_out = (found.lower > 0) | (found.upper < 0)
        # A baseline that can't be told from zero has no bound on that side: nothing is left out.
        bounded = np.isfinite(found.lower) & np.isfinite(found.upper)
        np.testing.assert_array_equal(leaves_out[bounded], found.p_value[bounded] < alpha)
        assert not leaves_out[~bounded].any()


def test_comparison_of_means_is_scipys_and_its_interval_says_the_same() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(40, 200)), rng.normal(0.3, 2.0, size=(55, 200))
    expected = stats.ttest_ind(b, a, equal_var=False)
    found = compare_means(
        mean_sample(40, a.mean(axis=0), a.var(axis=0, ddof=1)),
        mean_sample(55, b.mean(axis=0), b.var(axis=0, ddof=1)),
    )
    np.testing.assert_allclose(found.p_value, expected.pvalue, rtol=1e-9)
    lower, upper = found.interval(found.fixed_multiplier(0.05))
    interval = expected.confidence_interval(0.95)
    np.testing.assert_allclose(lower, interval.low, rtol=1e-9)
    np.testing.assert_allclose(upper, interval.high, rtol=1e-9)
    np.testing.assert_array_equal(found.p_value < 0.05, (lower > 0) | (upper < 0))


def test_non_inferiority_equals_the_published_example() -> None:
    found = non_inferiority(-0.004, 0.004, margin=0.01)
    assert found.p_value == pytest.approx(0.0668, abs=5e-5)
    assert found.lower == pytest.approx(-0.01058, abs=5e-6)
    assert not found.shown


@pytest.mark.parametrize("degrees", [3.0, 40.0, np.inf])
def test_hypotheses_say_the_same_as_their_intervals(degrees: float) -> None:
    d = np.linspace(-3, 3, 61)
    better, no_worse = (non_inferiority(d, 0.5, degrees, margin=m) for m in (0.0, 1.0))
    same = equivalence(d, 0.5, degrees, margin=1.5)
    np.testing.assert_array_equal(better.shown, better.lower > 0)
    np.testing.assert_array_equal(no_worse.shown, no_worse.lower > -1.0)
    np.testing.assert_array_equal(same.shown, (same.lower > -1.5) & (same.upper < 1.5))


def test_equivalence_errs_at_most_alpha_at_the_margin() -> None:
    d = np.random.default_rng(1).normal(1.0, 0.3, 40_000)
    shown = equivalence(d, 0.3, margin=1.0).shown.mean()
    assert shown == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 40_000))


def test_chi_square_of_several_arms_is_scipys() -> None:
    users = np.array([[500, 600, 700, 0], [50, 60, 70, 80]], dtype=float)
    successes = np.array([[50, 75, 60, 0], [5, 9, 12, 4]], dtype=float)
    found = several_variants.compare_shares(users, successes)
    for i, columns in ((0, slice(0, 3)), (1, slice(0, 4))):
        n, x = users[i, columns], successes[i, columns]
        expected = stats.chi2_contingency([x, n - x], correction=False)
        assert found.statistic[i] == pytest.approx(expected.statistic)
        assert found.p_value[i] == pytest.approx(expected.pvalue, rel=1e-9)


def test_welchs_analysis_of_variance_is_scipys() -> None:
    rng = np.random.default_rng(2)
    groups = [rng.normal(m, s, n) for m, s, n in ((0, 1, 30), (0.5, 2, 40), (0.2, 0.5, 25))]
    sample = Sample(
        np.array([float(len(g)) for g in groups]),
        np.array([g.mean() for g in groups]),
        np.array([g.var(ddof=1) for g in groups]),
    )
    expected = stats.f_oneway(*groups, equal_var=False)
    found = several_variants.compare_means(sample)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(("successes", "pooled"), [((0, 1), False), ((1, 1), True), ((0, 0), True)])
def test_z_test_without_a_variance_has_no_p_value(successes: tuple[int, int], pooled: bool) -> None:
    found = z_test((1, 1), successes, pooled=pooled)
    assert np.isnan([found.statistic, found.p_value, found.p_greater, found.p_less]).all()


def test_one_sided_p_values_are_halves_and_complements() -> None:
    found = z_test((2000, 2000), (200, 240), pooled=True)
    assert found.p_greater == pytest.approx(float(found.p_value) / 2)
    assert found.p_less == pytest.approx(1 - float(found.p_greater))


def _coverage(n_b: int, n_c: int, p_b: float, p_c: float) -> float:
    """Exact coverage of the 95 % bounds of the difference and of the ratio, the lesser one."""
    x_b, x_c = (g.ravel().astype(float) for g in np.mgrid[0 : n_b + 1, 0 : n_c + 1])
    found = share_bounds(proportion_sample(n_b, x_b), proportion_sample(n_c, x_c), Z)
    weight = binom.pmf(x_b, n_b, p_b) * binom.pmf(x_c, n_c, p_c)
    covered = [
        (low <= truth) & (truth <= high)
        for low, high, truth in (
            (found.lower, found.upper, p_c - p_b),
            (found.relative_lower, found.relative_upper, p_c / p_b - 1),
        )
    ]
    return min(float(weight[each].sum()) for each in covered)


@pytest.mark.parametrize("users", [(20, 20), (20, 60), (50, 50), (190, 20), (300, 300), (4000, 20)])
def test_intervals_of_shares_cover_from_twenty_users_on(users: tuple[int, int]) -> None:
    """Exact, over all tables: never below 95 %."""
    shares = (1e-4, 1e-3, 0.01, 0.05, 0.1, 0.3, 0.5)
    found = [
        _coverage(*users, p, q) for p in shares for q in {p, min(1.5 * p, 0.9), min(p + 0.1, 0.9)}
    ]
    assert min(found) >= 0.95


def test_bounds_p_values_and_ratios_of_shares_say_the_same() -> None:
    """Every table of 30 and 50 users: all exclude "no difference" together."""
    x_b, x_c = np.meshgrid(np.arange(31.0), np.arange(51.0))
    arms = proportion_sample(30, x_b), proportion_sample(50, x_c)
    statistic = share_statistic(*arms)
    for z in (0.5, Z, 3.0):
        found = share_bounds(*arms, z)
        outside = (found.lower > 0) | (found.upper < 0)
        np.testing.assert_array_equal(outside, np.abs(statistic) > z)
        relative = (found.relative_lower > 0) | (found.relative_upper < 0)
        np.testing.assert_array_equal(outside, relative)
    assert np.isnan(share_statistic(proportion_sample(0, 0), proportion_sample(5, 1)))


@pytest.mark.parametrize("users", [0, 1, 10])
def test_shares_without_a_finite_multiplier_are_anything_and_raise_no_warning(users: int) -> None:
    """By Newcombe's squares of limits that are 0 and 1."""
    arms = proportion_sample(users, users), proportion_sample(50, 20)
    found = share_bounds(*arms, np.inf)
    expected = (np.nan, np.nan) if users == 0 else (-1.0, np.hypot(0.6, 1) - 0.6)
    assert (found.lower, found.upper) == pytest.approx(expected, nan_ok=True)
