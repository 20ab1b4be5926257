"""A hiccup of two buckets is no harm; the worst buckets of one that lasts are no hiccup."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.hiccups import worst_as_third

BASELINE = BucketCounts(np.full((1, 14), 1425.0), np.full((1, 14), 14.0))


def _times(bad: list[int], start: int, *, fixed: bool = False) -> list[float]:
    """How many times more the two worst buckets and the third count."""
    own = BucketCounts(np.full((1, len(bad)), 75.0), np.array([bad], dtype=np.float64))
    baseline = BucketCounts(BASELINE.total[:, : len(bad)], BASELINE.bad[:, : len(bad)])
    one = np.ones(1)
    _, times = worst_as_third(
        baseline,
        own,
        factor=one,
        gap=0.005 * one,
        row=np.zeros(1, dtype=np.int64),
        start=np.array([start]),
        fixed=fixed,
    )
    return [float(x) for x in times[:, 0]]


def test_two_buckets_that_stand_out_count_as_the_third() -> None:
    assert _times([1, 0, 1, 2, 0, 1, 15, 15, 1, 0, 1, 0, 1, 1], 0) == [-1, -1, 2]


def test_one_bucket_that_stands_out_is_enough() -> None:
    assert _times([1, 0, 1, 2, 0, 1, 15, 2, 1, 0, 1, 0, 1, 1], 0) == [-1, -1, 2]


def test_the_worst_of_a_harm_that_lasts_count_as_they_are() -> None:
    """What chance makes of 2.8 failures a bucket."""
    assert _times([3, 2, 5, 1, 3, 4, 2, 6, 0, 3, 2, 3, 1, 4], 0) == [0, 0, 0]


def test_since_a_later_start_they_count_as_the_third() -> None:
    """A start that is chosen afterwards is one at which the worst begins."""
    assert _times([3, 2, 5, 1, 3, 4, 2, 6, 0, 3, 2, 3, 1, 4], 2) == [-1, -1, 2]


def test_since_a_start_that_is_fixed_beforehand_only_what_stands_out_does() -> None:
    lasting = [3, 2, 5, 1, 3, 4, 2, 6, 0, 3, 2, 3, 1, 4]
    assert _times(lasting, 2, fixed=True) == [0, 0, 0]
    assert _times([*lasting[:10], 15, 15, 1, 2], 2, fixed=True) == [-1, -1, 2]


@pytest.mark.parametrize("start", [0, 1])
def test_without_a_third_bucket_the_worst_is_left_out(start: int) -> None:
    assert _times([3, 3, 3][: start + 2], start) == [-1, 0, 0]
