"""Planned looks: published boundaries, exact error, and intervals that agree with them."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from analysis.sequential.group_sequential import (
    obrien_fleming_spending,
    power_spending,
    repeated_p_value,
    spend_alpha,
)
from tests.analysis.sequential.paths import at_most

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]


def test_worked_example_of_t_squared() -> None:
    found = spend_alpha(FIFTHS, alpha=0.05)
    assert found.z == pytest.approx([3.0902, 2.7141, 2.4728, 2.2799, 2.1140], abs=6e-5)
    assert found.spent == pytest.approx(0.025 * np.square(FIFTHS))


def test_published_obrien_fleming_boundaries() -> None:
    # Lan, DeMets 1983 and every table since, two-sided 0.05, five looks.
    found = spend_alpha(FIFTHS, alpha=0.05, spending=obrien_fleming_spending())
    assert found.z == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_one_look_is_the_fixed_test() -> None:
    for spending in (power_spending(), power_spending(1), obrien_fleming_spending()):
        assert spend_alpha([1.0], alpha=0.05, spending=spending).z[0] == pytest.approx(1.959964)
    assert spend_alpha([1.0], alpha=0.05, two_sided=False).z[0] == pytest.approx(1.644854)


def test_naive_looks_reproduce_armitage() -> None:
    """With z = 1.96 at each of k looks the error is .083 (k = 2) and .142 (k = 5)."""
    rng, runs = np.random.default_rng(2), 200_000
    score = rng.normal(size=(runs, 5)).cumsum(axis=1) / np.sqrt(np.arange(1, 6))
    naive = (np.abs(score) > 1.959964).cumsum(axis=1) > 0
    assert naive.mean(axis=0)[[0, 1, 4]] == pytest.approx([0.05, 0.083, 0.142], abs=0.003)
    planned = np.abs(score) > spend_alpha(FIFTHS, alpha=0.05).z
    stopped = (planned.cumsum(axis=1) > 0).mean(axis=0)
    assert stopped == pytest.approx(0.05 * np.square(FIFTHS), abs=0.0016)


def test_looks_at_odd_times_spend_what_is_allowed() -> None:
    times = [0.03, 0.31, 0.33, 0.9, 1.0]
    rng, runs = np.random.default_rng(3), 200_000
    steps = np.sqrt(np.diff([0.0, *times]))
    z = (rng.normal(size=(runs, 5)) * steps).cumsum(axis=1) / np.sqrt(times)
    for two_sided in (True, False):
        found = spend_alpha(times, alpha=0.1, spending=power_spending(1), two_sided=two_sided)
        beyond = (np.abs(z) if two_sided else z) > found.z
        assert (beyond.cumsum(axis=1) > 0).mean(axis=0) == pytest.approx(
            0.1 * np.array(times), abs=0.003
        )


def test_a_hundred_looks_hold_alpha_and_end_near_the_fixed_test() -> None:
    rng, runs = np.random.default_rng(4), 20_000
    times = np.arange(1, 101) / 100
    found = spend_alpha(times.tolist(), alpha=0.05)
    z = rng.normal(size=(runs, 100)).cumsum(axis=1) / np.sqrt(np.arange(1, 101))
    alarms = (np.abs(z) > found.z).any(axis=1).mean()
    assert 0.04 < alarms <= at_most(0.05, runs)
    assert 2.1 < found.z[-1] < 2.4


def test_nothing_is_left_after_the_planned_end() -> None:
    found = spend_alpha([0.5, 1.0, 1.2], alpha=0.05)
    assert found.z[2] == np.inf


def test_intervals_exclude_zero_where_the_boundary_is_crossed() -> None:
    found = spend_alpha(FIFTHS, alpha=0.05)
    z = np.array([3.2, 2.6, 2.5, -2.3, 2.0])
    lower, upper = found.interval(z * 0.1, 0.1)
    assert ((lower > 0) | (upper < 0)).tolist() == [True, False, True, True, False]


def test_repeated_p_values_are_alpha_at_the_boundary() -> None:
    for alpha in (0.05, 1e-6):
        z = spend_alpha(FIFTHS, alpha=alpha).z
        assert repeated_p_value(z, FIFTHS) == pytest.approx(np.full(5, alpha), rel=1e-4)
    assert repeated_p_value([2.5], [1.0])[0] == pytest.approx(2 * ndtr(-2.5), rel=1e-5)
    assert repeated_p_value([float(ndtri(0.5))], [0.5])[0] == pytest.approx(1.0)


@pytest.mark.parametrize("times", [[], [0.0, 1.0], [0.5, 0.5]])
def test_looks_out_of_order_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="information is"):
        spend_alpha(times, alpha=0.05)
