"""Estimates from moments: ratios, covariates, strata; against published and simulated values."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.fixed.comparison import Sample, compare_means
from analysis.users.estimates import (
    Quantity,
    adjust,
    least_squares,
    sample_of,
    stratified_samples,
)
from analysis.users.sums import Moments, Sums
from tests.builders.raw_sums import sum_values


def _moments(n: float, sums: tuple[float, float], products: tuple[float, float, float]) -> Moments:
    """From plain sums of two quantities: their sums, squares and cross product."""
    first, second, cross = products
    matrix = [[first, cross], [cross, second]]
    sums_of = (np.array(x, dtype=np.float64) for x in (n, (0, 0), sums, matrix))
    return Sums(*sums_of).moments


def test_cuped_equals_the_published_example_but_for_the_pooling() -> None:
    """The reference pools the variants' total covariance, between variants too; ours within."""
    adjusted = adjust(
        [_moments(3001, (300, 210), (600, 415, 150)), _moments(3000, (322, 220), (655, 405, 160))],
        Quantity(0),
        [Quantity(1)],
    )
    comparison = compare_means(*adjusted.samples)
    assert adjusted.coefficients[0] == pytest.approx(0.3363338, rel=2e-4)
    assert comparison.difference == pytest.approx(0.00623770, rel=3e-5)
    assert comparison.standard_error == pytest.approx(0.01106151, rel=1e-6)
    assert comparison.p_value == pytest.approx(0.572836, rel=2e-5)


def test_ratio_of_two_sums_equals_the_published_example() -> None:
    arms = [
        sample_of(_moments(n, sums, products), Quantity(0, 1))
        for n, sums, products in (
            (5000, (2650, 10050), (6100, 26500, 8000)),
            (5050, (2890, 10100), (6900, 26800, 8500)),
        )
    ]
    comparison = compare_means(*arms)
    assert [float(arm.mean) for arm in arms] == pytest.approx([0.2636816, 0.2861386], abs=5e-8)
    assert comparison.difference == pytest.approx(0.0224570, abs=5e-8)
    assert comparison.standard_error == pytest.approx(0.0088514, abs=5e-8)
    assert comparison.p_value == pytest.approx(0.01119, abs=5e-6)


def test_post_stratification_equals_the_published_example() -> None:
    def arm(rows: list[tuple[float, float, float]]) -> Sample:
        n, total, squares = np.array(rows).T
        return Sample(n, total / n, (squares - total**2 / n) / (n - 1))

    strata = [
        arm([(4000, 8000, 20000), (1500, 9000, 60000)]),
        arm([(4100, 8400, 21300), (1400, 8600, 58800)]),
    ]
    samples, removed = stratified_samples(strata)
    comparison = compare_means(*samples)
    assert comparison.difference == pytest.approx(0.0735825, abs=5e-8)
    assert comparison.standard_error == pytest.approx(0.0257894, rel=2e-4)
    assert removed == pytest.approx(1 - (0.0257894 / 0.0426) ** 2, rel=0.01)


def _two_arms(seed: int, users: int) -> tuple[Moments, Moments]:
    """Outcome on two covariates of weights 0.8 and -0.5, noise 1; effect 0.1."""
    rng = np.random.default_rng(seed)
    arms = []
    for effect in (0.0, 0.1):
        x = rng.normal(size=(users, 2)) @ np.array([[1.0, 0.4], [0.0, 1.0]])
        y = effect + x @ [0.8, -0.5] + rng.normal(size=users)
        arms.append(sum_values(np.column_stack([y, x])).sums.moments)
    return arms[0], arms[1]


def test_several_covariates_give_the_least_squares_fit_with_a_constant_per_variant() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(400, 2))
    arm = np.repeat([0.0, 1.0], 200)
    y = 0.3 * arm + x @ [1.5, -2.0] + rng.normal(size=400)
    values = np.column_stack([y, x])
    halves = [sum_values(values[arm == a]).sums.moments for a in (0, 1)]
    adjusted = adjust(halves, Quantity(0), [Quantity(1), Quantity(2)])
    design = np.column_stack([np.ones(400), arm, x])
    fit = np.linalg.lstsq(design, y, rcond=None)[0]
    np.testing.assert_allclose(adjusted.coefficients, fit[2:], rtol=1e-10)
    effect = adjusted.samples[1].mean - adjusted.samples[0].mean
    assert effect == pytest.approx(fit[1], rel=1e-10)


