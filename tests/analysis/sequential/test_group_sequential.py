"""Planned looks: published boundaries, and exact error."""

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from analysis.arrays import FloatArray
from analysis.sequential.group_sequential import spend_alpha
from tests.analysis.sequential.paths import at_most

FIFTHS = [0.2, 0.4, 0.6, 0.8, 1.0]


def _spent(times: list[float], alpha: float) -> FloatArray:
    """Probability of having stopped by then: O'Brien and Fleming's spending, on both sides."""
    return np.asarray(4 * ndtr(ndtri(alpha / 4) / np.sqrt(times)))


def test_published_obrien_fleming_boundaries() -> None:
    # Lan, DeMets 1983 and every table since, two-sided 0.05, five looks.
    found = spend_alpha(FIFTHS, alpha=0.05)
    assert found == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)


def test_one_look_is_the_fixed_test() -> None:
    assert spend_alpha([1.0], alpha=0.05)[0] == pytest.approx(1.959964)


def test_naive_looks_reproduce_armitage() -> None:
    """With z = 1.96 at each of k looks the error is .083 (k = 2) and .142 (k = 5)."""
    rng, runs = np.random.default_rng(2), 200_000
    score = rng.normal(size=(runs, 5)).cumsum(axis=1) / np.sqrt(np.arange(1, 6))
    naive = (np.abs(score) > 1.959964).cumsum(axis=1) > 0
    assert naive.mean(axis=0)[[0, 1, 4]] == pytest.approx([0.05, 0.083, 0.142], abs=0.003)
    planned = np.abs(score) > spend_alpha(FIFTHS, alpha=0.05)
    stopped = (planned.cumsum(axis=1) > 0).mean(axis=0)
    assert stopped == pytest.approx(_spent(FIFTHS, 0.05), abs=0.0016)


def test_looks_at_odd_times_spend_what_is_allowed() -> None:
    times = [0.03, 0.31, 0.33, 0.9, 1.0]
    rng, runs = np.random.default_rng(3), 200_000
    steps = np.sqrt(np.diff([0.0, *times]))
    z = (rng.normal(size=(runs, 5)) * steps).cumsum(axis=1) / np.sqrt(times)
    beyond = np.abs(z) > spend_alpha(times, alpha=0.1)
    stopped = (beyond.cumsum(axis=1) > 0).mean(axis=0)
    assert stopped == pytest.approx(_spent(times, 0.1), abs=0.003)


def test_a_hundred_looks_hold_alpha_and_end_near_the_fixed_test() -> None:
    rng, runs = np.random.default_rng(4), 20_000
    times = np.arange(1, 101) / 100
    found = spend_alpha(times.tolist(), alpha=0.05)
    z = rng.normal(size=(runs, 100)).cumsum(axis=1) / np.sqrt(np.arange(1, 101))
    alarms = (np.abs(z) > found).any(axis=1).mean()
    assert 0.04 < alarms <= at_most(0.05, runs)
    assert 2.0 < found[-1] < 2.2


def test_nothing_is_left_after_the_planned_end() -> None:
    assert spend_alpha([0.5, 1.0, 1.2], alpha=0.05)[2] == np.inf


@pytest.mark.parametrize("times", [[], [0.0, 1.0], [0.5, 0.5]])
def test_looks_out_of_order_are_refused(times: list[float]) -> None:
    with pytest.raises(ValueError, match="information is"):
        spend_alpha(times, alpha=0.05)
