"""Two samples of users against scipy, worked numbers, and their own consistency."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analysis.fixed.comparison import (
    Comparison,
    Sample,
    compare_means,
    compare_proportions,
    mean_sample,
    proportion_sample,
)


def test_welch_agrees_with_scipy() -> None:
    ours = compare_means(mean_sample(40, 10.0, 4.0), mean_sample(25, 11.2, 9.0))
    theirs = stats.ttest_ind_from_stats(11.2, 3.0, 25, 10.0, 2.0, 40, equal_var=False)
    assert float(ours.p_value) == pytest.approx(float(theirs.pvalue), rel=1e-9)
    assert float(ours.statistic) == pytest.approx(float(theirs.statistic), rel=1e-12)


def test_two_proportions_worked_example() -> None:
    found = compare_proportions(proportion_sample(2000, 200), proportion_sample(2000, 240))
    multiplier = found.fixed_multiplier(0.05)
    by_hand = 2 * stats.norm.sf(0.02 / np.sqrt(4.5e-5 + 5.28e-5))
    assert float(found.p_value) == pytest.approx(float(by_hand), rel=1e-9)
    assert float(found.p_value) == pytest.approx(0.04314, abs=5e-6)
    assert float(multiplier) == pytest.approx(1.959964, abs=1e-6)
    low, high = found.relative_interval(multiplier)
    assert float(low) == pytest.approx(0.005666, abs=1e-6)
    assert float(high) == pytest.approx(0.436552, abs=1e-6)


def test_relative_interval_is_unbounded_when_the_baseline_may_be_zero() -> None:
    found = compare_means(mean_sample(20, 0.1, 4.0), mean_sample(20, 0.5, 4.0))
    low, high = found.relative_interval(found.fixed_multiplier(0.05))
    assert (float(low), float(high)) == (-np.inf, np.inf)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    scale=st.floats(-9, 9).map(lambda power: 10.0**power),
    offset=st.sampled_from([3.0, -3.0, 1e3, 1e6, -1e9]),
)
def test_zero_lies_in_both_intervals_or_in_neither(seed: int, scale: float, offset: float) -> None:
    """To the last digit, where differences are a billionth of the means or the ends touch zero."""
    rng = np.random.default_rng(seed)
    size = 500
    n, variance = np.round(10 ** rng.uniform(0.5, 7, (2, size))), rng.gamma(2, 1, (2, size))
    means = offset + rng.normal(0, 2, (2, size)) * np.sqrt(variance / n)
    found = compare_means(
        *(mean_sample(n[i], scale * means[i], scale**2 * variance[i]) for i in (0, 1))
    )
    touching = np.abs(found.statistic)
    for z in (found.fixed_multiplier(0.05), touching, np.nextafter(touching, 0)):
        (low, high), (relative_low, relative_high) = found.interval(z), found.relative_interval(z)
        bounded = np.isfinite(relative_low)
        assert np.mean(bounded) > 0.9 or abs(offset) < 10
        np.testing.assert_array_equal(relative_low[bounded] > 0, low[bounded] > 0)
        np.testing.assert_array_equal(relative_high[bounded] < 0, high[bounded] < 0)
        assert np.all(relative_low <= relative_high)


@pytest.mark.parametrize("offset", [1e-9, 1.0, 1e9, -1e9])
def test_relative_interval_of_a_sure_baseline_is_the_absolute_one_over_it(offset: float) -> None:
    arms = mean_sample(1e6, offset, offset**2 * 1e-18), mean_sample(1e6, offset, offset**2 * 2e-18)
    found = compare_means(*arms)
    absolute, relative = found.interval(1.96), found.relative_interval(1.96)
    assert float(relative[1]) > 0
    np.testing.assert_allclose(relative, np.array(absolute) / abs(offset), rtol=1e-9)


@given(
    baseline=st.floats(0.5, 50) | st.floats(-50, -0.5),
    candidate=st.floats(-50, 50),
    z=st.floats(0.5, 4),
)
def test_ends_of_a_relative_interval_are_lifts_that_just_pass_the_test(
    baseline: float, candidate: float, z: float
) -> None:
    found = compare_means(mean_sample(400, baseline, 5.0), mean_sample(90, candidate, 8.0))
    for lift in map(float, found.relative_interval(z)):
        if np.isfinite(lift):
            factor = 1 + np.sign(baseline) * lift
            error = np.sqrt(8 / 90 + factor**2 * 5 / 400)
            assert abs(candidate - factor * baseline) == pytest.approx(z * error, rel=1e-6)


def test_smaller_loss_is_a_rise() -> None:
    found = compare_means(mean_sample(500, -10.0, 4.0), mean_sample(500, -9.0, 4.0))
    low, high = found.relative_interval(found.fixed_multiplier(0.05))
    assert 0 < float(low) < 0.1 < float(high)


@given(x_b=st.integers(20, 400), x_c=st.integers(0, 500), multiplier=st.floats(1.0, 3.5))
def test_absolute_and_relative_interval_never_contradict(
    x_b: int, x_c: int, multiplier: float
) -> None:
    found = compare_proportions(proportion_sample(500, x_b), proportion_sample(500, x_c))
    low, high = found.interval(multiplier)
    relative_low, relative_high = found.relative_interval(multiplier)
    clear = min(abs(float(low)), abs(float(high))) > 1e-9
    if clear and np.isfinite(relative_low):
        assert (low > 0) == (relative_low > 0)
        assert (high < 0) == (relative_high < 0)


@pytest.mark.parametrize(("n", "p"), [(200, 0.3), (2000, 0.05)])
def test_interval_covers_the_true_difference(n: int, p: float) -> None:
    rng = np.random.default_rng(7)
    runs = 20_000
    found = compare_proportions(
        proportion_sample(n, rng.binomial(n, p, runs)),
        proportion_sample(n, rng.binomial(n, p + 0.03, runs)),
    )
    low, high = found.interval(found.fixed_multiplier(0.05))
    covered = ((low <= 0.03) & (high >= 0.03)).mean()
    assert covered >= 0.95 - 0.006


def test_without_users_nothing_is_claimed() -> None:
    found = compare_proportions(proportion_sample(0, 0), proportion_sample(10, 3))
    low, high = found.relative_interval(2.0)
    assert np.isnan(found.difference)
    assert (float(low), float(high)) == (-np.inf, np.inf)


@pytest.mark.parametrize("compare", [compare_means, compare_proportions])
def test_where_no_user_differs_nothing_is_claimed(
    compare: Callable[[Sample, Sample], Comparison],
) -> None:
    """5, 5 against 7, 7 is no proof of +40 %, nor is 0 of 1 against 1 of 1."""
    found = compare(mean_sample(2, 5.0, 0.0), mean_sample(2, 7.0, 0.0))
    assert np.isnan(found.p_value)
    bounds = found.bounds(found.fixed_multiplier(0.05))
    assert (float(bounds.lower), float(bounds.upper)) == (-np.inf, np.inf)
    assert (float(bounds.relative_lower), float(bounds.relative_upper)) == (-np.inf, np.inf)
    one_varies = compare(mean_sample(20, 0.5, 0.25), mean_sample(20, 0.7, 0.0))
    assert np.isfinite(one_varies.p_value)
