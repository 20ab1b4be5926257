"""Quantiles from bucket counts: the range is honest, the interpolation is only a label."""

import numpy as np
import pytest

from analysis.requests.latency import Histogram, quantile_range

EDGES = np.array([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, np.inf])
C = np.array([1200, 3400, 9000, 21000, 38000, 46500, 48900, 49600, 49900, 49970, 49995, 50000.0])
T = np.array([230, 640, 1650, 3900, 7000, 8900, 9600, 9830, 9940, 9975, 9990, 10000.0])


@pytest.mark.parametrize(
    ("counts", "lower", "upper", "label"), [(C, 0.5, 1.0, 0.929), (T, 1.0, 2.5, 1.955)]
)
def test_worked_example(counts: np.ndarray, lower: float, upper: float, label: float) -> None:
    found = quantile_range(Histogram(EDGES, counts), 0.99, alpha=0.025)
    assert found is not None
    assert (found.lower_ms, found.upper_ms) == (lower, upper)
    assert found.interpolated_ms == pytest.approx(label, abs=1e-3)


def test_no_requests_have_no_quantile() -> None:
    assert quantile_range(Histogram(EDGES, np.zeros(12)), 0.99, alpha=0.05) is None


def test_range_holds_the_true_quantile() -> None:
    rng = np.random.default_rng(3)
    edges = np.array([1.0, 2, 5, 10, 20, 50, 100, np.inf])
    truth = float(np.exp(2 + 0.8 * 2.3263479))  # p99 of the log-normal below
    held, runs = 0, 1000
    for _ in range(runs):
        values = rng.lognormal(2, 0.8, 400)
        at_most = (values[:, None] <= edges).sum(axis=0).astype(float)
        found = quantile_range(Histogram(edges, at_most), 0.99, alpha=0.05)
        assert found is not None
        held += found.lower_ms < truth <= found.upper_ms
    assert held / runs >= 0.95 - 0.015


def test_open_last_bucket_has_no_upper_end() -> None:
    found = quantile_range(
        Histogram(np.array([1.0, np.inf]), np.array([0.0, 50.0])), 0.5, alpha=0.05
    )
    assert found is not None
    assert (found.lower_ms, found.upper_ms) == (1.0, np.inf)
    assert found.interpolated_ms == 1.0
