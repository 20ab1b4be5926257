"""Sparse series: where the shift is exactly 0, the label is that of Kayenta's own search."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtri

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import Direction, MetricConfig
from analysis.kayenta.judgement import CONFIDENCE, MetricLabel, judgement_by_test
from analysis.kayenta.known_limitations import Limitation, known_limitations
from analysis.kayenta.mann_whitney import location_shifts
from analysis.kayenta.root_search import searched_shifts
from tests.analysis.kayenta.definition import z_of_shift
from tests.builders.judged_metric import classify_metric

FloatArray = NDArray[np.float64]
EITHER = MetricConfig(direction=Direction.EITHER)
Z = float(ndtri(0.99))


def _sparse(
    seed: int, values: int, other: int, level: float = 1.5, base: float = 0.0
) -> FloatArray:
    """A base in most intervals, and about `level` more in some of them."""
    rng = np.random.default_rng(seed)
    found = np.full(values, base)
    found[rng.choice(values, other, replace=False)] += level * rng.uniform(0.8, 1.4, other)
    return found


def _searched(x: FloatArray, y: FloatArray) -> list[float]:
    """Estimate and both ends, searched side by side."""
    tripled = np.tile(np.sort(x), (3, 1)), np.tile(np.sort(y), (3, 1))
    return [float(found) for found in searched_shifts(*tripled, np.array([0.0, Z, -Z]))]


@pytest.mark.parametrize("base", [0.0, 5.0])
@pytest.mark.parametrize(("control", "experiment", "values"), [(17, 64, 210), (5, 40, 120)])
def test_many_more_intervals_with_errors_are_high_and_fewer_are_low(
    control: int, experiment: int, values: int, base: float
) -> None:
    """In most series, never the other way round: where the search stops is chance."""
    pairs = [
        (_sparse(s, values, control, base=base), _sparse(s + 50, values, experiment, base=base))
        for s in range(12)
    ]
    up = [classify_metric(few, many, EITHER).label.value for few, many in pairs]
    down = [classify_metric(many, few, EITHER).label.value for few, many in pairs]
    assert set(up) <= {"High", "Pass"}
    assert set(down) <= {"Low", "Pass"}
    assert min(up.count("High"), down.count("Low")) >= 8
    harmless = [classify_metric(many, few, MetricConfig()).label.value for few, many in pairs]
    assert set(harmless) == {"Pass"}


@pytest.mark.parametrize("seed", range(6))
def test_about_as_many_intervals_with_errors_pass(seed: int) -> None:
    control, experiment = _sparse(seed, 210, 30), _sparse(seed + 50, 210, 36)
    judged = classify_metric(control, experiment, EITHER)
    assert judged.label.value == "Pass"
    assert judged.test is not None
    assert judged.test.lower <= 0 <= judged.test.upper


def test_a_search_that_cannot_stop_beyond_zero_is_no_limitation() -> None:
    control, experiment = _sparse(1, 210, 30), _sparse(51, 210, 30)
    judged = classify_metric(control, experiment, EITHER)
    assert judged.reason == "no clear difference: the shift is 0, as most values are tied"
    kinds = {spot.kind for spot in known_limitations(control, experiment, EITHER, judged)}
    assert Limitation.SEARCH_ERROR not in kinds


def test_the_label_says_that_it_hangs_on_the_search() -> None:
    control, experiment = _sparse(1, 210, 17), _sparse(2, 210, 64)
    judged = classify_metric(control, experiment, EITHER)
    [said] = [
        spot.message
        for spot in known_limitations(control, experiment, EITHER, judged)
        if spot.kind is Limitation.SEARCH_ERROR
    ]
    assert "depends on where Kayenta's search" in said


@pytest.mark.parametrize(
    ("base", "unit"),
    [(0.0, 1.0), (0.0, 0.1), (0.0, 3e-4), (0.0, 1e-4), (0.0, 2e-5), (5.0, 1e-4), (5e12, 1e4)],
)
@pytest.mark.parametrize("direction", list(Direction))
def test_labels_are_those_of_searching_every_shift_of_zero(
    base: float, unit: float, direction: Direction
) -> None:
    """Where the search can't stop beyond 0 it is left out, which changes no label."""
    rng = np.random.default_rng(int(1e6 * unit))
    zeros, more = rng.uniform(0.3, 0.95, (600, 1)), rng.uniform(-0.3, 0.3, (600, 1))
    mean = rng.uniform(1, 6, (600, 1))
    sides = [
        base + unit * np.where(rng.random((600, n)) < share, 0, rng.poisson(mean, (600, n)))
        for n, share in ((45, np.clip(zeros + more, 0, 1)), (60, zeros))
    ]
    experiment, control = (np.sort(side, axis=1) for side in sides)
    shifts = location_shifts(experiment, control, confidence=CONFIDENCE)
    hangs = (shifts.estimate == 0) & ((shifts.lower == 0) | (shifts.upper == 0))
    hangs &= np.maximum(experiment[:, -1], control[:, -1]) > base
    x, y = experiment[hangs], control[hangs]
    ends = [shifts.estimate[hangs], shifts.lower[hangs], shifts.upper[hangs]]
    for end, wanted in zip(ends, (0.0, Z, -Z), strict=True):
        at_0 = end == 0
        end[at_0] = searched_shifts(x[at_0], y[at_0], np.full(at_0.sum(), wanted))
    config = MetricConfig(direction=direction)
    judged = classify_metrics(list(zip(y, x, strict=True)), [config] * len(x))
    assert len(judged) > 200
    for one, estimate, lower, upper in zip(judged, *ends, strict=True):
        assert one.test is not None
        test = one.test._replace(estimate=estimate, lower=lower, upper=upper)
        passed = one._replace(numbers=test, label=MetricLabel.PASS)
        assert one.label is judgement_by_test(passed).label


