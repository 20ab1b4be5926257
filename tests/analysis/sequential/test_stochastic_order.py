"""Whole distributions at every look: worked band, who is slower, validity by simulation."""

import numpy as np
import pytest

from analysis.sequential.stochastic_order import (
    band_radius,
    order_by_block,
    order_of_buckets,
    order_of_values,
)
from tests.analysis.sequential.paths import at_most, ever_alarms_two
from tests.analysis.sequential.test_quantiles import CANARY, CONTROL


def test_worked_example_of_the_band() -> None:
    radius = band_radius([50, 1000], alpha=0.05, t_min=100)
    assert np.isinf(radius[0])
    assert float(radius[1]) == pytest.approx(0.0820478, abs=1e-7)


def test_worked_buckets_say_that_the_canary_is_slower_and_nowhere_faster() -> None:
    found = order_of_buckets(CONTROL, CANARY, alpha=0.05)
    assert float(found.p_slower) < 1e-20
    assert float(found.p_faster) == 1
    at_one_second = 7
    assert found.difference[at_one_second] == pytest.approx(0.009)
    assert 0 < found.lower[at_one_second] < 0.009 < found.upper[at_one_second]
    assert found.difference[-1] == 0


def test_bands_of_values_separate_where_p_says_so() -> None:
    rng = np.random.default_rng(6)
    for shift in (0.0, 0.1, 0.2, 0.3, 0.5):
        b, c = rng.normal(size=3000), rng.normal(shift, 1, size=1500)
        found = order_of_values(b, c, alpha=0.05, n_opt=3000)
        apart = found.slower > found.baseline_radius + found.candidate_radius
        assert apart == (found.p_slower < 0.05)
        assert found.p_faster == 1
        assert found.p_value == min(found.p_slower, found.p_faster)
    assert found.p_slower < 1e-6


def test_crossing_distributions_are_slower_and_faster() -> None:
    rng = np.random.default_rng(7)
    b, c = rng.normal(size=20_000), rng.normal(0, 2, size=20_000)
    values = order_of_values(b, c, alpha=0.05, n_opt=20_000)
    edges = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, np.inf])
    counts = [np.searchsorted(np.sort(x), edges, "right") for x in (b, c)]
    buckets = order_of_buckets(counts[0], counts[1], alpha=0.05)
    assert max(values.p_slower, values.p_faster) < 1e-6
    assert max(float(buckets.p_slower), float(buckets.p_faster)) < 1e-6


def test_before_the_first_values_nothing_is_said() -> None:
    found = order_of_values([1.0, np.nan], [], alpha=0.05, n_opt=10_000)
    assert found.p_value == 1
    assert np.isinf(found.baseline_radius)


def test_exact_false_alarms_of_buckets_over_all_paths() -> None:
    """Three edges, all values in the first or third bucket: two of the edges are the same test."""

    def alarms(b: np.ndarray, c: np.ndarray, n: int) -> np.ndarray:
        b, c = np.broadcast_arrays(b, c)
        full = np.full(b.shape, float(n))
        found = order_of_buckets(
            np.stack([b, b, full], axis=-1), np.stack([c, c, full], axis=-1), alpha=0.2
        )
        outside = ((found.lower > 0) | (found.upper < 0)).any(axis=-1)
        return np.asarray((found.p_value <= 0.2) | outside)

    assert ever_alarms_two(alarms, 0.3, 0.3, 25) <= 0.2


def test_buckets_under_a_hundred_looks() -> None:
    rng, runs = np.random.default_rng(15), 120
    shares = np.array([0.3, 0.3, 0.2, 0.15, 0.04, 0.01])
    moved = np.array([0.25, 0.28, 0.22, 0.17, 0.06, 0.02])
    b = rng.multinomial(100, shares, size=(runs, 100)).cumsum(axis=1).cumsum(axis=2)
    same = rng.multinomial(50, shares, size=(runs, 100)).cumsum(axis=1).cumsum(axis=2)
    slow = rng.multinomial(50, moved, size=(runs, 100)).cumsum(axis=1).cumsum(axis=2)
    null = order_of_buckets(b, same, alpha=0.05)
    outside = ((null.lower > 0) | (null.upper < 0)).any(axis=(1, 2))
    assert outside.mean() <= at_most(0.05, runs)
    assert (null.p_value < 0.05).any(axis=1).mean() <= at_most(0.05, runs)
    found = order_of_buckets(b, slow, alpha=0.05)
    assert (found.p_slower < 0.05).any(axis=1).mean() > 0.9
    assert (found.p_faster < 0.05).any(axis=1).mean() <= at_most(0.05, runs)


def test_values_under_many_looks() -> None:
    rng, runs, alarms = np.random.default_rng(16), 60, 0
    for _ in range(runs):
        b, c = rng.exponential(size=(2, 2000))
        looks = (
            order_of_values(b[:n], c[:n], alpha=0.05, n_opt=2000) for n in range(100, 2001, 100)
        )
        alarms += any(look.p_value < 0.05 for look in looks)
    assert alarms / runs <= at_most(0.05, runs)


def test_blocks_of_time_under_a_drift_that_both_share() -> None:
    rng, runs = np.random.default_rng(17), 800
    drift = np.linspace(0.0, 0.3, 100)[:, None]
    fast, slow = np.array([0.6, 0.3, 0.08, 0.02]), np.array([0.3, 0.4, 0.2, 0.1])
    shares = (1 - drift) * fast + drift * slow
    worse = 0.8 * shares + 0.2 * slow
    b, same, harmed = (
        rng.multinomial(n, p, size=(runs, 100)).cumsum(axis=2)
        for n, p in ((95, shares), (20, shares), (20, worse))
    )
    null, found = order_by_block(b, same), order_by_block(b, harmed)
    for log_e in (null.log_e, null.log_e_slower, null.log_e_faster, found.log_e_faster):
        assert (log_e >= np.log(20)).any(axis=1).mean() <= at_most(0.05, runs)
    assert (found.p_slower <= 0.05).any(axis=1).mean() > 0.7
