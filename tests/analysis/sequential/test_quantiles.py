"""Quantiles at every look: worked numbers, values against buckets, ties, exact validity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.sequential.quantiles import (
    compare_quantile_of_buckets,
    compare_quantile_of_values,
    quantile_of_buckets,
    quantile_of_values,
    share_bounds,
)
from tests.analysis.sequential.paths import at_most, ever_alarms_one

EDGES = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, np.inf]
CONTROL = [1200, 3400, 9000, 21000, 38000, 46500, 48900, 49600, 49900, 49970, 49995, 50000]
CANARY = [230, 640, 1650, 3900, 7000, 8900, 9600, 9830, 9940, 9975, 9990, 10000]


@pytest.mark.parametrize(
    ("p", "n", "n_opt", "low", "high"),
    [
        (0.5, 100, 100, 0.349516, 0.650484),
        (0.99, 1000, 1000, 0.978612, 0.997647),
        (0.99, 1e5, 1e4, 0.988958, 0.990999),
    ],
)
def test_worked_examples(p: float, n: float, n_opt: float, low: float, high: float) -> None:
    f_low, f_high = share_bounds(n, p, alpha=0.05, n_opt=n_opt)
    assert float(f_low) == pytest.approx(low, abs=1e-6)
    assert float(f_high) == pytest.approx(high, abs=1e-6)


def test_worked_example_of_buckets() -> None:
    found = compare_quantile_of_buckets(EDGES, CONTROL, CANARY, 0.99, alpha=0.05, n_opt=20_000)
    assert (float(found.baseline.lower), float(found.baseline.upper)) == (0.5, 1.0)
    assert (float(found.candidate.lower), float(found.candidate.upper)) == (1.0, 2.5)
    assert (float(found.lower), float(found.upper)) == (0.0, 2.0)
    assert float(found.p_value) < 0.01


def test_too_few_values_leave_the_quantile_open() -> None:
    found = quantile_of_values(np.arange(50.0), 0.99, alpha=0.05, n_opt=50)
    assert np.isfinite(found.lower)
    assert found.upper == np.inf
    nothing = compare_quantile_of_values([], [], 0.5, alpha=0.05, n_opt=50)
    assert [nothing.lower, nothing.upper] == [-np.inf, np.inf]
    assert nothing.p_value == 1


@given(st.lists(st.integers(0, 12), min_size=30, max_size=300), st.sampled_from([0.25, 0.5, 0.9]))
def test_buckets_hold_the_bounds_that_the_values_give(values: list[int], p: float) -> None:
    x = np.array(values, dtype=float)
    edges = np.array([2.0, 4.0, 6.0, 9.0, np.inf])
    at_most_edge = [(x <= e).sum() for e in edges]
    raw = quantile_of_values(x, p, alpha=0.1, n_opt=100)
    binned = quantile_of_buckets(edges, at_most_edge, p, alpha=0.1, n_opt=100)
    assert binned.lower <= raw.lower
    assert binned.upper >= raw.upper


@given(
    st.lists(st.integers(0, 6), min_size=5, max_size=60), st.lists(st.integers(0, 6), min_size=5)
)
def test_equality_is_refuted_only_if_intervals_come_apart_or_nearly(
    first: list[int], second: list[int]
) -> None:
    found = compare_quantile_of_values(first, second, 0.5, alpha=0.1, n_opt=30)
    swapped = compare_quantile_of_values(second, first, 0.5, alpha=0.1, n_opt=30)
    assert float(found.log_e) == pytest.approx(float(swapped.log_e))
    assert found.lower == -swapped.upper
    if found.lower > 0 or found.upper < 0:
        # Wherever the common quantile lies, one version alone refutes it at alpha / 2.
        assert float(found.log_e) > np.log(2 / 0.1) - 5


def test_ties_of_both_versions_are_no_difference() -> None:
    found = compare_quantile_of_values(np.ones(5000), np.ones(3000), 0.9, alpha=0.05, n_opt=4000)
    assert found.p_value == 1
    assert [found.lower, found.upper] == [0, 0]


@pytest.mark.parametrize("p", [0.5, 0.9, 0.99])
def test_exact_false_alarms_over_all_paths(p: float) -> None:
    bounds = [share_bounds(n, p, alpha=0.1, n_opt=60) for n in range(1, 151)]

    def misses(x: np.ndarray, n: int) -> np.ndarray:
        low, high = bounds[n - 1]
        return np.asarray((x / n < low - 1e-12) | (x / n > high + 1e-12))

    assert ever_alarms_one(misses, p, 150) <= 0.1


def _binned(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Counts at most each edge after each tenth of the values: [runs, 10, edges]."""
    blocks = x.reshape(x.shape[0], 10, -1)
    return np.asarray((blocks[..., None] <= edges).sum(axis=2).cumsum(axis=1))


