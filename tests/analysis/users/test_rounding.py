"""What rounding leaves of sums is no evidence: a constant has no variance, nothing has no mean."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.fixed.comparison import Sample, compare_means
from analysis.users.estimates import Quantity, adjust, sample_of
from analysis.users.post_stratification import post_stratify
from analysis.users.sums import Sums

FloatArray = NDArray[np.float64]
SIZES = [2, 10, 2000, 300_000]
SHIFTS = [0.0, 0.0952700001, 1.0, 1e6]


def _one_by_one(values: FloatArray, shift: FloatArray) -> Sums:
    """Sums as a database forms them, one addition after the other: equal values round alike."""
    y = values - shift
    products = np.cumsum(y[:, :, None] * y[:, None, :], axis=0)[-1]
    return Sums(np.array(float(len(y))), shift, np.cumsum(y, axis=0)[-1], products)


def _claims_nothing(baseline: Sample, candidate: Sample) -> bool:
    found = compare_means(baseline, candidate)
    return bool(np.isinf(found.standard_error)) and bool(np.isnan(found.p_value))


@pytest.mark.parametrize("users", SIZES)
@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("value", [0.04, -0.1, 1 / 3, 1234.5678])
def test_a_constant_claims_nothing(users: int, shift: float, value: float) -> None:
    c = np.array([shift])
    arms = [_one_by_one(np.full((n, 1), value), c).moments for n in (users, 3 * users)]
    assert all(float(m.covariance[0, 0]) == 0 for m in arms)
    assert _claims_nothing(*(sample_of(m, Quantity(0)) for m in arms))


@pytest.mark.parametrize("users", SIZES)
@pytest.mark.parametrize("shift", SHIFTS[1:])
def test_nothing_over_nothing_is_no_ratio(users: int, shift: float) -> None:
    sums = _one_by_one(np.zeros((users, 2)), np.array([shift, 3.1 * shift]))
    moments = sums.moments
    np.testing.assert_array_equal(moments.mean, [0.0, 0.0])
    assert np.isnan(sample_of(moments, Quantity(0, 1)).mean)


def _views(rng: np.random.Generator, users: int) -> FloatArray:
    return rng.poisson(3, users).astype(np.float64) + 1


def _fixed_ratio(rng: np.random.Generator, users: int) -> tuple[Sample, ...]:
    """Everybody clicks 0.1 of what they view."""
    views = [_views(rng, n) for n in (users, users + 3)]
    arms = [_one_by_one(np.column_stack([0.1 * v, v]), np.array([0.3, 3.0])) for v in views]
    return tuple(sample_of(each.moments, Quantity(0, 1)) for each in arms)


def _told_by_the_covariate(rng: np.random.Generator, users: int) -> tuple[Sample, ...]:
    """The outcome is what it was before, three times as much and 0.2 more."""
    before = [_views(rng, n) for n in (users, users + 3)]
    arms = [_one_by_one(np.column_stack([3 * x + 0.2, x]), np.array([9.0, 3.0])) for x in before]
    return adjust([each.moments for each in arms], Quantity(0), [Quantity(1)]).samples


def _told_by_the_stratum(rng: np.random.Generator, users: int) -> tuple[Sample, ...]:
    """Within a stratum all users are alike, and the effect is the same in each."""
    arms = [
        [_one_by_one(np.full((n, 1), value + effect), np.zeros(1)) for value in (0.1, 7.3, 20.7)]
        for n, effect in ((users, 0.0), (users + 3, 0.2))
    ]
    return post_stratify(arms, Quantity(0)).samples


def _fixed_ratio_within_strata(rng: np.random.Generator, users: int) -> tuple[Sample, ...]:
    arms = []
    for n in (users, users + 3):
        views = [_views(rng, n) + more for more in (0, 2)]
        arms.append(
            [_one_by_one(np.column_stack([0.1 * v, v]), np.array([0.3, 3.0])) for v in views]
        )
    return post_stratify(arms, Quantity(0, 1)).samples


@pytest.mark.parametrize("users", [20, 2000, 100_000])
@pytest.mark.parametrize(
    "arms",
    [_fixed_ratio, _told_by_the_covariate, _told_by_the_stratum, _fixed_ratio_within_strata],
)
def test_what_is_told_exactly_claims_nothing(
    arms: Callable[[np.random.Generator, int], tuple[Sample, ...]], users: int
) -> None:
    baseline, candidate = arms(np.random.default_rng(users), users)
    assert _claims_nothing(baseline, candidate)


@pytest.mark.parametrize("shifts", [(0.0, 1e5), (1e5, 0.0), (3.0, 1e5, -7.0)])
def test_moved_sums_of_a_constant_claim_nothing(shifts: tuple[float, ...]) -> None:
    days = [_one_by_one(np.full((5000, 1), 0.04), np.array([shift])) for shift in shifts]
    total = days[0]
    for day in days[1:]:
        total = total + day
    for moved in (total, total.at([0.05]), total.at([2e5]).at([0.05])):
        assert float(moved.moments.covariance[0, 0]) == 0


def test_the_users_left_when_others_are_taken_away_claim_nothing_if_alike() -> None:
    rng = np.random.default_rng(4)
    shift = np.array([40.0])
    others = rng.normal(100, 30, (50_000, 1))
    rest = np.full((40, 1), 0.04)
    whole = _one_by_one(np.concatenate([others, rest]), shift)
    left = whole.without(_one_by_one(others, shift))
    assert float(left.n) == 40
    assert float(left.moments.covariance[0, 0]) == 0


@pytest.mark.parametrize(("users", "spread"), [(10, 1e-6), (2000, 1e-5), (300_000, 1e-4)])
def test_a_small_variance_that_the_sums_do_hold_is_kept(users: int, spread: float) -> None:
    """Sums about 0 of values near 1; with a shift near the mean far smaller ones are held."""
    values = 1 + spread * np.random.default_rng(5).normal(size=(users, 1))
    found = _one_by_one(values, np.zeros(1)).moments
    assert float(found.covariance[0, 0]) == pytest.approx(values.var(ddof=1), rel=0.2)
    shifted = 1 + 1e-4 * (values - 1)
    about_one = _one_by_one(shifted, np.ones(1)).moments
    assert float(about_one.covariance[0, 0]) == pytest.approx(shifted.var(ddof=1), rel=1e-3)


def test_a_rare_event_among_many_users_is_still_a_mean() -> None:
    users = 10_000_000.0
    sums = Sums(
        np.array(users),
        np.array([0.1]),
        np.array([1 - 0.1 * users]),
        np.array([[0.81 + 0.01 * (users - 1)]]),
    )
    assert float(sums.moments.mean[0]) == pytest.approx(1e-7, rel=1e-6)
    assert float(sums.moments.covariance[0, 0]) == pytest.approx(1e-7, rel=0.1)
