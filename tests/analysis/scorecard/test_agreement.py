"""The same sufficient statistics give the same answers as tea-tasting and statsmodels.

To 1e-9 relative where the method is the same. What differs on purpose:

| ours | theirs | why |
| --- | --- | --- |
| covariate's weight from within the variants | tea-tasting: from all users as one sample | the |
|   effect itself would enter the weight; the same where the covariate's means are equal (of a |
|   ratio: where all means are, as it is linearised in each variant) |
| relative interval by Fieller | tea-tasting: delta method of the logarithm, own degrees of |
|   freedom | theirs can contradict the p-value; tested here: ours agrees with the p-value always |
| a share's variance p (1 - p) | tea-tasting's Mean: n - 1 in the denominator | it is a share |
| scorecard of shares: Newcombe's limits | Wald | that covers 1 % of cases at tiny rates |
| standard error infinite, p nan where no user differs in either sample | p = 0 or nan, an |
|   interval without width | nothing is known of the variance then |
| answers at all looks: the larger of a variant's own and the pooled variance, Student's with the |
|   smaller variant's degrees of freedom | none at all looks | a small variant's own variance |
|   falls with its mean; at one look ours is Welch's as theirs is |
| Barnard counts both tails' mirror tables | scipy drops one by rounding | tests/analysis/fixed |
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.oneway import anova_oneway
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportions_chisquare,
    proportions_ztest,
)
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW, ttost_ind
from tea_tasting.aggr import Aggregates
from tea_tasting.metrics import Mean, Proportion, RatioOfMeans, SampleRatio

from analysis.fixed.comparison import Sample, compare_means, compare_proportions, proportion_sample
from analysis.fixed.exact import fisher
from analysis.fixed.margins import equivalence
from analysis.fixed.proportions import z_test
from analysis.fixed.relative import relative_lift
from analysis.fixed.several_variants import compare_means as compare_several_means
from analysis.fixed.several_variants import compare_shares
from analysis.scorecard.multiplicity import benjamini_hochberg, benjamini_yekutieli, hochberg, holm
from analysis.users.estimates import Quantity, adjust, sample_of
from analysis.users.sums import Moments
from tests.builders.raw_sums import sum_values

EXACT = 1e-9
SEEDS = range(60)


def _close(ours: object, theirs: object, case: object) -> None:
    np.testing.assert_allclose(np.float64(ours), np.float64(theirs), rtol=EXACT, err_msg=str(case))  # type: ignore[arg-type]


def _counts(seed: int) -> tuple[tuple[int, int], tuple[int, int]]:
    rng = np.random.default_rng(seed)
    n = rng.integers(30, 200_000, 2)
    rate = 10 ** rng.uniform(-2.5, -0.3)
    x = np.clip(
        rng.binomial(n, np.minimum(rate * np.array([1.0, rng.uniform(0.8, 1.3)]), 0.9)), 1, n - 1
    )
    return (int(n[0]), int(n[1])), (int(x[0]), int(x[1]))


@pytest.mark.parametrize("seed", SEEDS)
def test_two_shares(seed: int) -> None:
    (n_b, n_c), (x_b, x_c) = _counts(seed)
    pooled = z_test((n_b, n_c), (x_b, x_c), pooled=True)
    z, p = proportions_ztest([x_c, x_b], [n_c, n_b])
    _close(pooled.statistic, z, seed)
    np.testing.assert_allclose(pooled.p_value, p, rtol=EXACT, atol=1e-300)
    comparison = compare_proportions(proportion_sample(n_b, x_b), proportion_sample(n_c, x_c))
    low, high = confint_proportions_2indep(x_c, n_c, x_b, n_b, method="wald")
    ours_low, ours_high = comparison.interval(comparison.fixed_multiplier(0.05))
    np.testing.assert_allclose([ours_low, ours_high], [low, high], rtol=EXACT, atol=1e-15)
    chi = proportions_chisquare([x_c, x_b], [n_c, n_b])
    _close(compare_shares(np.array([n_b, n_c]), np.array([x_b, x_c])).statistic, chi[0], seed)
    unpooled = z_test((n_b, n_c), (x_b, x_c), pooled=False)
    _close(unpooled.statistic, comparison.statistic, seed)


def _values(seed: int, users: int = 300) -> list[np.ndarray]:
    """Two variants' outcome, denominator, covariate and its denominator, raw."""
    rng = np.random.default_rng(seed)
    arms = []
    for lift in (1.0, rng.uniform(0.9, 1.2)):
        n = users + int(rng.integers(0, 100))
        level = rng.gamma(3, 1, n)
        views, before = rng.poisson(3 * level) + 1.0, rng.poisson(2 * level) + 1.0
        y = rng.poisson(lift * level) + rng.normal(size=n) * 0.1
        x = rng.poisson(level) + rng.normal(size=n) * 0.1
        arms.append(np.column_stack([y, views, x, before]))
    return arms


