"""The test of fewer outcomes since a day, against SciPy's exact distribution."""

from __future__ import annotations

import math

import pytest
from scipy.stats import nchypergeom_fisher

from analysis.judge.stopped_outcomes import z_score


@pytest.mark.parametrize(
    ("mine", "others", "odds"),
    [
        ((92, 11), (50, 50), 1.0),
        ((92, 11), (50, 50), 1.3),
        ((200, 30), (400, 300), 0.4),
        ((1000, 400), (800, 900), 3.0),
        ((40, 0), (3000, 900), 0.1),
    ],
)
def test_distance_is_that_of_fishers_noncentral_hypergeometric_distribution(
    mine: tuple[int, int], others: tuple[int, int], odds: float
) -> None:
    exact = nchypergeom_fisher(sum(mine) + sum(others), sum(mine), mine[1] + others[1], odds)
    mean, variance = exact.stats("mv")
    expected = (mean - mine[1]) / math.sqrt(variance)
    assert z_score(mine, others, odds) == pytest.approx(expected, rel=0.02)


def test_no_counts_say_nothing() -> None:
    assert z_score((10, 0), (10, 0), 1.0) == 0
    assert z_score((10, 0), (0, 10), 1.0) > 3
