"""Harms of many metrics are bounded in groups: which group a metric is in changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.kayenta.config import ValuePlan
from analysis.kayenta.harm_bounds import harm_bounds

# More than two groups of series of an hour of minutes.
METRICS = 2_100


@pytest.mark.parametrize("intervals", [60, None])
def test_metrics_are_bounded_alike_in_groups_and_alone(intervals: int | None) -> None:
    random = np.random.default_rng(21)
    control, experiment = random.normal(10, 1, (2, METRICS, 60))
    experiment[::7] += 5
    unknown = random.random(control.shape) < 0.1
    control[unknown] = experiment[unknown] = np.nan
    control[5, 7] = experiment[5, 8] = 1e4  # a heavy tail

    def bounded(rows: slice) -> list[list[np.ndarray]]:
        size = len(control[rows])
        bounds, difference = harm_bounds(
            control[rows],
            experiment[rows],
            np.full((size, 2), 0.1),
            np.zeros(size),
            np.ones((3, size), np.bool_),
            alphas=np.full(size, 0.01),
            plan=ValuePlan(intervals=intervals),
        )
        return [[one.mean, one.lower, one.upper, one.count] for one in (*bounds, difference)]

    whole = bounded(slice(None))
    assert (whole[0][1] > 0).any()
    for row in (0, 5, 999, 1_000, 1_001, 1_999, 2_000, METRICS - 1):
        alone = bounded(slice(row, row + 1))
        for of_whole, of_one in zip(whole, alone, strict=True):
            assert [each[row] for each in of_whole] == [each[0] for each in of_one]
