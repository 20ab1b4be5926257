"""Several wholes at once: each is answered, to the bit, as if it had been asked by itself."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from analysis.evidence import StageCounts
from analysis.quality.sample_ratio import check_sample_ratio, check_sample_ratios
from analysis.quality.split_deviations import deviations_of


def _wholes(names: str, stages: int) -> list[list[StageCounts]]:
    """Days with few users and with many, as configured and not, some without any."""
    random = Random(f"{names} {stages}")
    shares = [{name: random.choice((1, 5, 50)) for name in names} for _ in range(stages)]
    return [
        [
            StageCounts(
                {
                    name: float(round(users * weight * random.choice((1, 1, 1.4))))
                    for name, weight in w.items()
                },
                {name: weight / sum(w.values()) for name, weight in w.items()},
            )
            for w in shares
        ]
        for users in (0, 1, 30, 1000, 100_000)
    ]


@pytest.mark.parametrize(("names", "stages"), [("ab", 1), ("ab", 3), ("abc", 2)])
def test_wholes_at_once_are_those_of_a_call_each(names: str, stages: int) -> None:
    wholes = _wholes(names, stages)
    together = check_sample_ratios(wholes, tolerance=0.01)
    assert together == [check_sample_ratio(whole, tolerance=0.01) for whole in wholes]
    assert [ratio is None for ratio in together] == [True, False, False, False, False]
    at_once = deviations_of(wholes[1:], 0.01, 0.05)
    for whole, found in zip(wholes[1:], at_once, strict=True):
        (alone,) = deviations_of([whole], 0.01, 0.05)
        assert np.array_equal(found.lower, alone.lower)
        assert np.array_equal(found.upper, alone.upper)
