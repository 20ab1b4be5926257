"""Persistence from bucket to bucket: what it costs a variance, and that it is no evidence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.long_run_variance import LaggedProducts, lagged_products
from analysis.requests.paired_buckets import estimate_share, pair_buckets
from tests.builders.streams import Traffic, autoregression, first_decisions, simulate

ALPHA, MARGIN = 0.025, 0.005
Float = NDArray[np.float64]


def _products(values: Float) -> LaggedProducts:
    off = values - values.mean(axis=-1, keepdims=True)
    buckets = np.full(len(values), float(values.shape[-1]))
    return lagged_products(np.zeros_like(off), off / buckets[:, None], buckets)


@pytest.mark.parametrize(
    ("coefficient", "least", "most"), [(0.0, 1, 1.1), (0.5, 3, 4), (0.8, 9, 13)]
)
def test_long_series_show_the_variance_of_their_autoregression(
    coefficient: float, least: float, most: float
) -> None:
    """(1 + r) / (1 - r) is 1, 3 and 9; a doubt is always taken to the careful side."""
    values = autoregression(np.random.default_rng(1), (50, 4000), coefficient)
    assert least <= np.median(_products(values).inflation()) <= most


def test_a_slow_state_under_noise_is_seen() -> None:
    """r = 0.95 in half of the variance: 1 + 2 * 0.5 * 0.95 / 0.05 = 20; lag 1 alone says 2.8."""
    rng = np.random.default_rng(2)
    values = autoregression(rng, (50, 2000), 0.95) + rng.normal(0, 1, (50, 2000))
    assert 10 <= np.median(_products(values).inflation()) <= 30


def test_neighbours_that_alternate_are_no_reason_to_trust_more() -> None:
    values = np.tile([1.0, -1.0], 60)[None, :] + 0.01
    assert _products(values).inflation()[0] == 1


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.floats(0, 50))
@settings(max_examples=200)
def test_inflation_is_a_number_of_at_least_one(values: list[float], factor: float) -> None:
    row = np.array([values])
    off = row - row.mean()
    products = lagged_products(off, off[:, ::-1], np.array([float(len(values))]))
    found = products.inflation(np.full((3, 1), factor))
    assert found.shape == (3, 1)
    assert np.isfinite(found).all()
    assert (found >= 1).all()


def test_variance_is_never_below_that_of_independent_buckets() -> None:
    for traffic in (
        Traffic(),
        Traffic(overdispersion=5, shock=1),
        Traffic(state=1, persistence=0.9),
    ):
        pairs = pair_buckets(*simulate(np.random.default_rng(3), traffic, 50))
        plain = pairs.var_candidate - 2 * pairs.covariance + pairs.var_baseline
        floor = pairs.sampling_candidate + pairs.burst_baseline
        assert (
            pairs.contrast().standard_error ** 2 >= np.maximum(plain, floor) * (1 - 1e-12)
        ).all()


def test_slow_drift_that_both_versions_share_costs_nothing() -> None:
    """A shock of two thirds of the rate that lasts for minutes cancels like one of a bucket."""
    rng = np.random.default_rng(4)
    errors = [
        np.median(pair_buckets(*simulate(rng, traffic, 200)).contrast().upper_error)
        for traffic in (
            Traffic(rate=1000, shock=0.6),
            Traffic(rate=1000, shock=0.6, persistence=0.97),
        )
    ]
    assert errors[1] < 1.15 * errors[0]


def test_drift_makes_one_versions_share_uncertain() -> None:
    rng = np.random.default_rng(5)
    widths = []
    for persistence in (0.0, 0.9):
        arm = simulate(rng, Traffic(rate=5000, shock=0.6, persistence=persistence), 100)[1]
        widths.append(np.median(estimate_share(arm, np.ones(100)).standard_error))
    assert widths[1] > 2 * widths[0]


def _ever(traffic: Traffic, runs: int) -> tuple[float, float]:
    """Shares of runs in which harm was ever excluded, or ever proven, beyond the margin."""
    return first_decisions(20261123, traffic, runs, margin=MARGIN, alpha=ALPHA, every=4).ever


@pytest.mark.parametrize("persistence", [0.2, 0.4, 0.6, 0.8])
@pytest.mark.parametrize("buckets", [20, 60, 120])
@pytest.mark.parametrize("split", [0.05, 0.5])
def test_persistent_states_alarm_no_oftener_than_alpha(
    persistence: float, buckets: int, split: float
) -> None:
    """Each version's failure rate swings by half, for minutes; the true harm is the margin.

    Taken for independent, up to 30 % of the runs end in a wrong verdict on either side.
    """
    runs = 300
    excluded, proven = _ever(
        Traffic(
            rate=1000,
            split=split,
            harm=MARGIN,
            state=0.5,
            persistence=persistence,
            buckets=buckets,
        ),
        runs,
    )
    limit = ALPHA + 3 * np.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert excluded <= limit
    assert proven <= limit


def test_sampling_does_not_persist() -> None:
    """Few requests a bucket are alike by chance in some runs; what sampling explains is not."""
    rng = np.random.default_rng(8)
    pairs = pair_buckets(*simulate(rng, Traffic(rate=2, split=0.3, base=0.05, buckets=60), 400))
    plain = pairs.var_candidate - 2 * pairs.covariance + pairs.var_baseline
    least = np.maximum(plain, pairs.sampling_candidate + pairs.burst_baseline)
    widened = pairs.contrast().standard_error / np.sqrt(least)
    assert np.percentile(widened, 90) < 1.5


def test_drift_that_both_share_is_no_evidence() -> None:
    traffic = Traffic(rate=1000, harm=MARGIN, shock=1.0, persistence=0.97)
    excluded, proven = _ever(traffic, 300)
    assert excluded <= 0.05
    assert proven <= 0.05


def test_order_in_time_is_what_counts() -> None:
    """The same buckets, sorted into a trend, say less than shuffled."""
    rng = np.random.default_rng(6)
    bad = np.sort(rng.binomial(1000, 0.02, 60)).astype(float)[None, :]
    total, few = np.full((1, 60), 1000.0), np.full((1, 60), 5.0)
    errors = [
        pair_buckets(BucketCounts(total, few), BucketCounts(total, b)).contrast().standard_error[0]
        for b in (bad, bad[:, rng.permutation(60)])
    ]
    assert errors[0] > 2 * errors[1]


@pytest.mark.parametrize("buckets", [0, 1, 2, 3, 5, 60, 257])
def test_lagged_products_are_sums_of_products_so_many_buckets_apart(buckets: int) -> None:
    rng = np.random.default_rng(buckets)
    one, other = rng.normal(size=(2, 3, buckets))
    found = lagged_products(one, other, np.full(3, float(buckets)))
    for lag in range(len(found.both)):
        late, early = slice(lag, None), slice(0, buckets - lag)
        both = one[:, late] * other[:, early] + other[:, late] * one[:, early]
        for products, expected in (
            (found.baseline, one[:, late] * one[:, early]),
            (found.candidate, other[:, late] * other[:, early]),
            (found.both, both / 2),
        ):
            np.testing.assert_allclose(products[lag], expected.sum(axis=1), rtol=0, atol=1e-12)


def test_nothing_is_left_of_what_is_the_same_in_both_versions() -> None:
    values = np.random.default_rng(1).normal(size=(2, 50))
    found = lagged_products(values, values, np.full(2, 50.0))
    assert (found.candidate[0] - 2 * found.both[0] + found.baseline[0] == 0).all()
    assert found.inflation().tolist() == [1.0, 1.0]