def _aggregates(values: np.ndarray) -> Aggregates:
    names = ("y", "views", "x", "before")
    covariance = np.cov(values.T)
    pairs = {
        (names[i], names[j]): covariance[i, j] for i, j in product(range(4), range(4)) if i < j
    }
    ordered = {tuple(sorted(key)): value for key, value in pairs.items()}
    return Aggregates(
        count_=len(values),
        mean_=dict(zip(names, values.mean(axis=0), strict=True)),
        var_=dict(zip(names, np.diag(covariance), strict=True)),
        cov_=ordered,
    )


def _moments(values: np.ndarray) -> Moments:
    return sum_values(values, shift=values.mean(axis=0)).sums.moments


def _same(comparison: Any, result: Any, seed: int) -> None:
    """Estimates, difference, interval and p-value of tea-tasting's result."""
    _close(comparison.baseline.mean, result.control, seed)
    _close(comparison.candidate.mean, result.treatment, seed)
    low, high = comparison.interval(comparison.fixed_multiplier(0.05))
    _close(low, result.effect_size_ci_lower, seed)
    _close(high, result.effect_size_ci_upper, seed)
    _close(comparison.p_value, result.pvalue, seed)
    _close(comparison.statistic, result.statistic, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_two_means(seed: int) -> None:
    control, treatment = _values(seed)
    arms = [sample_of(_moments(v), Quantity(0)) for v in (control, treatment)]
    comparison = compare_means(*arms)
    _same(
        comparison, Mean("y").analyze_aggregates(_aggregates(control), _aggregates(treatment)), seed
    )
    means = CompareMeans(DescrStatsW(treatment[:, 0]), DescrStatsW(control[:, 0]))
    t, p, degrees = means.ttest_ind(usevar="unequal")
    _close(comparison.statistic, t, seed)
    _close(comparison.p_value, p, seed)
    _close(comparison.degrees_of_freedom, degrees, seed)
    low, high = means.tconfint_diff(usevar="unequal")
    np.testing.assert_allclose(
        comparison.interval(comparison.fixed_multiplier(0.05)), [low, high], rtol=EXACT
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_two_ratios(seed: int) -> None:
    control, treatment = _values(seed)
    arms = [sample_of(_moments(v), Quantity(0, 1)) for v in (control, treatment)]
    result = RatioOfMeans("y", "views").analyze_aggregates(
        _aggregates(control), _aggregates(treatment)
    )
    _same(compare_means(*arms), result, seed)


def _balanced(values: list[np.ndarray], ratio: bool) -> list[np.ndarray]:
    """The same with the covariate's estimate equal in both variants: there the poolings agree."""
    first, second = (v.copy() for v in values)
    if ratio:
        wanted = first[:, 2].sum() / first[:, 3].sum()
        second[:, 2] *= wanted * second[:, 3].sum() / second[:, 2].sum()
    second[:, 2:] *= first[:, 2:].mean(axis=0) / second[:, 2:].mean(axis=0)
    return [first, second]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_mean_with_a_covariate(seed: int) -> None:
    control, treatment = _balanced(_values(seed), ratio=False)
    adjusted = adjust([_moments(control), _moments(treatment)], Quantity(0), [Quantity(2)])
    result = Mean("y", covariate="x").analyze_aggregates(
        _aggregates(control), _aggregates(treatment)
    )
    _same(compare_means(*adjusted.samples), result, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ratio_with_a_covariate(seed: int) -> None:
    """With all means alike, where linearising in each variant and over all users is the same."""
    control, treatment = _values(seed)
    treatment = treatment * (control.mean(axis=0) / treatment.mean(axis=0))
    adjusted = adjust([_moments(v) for v in (control, treatment)], Quantity(0, 1), [Quantity(2, 3)])
    result = RatioOfMeans("y", "views", "x", "before").analyze_aggregates(
        _aggregates(control), _aggregates(treatment)
    )
    comparison = compare_means(*adjusted.samples)
    _close(comparison.baseline.mean, result.control, seed)
    ours = comparison.interval(comparison.fixed_multiplier(0.05))
    theirs = (result.effect_size_ci_lower, result.effect_size_ci_upper)
    # The difference is 0 up to rounding, the width of the interval isn't.
    _close(ours[1] - ours[0], theirs[1] - theirs[0], seed)
    assert float(comparison.difference) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_ratio_with_uneven_means_differs_only_by_the_weight(seed: int) -> None:
    control, treatment = _values(seed)
    adjusted = adjust([_moments(v) for v in (control, treatment)], Quantity(0, 1), [Quantity(2, 3)])
    result = RatioOfMeans("y", "views", "x", "before").analyze_aggregates(
        _aggregates(control), _aggregates(treatment)
    )
    ours = compare_means(*adjusted.samples)
    error = float(ours.standard_error)
    assert float(ours.difference) == pytest.approx(result.effect_size, abs=0.05 * error)
    theirs = result.effect_size_ci_upper - result.effect_size_ci_lower
    low, high = ours.interval(ours.fixed_multiplier(0.05))
    assert float(high - low) == pytest.approx(theirs, rel=0.005)


@pytest.mark.parametrize("seed", SEEDS)
def test_shares_as_proportions(seed: int) -> None:
    """tea-tasting's Proportion: pooled and unpooled z, both intervals of the latter, Fisher's."""
    (n_b, n_c), (x_b, x_c) = _counts(seed)
    arms = [Aggregates(count_=n, mean_={"y": x / n}) for n, x in ((n_b, x_b), (n_c, x_c))]
    for pooled in (True, False):
        theirs = Proportion(
            "y", method="norm", correction=False, equal_var=pooled
        ).analyze_aggregates(*arms)
        ours = z_test((n_b, n_c), (x_b, x_c), pooled=pooled)
        np.testing.assert_allclose(ours.p_value, theirs.pvalue, rtol=EXACT, atol=1e-300)
    comparison = compare_proportions(proportion_sample(n_b, x_b), proportion_sample(n_c, x_c))
    z = comparison.fixed_multiplier(0.05)
    low, high = comparison.interval(z)
    np.testing.assert_allclose(
        [low, high],
        [theirs.effect_size_ci_lower, theirs.effect_size_ci_upper],
        rtol=EXACT,
        atol=1e-15,
    )
    lift = relative_lift(comparison, z, "log")
    if not lift.is_fieller:
        _close(1 + lift.lower, 1 + theirs.rel_effect_size_ci_lower, seed)
        _close(1 + lift.upper, 1 + theirs.rel_effect_size_ci_upper, seed)
    few = [Aggregates(count_=n, mean_={"y": x / n}) for n, x in ((40, 9), (30 + seed, seed // 3))]
    _close(
        fisher((40, 30 + seed), (9, seed // 3)),
        Proportion("y", method="fisher").analyze_aggregates(*few).pvalue,
        seed,
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_several_shares(seed: int) -> None:
    """Pearson's chi-square of three to six variants."""
    rng = np.random.default_rng(seed)
    variants = int(rng.integers(3, 7))
    n = rng.integers(50, 100_000, variants)
    x = rng.binomial(n, 0.2 + 0.02 * rng.random(variants))
    found = compare_shares(n.astype(np.float64), x.astype(np.float64))
    theirs = stats.chi2_contingency(np.stack([x, n - x]), correction=False)
    _close(found.statistic, theirs.statistic, seed)
    np.testing.assert_allclose(found.p_value, theirs.pvalue, rtol=EXACT, atol=1e-300)
    assert float(found.degrees) == theirs.dof == variants - 1
    chi_square, p_value, _ = proportions_chisquare(x, n)
    _close(found.statistic, chi_square, seed)
    np.testing.assert_allclose(found.p_value, p_value, rtol=EXACT, atol=1e-300)


@pytest.mark.parametrize("seed", SEEDS)
def test_several_means(seed: int) -> None:
    """Welch's analysis of variance of three to six variants."""
    rng = np.random.default_rng(seed)
    values = [
        rng.gamma(3, rng.uniform(0.8, 1.2), int(rng.integers(20, 300)))
        for _ in range(int(rng.integers(3, 7)))
    ]
    columns = ((len(v), v.mean(), v.var(ddof=1)) for v in values)
    found = compare_several_means(
        Sample(*(np.array(c, dtype=float) for c in zip(*columns, strict=True)))
    )
    theirs = anova_oneway(values, use_var="unequal", welch_correction=True)
    _close(found.statistic, theirs.statistic, seed)
    _close(found.degrees_within, theirs.df_denom, seed)
    _close(found.p_value, theirs.pvalue, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_covariate_with_unequal_means_differs_only_by_the_weight(seed: int) -> None:
    """Within the variants, not of all users: the weights differ by as much as the effect is."""
    control, treatment = _values(seed)
    adjusted = adjust([_moments(control), _moments(treatment)], Quantity(0), [Quantity(2)])
    result = Mean("y", covariate="x").analyze_aggregates(
        _aggregates(control), _aggregates(treatment)
    )
    ours = compare_means(*adjusted.samples)
    assert float(ours.difference) == pytest.approx(result.effect_size, abs=0.02)
    assert float(ours.p_value) == pytest.approx(result.pvalue, abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_relative_intervals_agree_with_the_p_value_where_logarithms_may_not(seed: int) -> None:
    control, treatment = _values(seed, users=40)
    comparison = compare_means(*(sample_of(_moments(v), Quantity(0)) for v in (control, treatment)))
    for alpha in (
        0.01,
        0.05,
        float(comparison.p_value) * 1.0001,
        float(comparison.p_value) * 0.9999,
    ):
        low, high = comparison.relative_interval(comparison.fixed_multiplier(alpha))
        assert bool((low > 0) | (high < 0)) == bool(comparison.p_value < alpha)


ADJUSTMENTS = {
    "holm": holm,
    "simes-hochberg": hochberg,
    "fdr_bh": benjamini_hochberg,
    "fdr_by": benjamini_yekutieli,
}


@pytest.mark.parametrize(("method", "seed"), product(ADJUSTMENTS, range(15)))
def test_corrections_for_many_tests(method: str, seed: int) -> None:
    p = np.random.default_rng(seed).random(seed + 2) ** 2
    np.testing.assert_allclose(
        ADJUSTMENTS[method](p), multipletests(p, method=method)[1], rtol=EXACT
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_equivalence(seed: int) -> None:
    control, treatment = (v[:, 0] for v in _values(seed))
    arms = [
        Sample(np.array(float(len(v))), np.array(v.mean()), np.array(v.var(ddof=1)))
        for v in (control, treatment)
    ]
    comparison = compare_means(*arms)
    margin = 0.3
    theirs = ttost_ind(treatment, control, -margin, margin, usevar="unequal")[0]
    ours = equivalence(
        comparison.difference,
        comparison.standard_error,
        comparison.degrees_of_freedom,
        margin=margin,
    )
    _close(ours.p_value, theirs, seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_split_of_users(seed: int) -> None:
    (n_b, n_c), _ = _counts(seed)
    from analysis.evidence import StageCounts  # noqa: PLC0415
    from analysis.quality.sample_ratio import check_sample_ratio  # noqa: PLC0415

    found = check_sample_ratio(
        [StageCounts({"a": n_b, "b": n_c}, {"a": 0.5, "b": 0.5})], tolerance=0.01
    )
    assert found is not None
    theirs = SampleRatio(method="norm", correction=False).analyze(
        {0: Aggregates(count_=n_b), 1: Aggregates(count_=n_c)}, 0, 1
    )
    np.testing.assert_allclose(found.chi_square_p_value, theirs.pvalue, rtol=EXACT, atol=1e-300)


def test_there_are_at_least_six_hundred_cases() -> None:
    exact = (test_two_shares, test_two_means, test_two_ratios, test_a_mean_with_a_covariate)
    more = (test_equivalence, test_the_split_of_users, test_a_ratio_with_a_covariate)
    several = (test_shares_as_proportions, test_several_shares, test_several_means)
    assert len(SEEDS) * len(exact + more + several) + 15 * len(ADJUSTMENTS) >= 600