def test_false_alarms_and_coverage_of_buckets_over_ten_looks() -> None:
    """Lognormal latency; the median is at an edge, so that a bucket more would be a miss."""
    rng, runs = np.random.default_rng(77), 400
    b, c = rng.normal(size=(2, runs, 1000))
    edges = np.array([-1.0, -0.5, -0.2, -1e-9, 0.2, 0.5, 1.0, np.inf])
    found = compare_quantile_of_buckets(
        edges, _binned(b, edges), _binned(c, edges), 0.5, alpha=0.05, n_opt=500
    )
    assert (found.p_value < 0.05).any(axis=1).mean() <= at_most(0.05, runs)
    assert ((found.lower > 0) | (found.upper < 0)).any(axis=1).mean() <= at_most(0.05, runs)
    one = quantile_of_buckets(edges, _binned(b, edges), 0.5, alpha=0.05, n_opt=500)
    missed = (one.lower >= 0) | (one.upper < 0)
    assert 0 < missed.any(axis=1).mean() <= at_most(0.05, runs)


def test_false_alarms_and_coverage_of_values_with_ties() -> None:
    """Lognormal latency in whole milliseconds; p90 of two equal versions, looked at ten times."""
    rng, runs = np.random.default_rng(78), 40
    truth = np.ceil(np.exp(3 + 0.8 * 1.2815515655446004))
    missed = alarmed = 0
    for _ in range(runs):
        b, c = np.ceil(np.exp(rng.normal(3, 0.8, size=(2, 2000))))
        looks = [
            compare_quantile_of_values(b[:n], c[:n], 0.9, alpha=0.05, n_opt=1000)
            for n in range(200, 2001, 200)
        ]
        missed += any(x.baseline.lower > truth or x.baseline.upper < truth for x in looks)
        alarmed += any(x.p_value < 0.05 or x.lower > 0 or x.upper < 0 for x in looks)
    assert np.isfinite(looks[-1].upper)
    assert missed / runs <= at_most(0.05, runs)
    assert alarmed / runs <= at_most(0.05, runs)


def test_a_slower_tail_is_found() -> None:
    rng = np.random.default_rng(4)
    b = rng.exponential(100, size=4000)
    c = rng.exponential(140, size=4000)
    raw = compare_quantile_of_values(b, c, 0.9, alpha=0.05, n_opt=4000)
    edges = np.array([50.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 800.0, np.inf])
    counts = [np.searchsorted(np.sort(x), edges, "right") for x in (b, c)]
    binned = compare_quantile_of_buckets(edges, counts[0], counts[1], 0.9, alpha=0.05, n_opt=4000)
    assert raw.lower > 0
    assert raw.p_value < 1e-6
    assert binned.p_value < 0.05
    assert binned.lower <= raw.lower <= raw.upper <= binned.upper


def test_quantile_outside_the_unit_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="quantile is"):
        share_bounds(10, 1.0, alpha=0.05, n_opt=10)
