"""Sums are exact, add up, and leave out what isn't a number."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from analysis.fixed.comparison import compare_means
from analysis.users.estimates import Quantity, adjust, sample_of
from analysis.users.guarded_comparison import compare_guarded
from analysis.users.sums import Sums
from tests.builders.raw_sums import sum_values


def _values(seed: int, users: int, mean: float) -> np.ndarray:
    return mean + np.random.default_rng(seed).normal(size=(users, 3))


@pytest.mark.parametrize("mean", [0.0, 1e3, 1e9])
def test_moments_equal_exact_arithmetic_even_for_means_of_a_billion(mean: float) -> None:
    values = _values(1, 500, mean)
    moments = sum_values(values).sums.moments
    exact = [[Fraction(x) for x in column] for column in values.T]
    means = [sum(column) / len(column) for column in exact]
    for i in range(3):
        assert moments.mean[i] == pytest.approx(float(means[i]), rel=1e-15)
        for j in range(3):
            products = zip(exact[i], exact[j], strict=True)
            covariance = sum((x - means[i]) * (y - means[j]) for x, y in products) / 499
            assert moments.covariance[i, j] == pytest.approx(
                float(covariance), rel=1e-11, abs=1e-13
            )


def test_days_add_up_to_the_whole_whatever_their_shifts() -> None:
    values = _values(2, 900, 1e6)
    whole = sum_values(values, shift=1e6).sums.moments
    days = [sum_values(part).sums for part in np.array_split(values, 7)]
    merged = days[0]
    for day in days[1:]:
        merged = merged + day
    assert merged.moments.n == 900
    np.testing.assert_allclose(merged.moments.mean, whole.mean, rtol=1e-15)
    np.testing.assert_allclose(merged.moments.covariance, whole.covariance, rtol=1e-9, atol=1e-12)


def test_a_trillion_users_lose_no_digits() -> None:
    """1e12 users, half at 1e9 + 1 and half at 1e9 - 1: mean 1e9, variance 1."""
    n, ones = np.array(1e12), np.ones((1, 1))
    sums = Sums(n, np.array([1e9]), np.array([0.0]), n * ones)
    moved = sums.at([1e9 + 3.0])
    for each in (sums, moved):
        assert each.moments.mean[0] == 1e9
        assert each.moments.covariance[0, 0] == pytest.approx(1.0, rel=1e-10)


def test_users_with_nan_or_infinity_are_counted_and_left_out() -> None:
    values = np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, np.inf], [5.0, 4.0]])
    found = sum_values(values)
    assert found.excluded == 2
    np.testing.assert_array_equal(found.sums.moments.mean, [3.0, 3.0])


def test_nobody_has_no_mean_and_one_user_no_variance() -> None:
    nobody = sum_values(np.empty((0, 2))).sums.moments
    assert np.isnan(nobody.mean).all()
    one = sum_values([[2.0, 3.0]]).sums.moments
    np.testing.assert_array_equal(one.mean, [2.0, 3.0])
    assert np.isnan(one.covariance).all()


def test_equal_values_have_a_variance_of_zero() -> None:
    moments = sum_values(np.full((1000, 1), 0.1), shift=[0.3]).sums.moments
    assert moments.covariance[0, 0] == 0


def test_cells_are_summed_along_an_axis() -> None:
    values = _values(3, 60, 10.0)
    days = [sum_values(part, shift=10.0).sums for part in np.array_split(values, 4)]
    stacked = Sums(*(np.stack([getattr(d, f) for d in days]) for f in Sums.__slots__))
    np.testing.assert_allclose(stacked.summed(0).moments.covariance, np.cov(values.T), rtol=1e-12)
    apart = Sums(
        stacked.n, stacked.shift + np.arange(4.0)[:, None], stacked.total, stacked.products
    )
    with pytest.raises(ValueError, match="shifts differ"):
        apart.summed(0)


@pytest.mark.parametrize("level", [1e9, -1e9, 1e9 + 0.123456])
def test_a_tiny_difference_of_large_means_keeps_its_digits(level: float) -> None:
    """1e12 users, means of 1e9 that are 5e-6 apart: a mean's last digit is 1e-7."""
    n, c = np.array(1e12), np.array([level])
    sums = [Sums(n, c, np.array([d * 1e12]), np.array([[1e12]])) for d in (0.0, 5e-6)]
    arms = [sample_of(each.moments, Quantity(0)) for each in sums]
    for found in (compare_means(*arms), compare_guarded(*arms, is_share=False)):
        assert float(found.difference) == pytest.approx(5e-6, rel=1e-12)
        relative = found.relative_interval(1.96)
        assert np.mean(relative) == pytest.approx(5e-6 / 1e9, rel=1e-6)
    covered = [replace(each, shift=np.append(c, 0.0), total=np.append(each.total, 0.0),
                       products=np.diag([1e12, 0.0])) for each in sums]  # fmt: skip
    adjusted = adjust([each.moments for each in covered], Quantity(0), [Quantity(1)])
    difference = compare_means(*adjusted.samples).difference
    assert float(difference) == pytest.approx(5e-6, rel=1e-12)
