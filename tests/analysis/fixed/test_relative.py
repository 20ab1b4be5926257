"""Lifts of baselines below zero, and of strata whose shares are estimated."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.fixed.comparison import Comparison, Sample, compare_means, mean_sample
from analysis.fixed.margins import means_within
from analysis.fixed.relative import relative_lift
from analysis.users.estimates import Quantity
from analysis.users.post_stratification import post_stratify
from tests.builders.raw_sums import sum_values

FloatArray = NDArray[np.float64]
Method = Literal["delta", "log"]

METHODS: list[Method] = ["delta", "log"]
PAIRS = [(10.0, 5.0), (10.0, 10.4), (10.0, 31.0), (2.0, 0.3), (1e6, 1e6 + 3)]


def _pair(baseline: float, candidate: float) -> Comparison:
    b = mean_sample([1000.0], [baseline], [0.004 * baseline**2])
    c = mean_sample([1500.0], [candidate], [0.009 * baseline**2])
    return compare_means(b, c)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("baseline", "candidate"), PAIRS)
def test_losses_mirror_gains(method: Method, baseline: float, candidate: float) -> None:
    """A loss of 10 that becomes one of 5 is a rise by a half, as sure as the fall from 10 to 5."""
    gain, loss = _pair(baseline, candidate), _pair(-baseline, -candidate)
    up, down = (relative_lift(pair, 1.96, method) for pair in (gain, loss))
    assert float(down.lift[0]) == pytest.approx(-float(up.lift[0]), rel=1e-9)
    assert float(down.lower[0]) == pytest.approx(-float(up.upper[0]), rel=1e-9)
    assert float(down.upper[0]) == pytest.approx(-float(up.lower[0]), rel=1e-9)
    assert float(down.p_value[0]) == pytest.approx(float(up.p_value[0]), rel=1e-9)
    assert list(down.method) == list(up.method) == [method]


@pytest.mark.parametrize(("baseline", "candidate"), [(-10.0, 4.0), (10.0, -4.0), (-10.0, 0.0)])
def test_a_ratio_below_zero_has_no_logarithm(baseline: float, candidate: float) -> None:
    found = relative_lift(_pair(baseline, candidate), 1.96, "log")
    assert found.method[0] == "fieller"
    lift = (candidate - baseline) / abs(baseline)
    assert float(found.lower[0]) < lift < float(found.upper[0])
    delta = relative_lift(_pair(baseline, candidate), 1.96, "delta")
    assert float(delta.lower[0] + delta.upper[0]) / 2 == pytest.approx(lift)


def _strata(
    rng: np.random.Generator, levels: FloatArray, effect: FloatArray, users: int
) -> tuple[Sample, Sample]:
    """Users who are in each stratum by chance: levels of the baseline, and the effect in each."""
    arms = []
    for more in (0.0 * effect, effect):
        of = rng.integers(0, len(levels), users)
        values = (levels + more)[of] + rng.normal(size=users)
        arms.append(
            [sum_values(values[of == s, None], shift=[0.0]).sums for s in range(len(levels))]
        )
    found = post_stratify(arms, Quantity(0)).samples
    return found[0], found[1]


STRATA = {
    "same effect": ([2.0, 20.0, 50.0], [2.0, 2.0, 2.0]),
    "same lift": ([2.0, 20.0, 50.0], [0.2, 2.0, 5.0]),
    "uneven": ([2.0, 20.0, 50.0], [5.0, -1.0, 3.0]),
    "losses": ([-2.0, -20.0, -50.0], [2.0, 2.0, 2.0]),
}


@pytest.mark.parametrize("name", STRATA)
def test_intervals_of_lifts_within_strata_cover(name: str) -> None:
    levels, effect = (np.array(values) for values in STRATA[name])
    true = effect.mean() / abs(levels.mean())
    rng = np.random.default_rng(7)
    runs = 500
    pairs = [_strata(rng, levels, effect, 400) for _ in range(runs)]
    comparison = compare_means(*(Sample.stacked([pair[i] for pair in pairs]) for i in (0, 1)))
    fieller = comparison.relative_interval(1.96)
    lifts = [relative_lift(comparison, 1.96, method) for method in METHODS]
    for low, high in (fieller, *((each.lower, each.upper) for each in lifts)):
        assert 0.92 <= float(np.mean((low <= true) & (true <= high))) <= 0.98


@pytest.mark.parametrize("name", STRATA)
def test_fiellers_ends_are_where_the_test_within_strata_turns(name: str) -> None:
    levels, effect = (np.array(values) for values in STRATA[name])
    b, c = _strata(np.random.default_rng(8), levels, effect, 300)
    found = compare_means(b, c)
    sign = float(np.sign(b.mean))
    for lift in map(float, found.relative_interval(1.7)):
        growth = sign * lift
        beyond = abs(float(c.mean - (1 + growth) * b.mean))
        assert beyond == pytest.approx(1.7 * float(found.error_at(growth)), rel=1e-9)


def test_a_relative_margin_within_strata_is_tested_as_its_interval_says() -> None:
    levels, effect = (np.array(values) for values in STRATA["same effect"])
    pair = _strata(np.random.default_rng(9), levels, effect, 300)
    found = compare_means(*pair)
    within = means_within(found, np.array(0.05), relative=True, alpha=0.05)
    # The margin at which "not higher" has just this p-value is the interval's upper end.
    at_end = means_within(found, np.asarray(within.upper), relative=True, alpha=0.05)
    assert float(at_end.p_not_higher) == pytest.approx(0.05, rel=1e-6)
