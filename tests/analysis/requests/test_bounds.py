"""Ratios found by asking a test are Fieller's where its variance is fixed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from analysis.requests.bounds import RatioTest, accepted_ratios

Float = NDArray[np.float64]
Z = 2.5
_Test = Callable[[Float], Float]  # rejects above 0


def _tests(numerator: Float, denominator: Float, variances: Float) -> tuple[_Test, _Test]:
    def distance(ratio: Float) -> Float:
        error = np.sqrt(variances[0] + ratio**2 * variances[1])
        return np.asarray((numerator - ratio * denominator) / error)

    return (lambda ratio: distance(ratio) - Z), (lambda ratio: -Z - distance(ratio))


def _both(low_test: _Test, high_test: _Test) -> RatioTest:
    return lambda ratios: np.stack(
        [low_test(ratios[..., 0, :]), high_test(ratios[..., 1, :])], axis=-2
    )


def _fieller(c: float, b: float, v_c: float, v_b: float) -> tuple[float, float]:
    """All ratios at which c - ratio b is within Z standard errors, of shares (Fieller 1954)."""
    square, middle, constant = b**2 - Z**2 * v_b, c * b, c**2 - Z**2 * v_c
    root = np.sqrt(max(middle**2 - square * constant, 0.0))
    low = constant / (middle + root) if constant > 0 else 0.0
    return low, (middle + root) / square if square > 0 else np.inf


@given(
    numerator=st.floats(0.001, 0.9),
    denominator=st.floats(0.001, 0.9),
    errors=st.tuples(st.floats(1e-4, 0.3), st.floats(1e-4, 0.3)),
)
@settings(max_examples=150)
def test_bounds_are_those_of_fieller(
    numerator: float, denominator: float, errors: tuple[float, float]
) -> None:
    c, b = np.array([numerator]), np.array([denominator])
    variances = np.square(np.array(errors))[:, None]
    low_test, high_test = _tests(c, b, variances)
    anchors = np.array([[1.0], [1.5]])
    low, high = accepted_ratios(_both(low_test, high_test), c / b, anchors)
    expected = _fieller(numerator, denominator, float(variances[0, 0]), float(variances[1, 0]))
    assert low[0] == pytest.approx(expected[0], rel=1e-4, abs=1e-5)
    if expected[1] < 1e5:
        assert high[0] == pytest.approx(expected[1], rel=1e-4)
    for anchor in (1.0, 1.5):
        assert (low[0] > anchor) == bool(low_test(np.array([anchor]))[0] > 0)
        assert (high[0] < anchor) == bool(high_test(np.array([anchor]))[0] > 0)


def test_nothing_in_the_denominator_leaves_the_ratio_open_above() -> None:
    c, b = np.array([0.1]), np.array([0.0])
    low_test, high_test = _tests(c, b, np.array([[1e-4], [1e-6]]))
    anchors = np.ones((1, 1))
    with np.errstate(divide="ignore"):
        point = c / b
    # 0.1 - z sqrt(1e-4 + r^2 1e-6) = 0 at r = 38.73.
    low, high = accepted_ratios(_both(low_test, high_test), point, anchors)
    assert low[0] == pytest.approx(38.73, rel=1e-3)
    assert high[0] == np.inf


def test_ratios_that_are_all_accepted_start_at_zero() -> None:
    low_test, high_test = _tests(np.array([0.1]), np.array([0.1]), np.array([[1.0], [1.0]]))
    anchors, point = np.ones((1, 1)), np.ones(1)
    low, high = accepted_ratios(_both(low_test, high_test), point, anchors)
    assert low[0] == 0
    assert high[0] == np.inf