@pytest.mark.parametrize("seed", range(12))
def test_the_search_stops_within_its_accuracy_of_the_exact_root(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(3, 1, 40 + seed), rng.normal(2, 2, 30)
    exact = location_shifts(x[None], y[None], confidence=0.98)
    estimate, lower, upper = _searched(x, y)
    assert lower == pytest.approx(float(exact.lower[0]), abs=1e-4)
    assert upper == pytest.approx(float(exact.upper[0]), abs=1e-4)
    assert z_of_shift(estimate - 1e-4, x, y) >= 0 >= z_of_shift(estimate + 1e-4, x, y)


@pytest.mark.parametrize("seed", range(8))
def test_beside_zero_the_search_ends_where_the_statistic_crosses(seed: int) -> None:
    x, y = _sparse(seed, 150, 50), _sparse(seed + 20, 150, 12)
    for wanted, found in zip((0.0, Z, -Z), _searched(x, y), strict=True):
        assert 0 <= abs(found) <= 1e-4
        assert z_of_shift(found - 1e-4, x, y) > wanted > z_of_shift(found + 1e-4, x, y)


def test_pairs_are_searched_as_if_each_was_alone() -> None:
    rng = np.random.default_rng(7)
    x = np.sort(rng.poisson(4, (30, 25)).astype(np.float64), axis=1)
    y = np.sort(rng.poisson(5, (30, 40)).astype(np.float64), axis=1)
    together = searched_shifts(x, y, np.full(30, -Z))
    alone = [searched_shifts(x[[i]], y[[i]], np.array([-Z]))[0] for i in range(30)]
    assert together.tolist() == alone


def test_dense_series_keep_their_exact_roots() -> None:
    rng = np.random.default_rng(3)
    control, experiment = rng.normal(0, 1, 80), rng.normal(0.5, 1, 80)
    judged = classify_metric(control, experiment, EITHER)
    exact = location_shifts(experiment[None], control[None], confidence=0.98)
    assert judged.test is not None
    assert not judged.test.searched
    assert (judged.test.lower, judged.test.upper) == (exact.lower[0], exact.upper[0])
