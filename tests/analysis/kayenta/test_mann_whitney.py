"""The rank test and its interval: R's results, scipy's p-values, and roots by their definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from analysis.kayenta import mann_whitney
from analysis.kayenta.mann_whitney import Shifts, location_shifts
from tests.analysis.kayenta.definition import shift_interval
from tests.analysis.kayenta.r_results import R_RESULTS, RResult

FloatArray = NDArray[np.float64]

# What wilcox.R here wrote for r_cases.csv; its first line names R's version.
RECORDED = [
    (f"{case};{numbers}")
    for case, numbers in zip(
        (Path(__file__).with_name("r_cases.csv")).read_text().splitlines(),
        (Path(__file__).with_name("r_numbers.csv")).read_text().splitlines()[1:],
        strict=True,
    )
]


def _shift(x: FloatArray, y: FloatArray, confidence: float = 0.98) -> Shifts:
    return location_shifts(x[None], y[None], confidence=confidence)


@pytest.mark.parametrize("known", R_RESULTS)
def test_numbers_are_those_of_r(known: RResult) -> None:
    x, y = np.array(known.x, dtype=float), np.array(known.y, dtype=float)
    found = _shift(x, y)
    assert found.statistic[0] == known.statistic
    assert found.p_value[0] == pytest.approx(known.p_value, rel=1e-9)
    assert found.lower[0] == pytest.approx(known.lower, abs=1e-11)
    assert found.upper[0] == pytest.approx(known.upper, abs=1e-11)


@pytest.mark.parametrize("recorded", RECORDED, ids=range(len(RECORDED)))
def test_intervals_of_an_hour_of_minutes_are_those_of_r(recorded: str) -> None:
    confidence, *samples_and_numbers = recorded.split(";")
    x, y = (np.array(text.split(), dtype=float) for text in samples_and_numbers[:2])
    statistic, p_value, _, lower, upper = map(float, samples_and_numbers[2:])
    found = _shift(x, y, float(confidence))
    assert found.statistic[0] == statistic
    assert found.p_value[0] == pytest.approx(p_value, rel=1e-9)
    assert (found.lower[0], found.upper[0]) == pytest.approx((lower, upper), rel=1e-9, abs=1e-11)


@pytest.mark.parametrize("known", R_RESULTS)
def test_estimate_is_the_median_difference_where_r_has_one_root(known: RResult) -> None:
    differences = np.sort(np.subtract.outer(known.x, known.y).ravel())
    middle = differences[(differences.size - 1) // 2], differences[differences.size // 2]
    found = _shift(np.array(known.x, dtype=float), np.array(known.y, dtype=float)).estimate[0]
    assert found == pytest.approx(sum(middle) / 2, abs=1e-12)
    # R stops anywhere between the middle two; where they are one, both must agree.
    assert middle[0] - 1e-11 <= known.estimate <= middle[1] + 1e-11


@pytest.mark.parametrize("values", ["continuous", "counts", "zeros"])
@pytest.mark.parametrize("sizes", [(60, 60), (12, 45), (50, 7)])
def test_p_value_and_statistic_are_those_of_scipy(values: str, sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(4)
    for shift in (0, 1):
        x, y = (
            _sample(random, values, size, at) for size, at in zip(sizes, (shift, 0), strict=True)
        )
        found = _shift(x, y)
        known = mannwhitneyu(x, y, method="asymptotic", use_continuity=True)
        assert found.statistic[0] == known.statistic
        assert found.p_value[0] == pytest.approx(known.pvalue, rel=1e-10)


def test_interval_ends_where_the_shifted_test_stops_rejecting() -> None:
    random = np.random.default_rng(5)
    x, y = random.normal(11, 2, 40), random.normal(10, 2, 35)
    found = _shift(x, y)
    for end, inwards in ((found.lower[0], 1), (found.upper[0], -1)):
        p_inside, p_outside = (
            mannwhitneyu(x - (end + side * 1e-9), y, method="asymptotic").pvalue
            for side in (inwards, -inwards)
        )
        assert p_outside < 0.02 <= p_inside


@pytest.mark.parametrize("values", ["continuous", "counts", "zeros"])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.98])
def test_ends_are_the_roots_of_the_definition(values: str, confidence: float) -> None:
    random = np.random.default_rng(6)
    for m, n in ((3, 4), (8, 8), (20, 31), (60, 60)):
        x, y = _sample(random, values, m, 1), _sample(random, values, n, 0)
        found = _shift(x, y, confidence)
        roots = shift_interval(x, y, confidence)
        assert (found.lower[0], found.upper[0]) == pytest.approx(roots, abs=1e-9)


def test_small_values_are_judged_as_sharply_as_large_ones() -> None:
    random = np.random.default_rng(7)
    x, y = random.normal(1.3, 0.2, 60), random.normal(1, 0.2, 60)
    large, small = _shift(x, y), _shift(x * 1e-6, y * 1e-6)
    assert small.lower[0] == pytest.approx(large.lower[0] * 1e-6, rel=1e-9)
    assert small.estimate[0] == pytest.approx(large.estimate[0] * 1e-6, rel=1e-9)


def test_many_pairs_at_once_are_judged_as_each_alone() -> None:
    random = np.random.default_rng(8)
    x, y = random.poisson(3, (50, 30)) / 1.0, random.poisson(2, (50, 25)) / 1.0
    together = location_shifts(x, y, confidence=0.98)
    for row in range(50):
        alone = _shift(x[row], y[row])
        for field in ("statistic", "p_value", "estimate", "lower", "upper"):
            assert getattr(together, field)[row] == getattr(alone, field)[0]


def test_long_series_are_searched_instead_of_laid_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(9)
    pairs = [
        (random.normal(1, 1, 40), random.normal(0, 1, 30)),
        (random.poisson(4, 40) / 1.0, random.poisson(3, 30) / 1.0),
    ]
    laid_out = [_shift(x, y) for x, y in pairs]
    monkeypatch.setattr(mann_whitney, "_MOST_DIFFERENCES", 100)
    for (x, y), known in zip(pairs, laid_out, strict=True):
        found = _shift(x, y)
        assert found.statistic[0] == known.statistic[0]
        for field in ("estimate", "lower", "upper"):
            assert getattr(found, field)[0] == pytest.approx(getattr(known, field)[0], abs=1e-12)


def test_two_constants_have_one_shift_and_no_noise() -> None:
    found = _shift(np.full(10, 2.0), np.full(8, 5.0))
    assert (found.lower[0], found.estimate[0], found.upper[0]) == (-3, -3, -3)


def test_swapping_the_series_mirrors_the_interval() -> None:
    random = np.random.default_rng(10)
    x, y = random.normal(1, 1, 21), random.normal(0, 2, 33)
    one, other = _shift(x, y), _shift(y, x)
    assert one.lower[0] == pytest.approx(-other.upper[0])
    assert one.estimate[0] == pytest.approx(-other.estimate[0])
    assert one.p_value[0] == pytest.approx(other.p_value[0])


def _sample(random: np.random.Generator, values: str, size: int, shift: int) -> FloatArray:
    if values == "continuous":
        return random.normal(10 + shift, 2, size)
    if values == "counts":
        return random.poisson(3 + shift, size).astype(float)
    return np.where(random.random(size) < 0.4, random.poisson(1 + shift, size), 0.0)
