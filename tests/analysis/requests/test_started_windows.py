"""The schedule of starts, and what windows hold."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from analysis.requests.started_windows import RunningTotals, active_starts, merged


def _ramp() -> tuple[BucketCounts, BucketCounts]:
    """Six buckets at 5 %, six at 50 %; the base rate doubles with the split."""
    share = np.repeat([0.05, 0.5], 6)
    rate = np.repeat([0.01, 0.02], 6)
    arms = [1000 * part for part in (1 - share, share)]
    return BucketCounts(arms[0][None], (arms[0] * rate)[None]), BucketCounts(
        arms[1][None], (arms[1] * rate)[None]
    )


def test_starts_grow_in_number_with_the_logarithm_of_time() -> None:
    counts = [len(active_starts(buckets)) for buckets in (64, 128, 256, 512, 1024, 2048)]
    assert max(np.diff(counts)) <= 9


def test_a_recent_change_has_a_start_near_it() -> None:
    for buckets in (10, 100, 1000):
        starts = active_starts(buckets)
        assert starts[0] == 0
        for age in (2, 5, 20, 30):
            if age < buckets:
                assert np.abs(starts - (buckets - age)).min() <= 1


def test_a_window_of_the_whole_has_the_means_of_paired_buckets() -> None:
    arms = _ramp()
    zero = np.array([0])
    baseline, candidate = RunningTotals.of(*arms).between(zero, np.array([12]), zero)
    pairs = pair_buckets(*arms)
    assert baseline.share[0] == pairs.baseline[0]
    assert np.isclose(candidate.share[0], pairs.candidate[0])


def test_a_change_of_the_split_is_no_difference() -> None:
    """Pooled counts of the ramp would show the candidate worse by half a point."""
    arms = _ramp()
    zero = np.array([0])
    baseline, candidate = RunningTotals.of(*arms).between(zero, np.array([12]), zero)
    assert np.isclose(baseline.share[0], candidate.share[0])
    one, other = merged(*arms, 4)
    assert np.allclose(one.share, other.share)
    assert one.total.shape == (1, 3)


@pytest.mark.parametrize(
    ("also", "bad", "requests"),
    [([-1.0, 0.0], 10, 300), ([-1.0, 1.0], 20, 400), ([0.0, 2.0], 80, 600)],
    ids=["left out", "as another", "thrice"],
)
def test_a_bucket_can_be_left_out_or_count_more_often(
    also: list[float], bad: float, requests: float
) -> None:
    total = np.full((1, 4), 100.0)
    counts = BucketCounts(total, np.array([[0.0, 50.0, 10.0, 0.0]]))
    totals = RunningTotals.of(BucketCounts(total, counts.bad * 0), counts)
    zero = np.array([0])
    buckets = np.array([[1], [2]]), np.array(also)[:, None]
    _, candidate = totals.between(zero, np.array([4]), zero, buckets)
    assert np.isclose(candidate.total[0], requests)
    assert np.isclose(candidate.bad[0], bad)