def test_covariates_remove_the_variance_that_they_explain() -> None:
    adjusted = adjust(_two_arms(5, 20_000), Quantity(0), [Quantity(1), Quantity(2)])
    explained = 0.8**2 * 1 + 0.25 * 1.16 - 2 * 0.8 * 0.5 * 0.4
    assert adjusted.variance_removed == pytest.approx(explained / (explained + 1), abs=0.01)
    alone = adjust(_two_arms(5, 20_000), Quantity(0), [Quantity(1)])
    assert alone.variance_removed < adjusted.variance_removed


def test_a_constant_or_repeated_covariate_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    arms = []
    for _ in range(2):
        x = rng.normal(size=500)
        y = x + rng.normal(size=500)
        arms.append(sum_values(np.column_stack([y, x, x, np.full(500, 7.0)])).sums.moments)
    once = adjust(arms, Quantity(0), [Quantity(1)])
    all_three = adjust(arms, Quantity(0), [Quantity(1), Quantity(2), Quantity(3)])
    np.testing.assert_allclose(
        [s.mean for s in all_three.samples], [s.mean for s in once.samples], rtol=1e-9
    )
    assert np.isfinite(all_three.coefficients).all()


def test_adjusted_ratio_is_unbiased_and_its_interval_holds() -> None:
    """Clicks per view on clicks per view before: coverage of 95 % intervals, 400 experiments."""
    rng = np.random.default_rng(7)
    truth, covered, removed = 0.4, 0, []
    for _ in range(400):
        arms = []
        for _arm in range(2):
            rate = rng.beta(4, 6, size=600)
            views, before = rng.poisson(5, size=600) + 1, rng.poisson(8, size=600) + 1
            y = np.column_stack(
                [rng.binomial(views, rate), views, rng.binomial(before, rate), before]
            )
            arms.append(sum_values(y).sums.moments)
        adjusted = adjust(arms, Quantity(0, 1), [Quantity(2, 3)])
        comparison = compare_means(*adjusted.samples)
        low, high = comparison.interval(1.96)
        covered += bool(low <= 0 <= high)
        removed.append(float(adjusted.variance_removed))
        assert adjusted.samples[0].mean == pytest.approx(truth, abs=0.06)
    assert covered / 400 > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(removed) > 0.15


def test_thousands_of_cells_are_adjusted_at_once_as_each_alone() -> None:
    cells = [_two_arms(seed, 50) for seed in range(20)]
    stacked = [
        Moments(*(np.stack([getattr(cell[arm], f) for cell in cells]) for f in Moments.__slots__))
        for arm in (0, 1)
    ]
    together = adjust(stacked, Quantity(0), [Quantity(1), Quantity(2)])
    for i, cell in enumerate(cells):
        alone = adjust(cell, Quantity(0), [Quantity(1), Quantity(2)])
        np.testing.assert_allclose(together.coefficients[i], alone.coefficients, rtol=1e-9)
        np.testing.assert_allclose(
            together.samples[1].variance[i], alone.samples[1].variance, rtol=1e-9
        )


def test_a_denominator_of_zero_gives_no_ratio() -> None:
    empty = sum_values([[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]).sums.moments
    assert np.isnan(sample_of(empty, Quantity(0, 1)).mean)


def test_the_last_digits_of_sums_decide_nothing_where_covariates_repeat_each_other() -> None:
    """Those of few users often do; sums that are kept by day are added in another order."""
    x = np.array([1.0, 2.0, 4.0])
    values = np.stack([[3.0, 5.0, 4.0], x, 2 * x])
    squares = values @ values.T
    exact = least_squares(squares)
    for seed in range(5):
        noise = 1e-13 * np.random.default_rng(seed).standard_normal((3, 3))
        found = least_squares(squares * (1 + noise + noise.T))
        np.testing.assert_allclose(found, exact, rtol=1e-6)
