"""What a version's own states may do is read off the baseline."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.own_states import FURTHEST_FAILED, FURTHEST_SLOW, reach_of_states
from tests.builders.changing_streams import Stream
from tests.builders.latency_streams import LOG_SD, LatencyStream, Slowed

RUNS = 40


def _reach(like: Stream, harm: Slowed | None = None) -> FloatArray:
    """By edge and run: float64[edges, runs]."""
    arms = LatencyStream(like, harm or Slowed()).counts(4, RUNS)
    by_edge = (
        [BucketCounts(one.total[:, edge], one.bad[:, edge]) for one in arms] for edge in range(3)
    )
    return np.stack([reach_of_states(*both, furthest=FURTHEST_SLOW) for both in by_edge])


@pytest.mark.parametrize("like", [Stream(), Stream(bursts=10), Stream(shock=1, shock_s=300)])
def test_sampling_bursts_and_shocks_of_both_are_no_states(like: Stream) -> None:
    """By default margins a failure is gross beyond that anyway, at the edges of p50, p90, p99."""
    found = _reach(like)
    assert np.median(found) < 0.3
    assert (found < np.array([[1.08], [0.7], [1.07]])).mean() > 0.95


def test_four_deviations_of_both_versions_states_are_within_reach() -> None:
    """By 0.15 of the logarithm; as few states were seen by a sixth more variance, or less."""
    found = np.median(_reach(Stream(rate=1000, state=0.5, state_s=300)))
    assert found == pytest.approx(4 * np.sqrt(2) * 0.15 / LOG_SD, rel=0.25)


def test_a_failure_of_two_minutes_does_not_hide_itself() -> None:
    like = Stream(buckets=88)
    failing = _reach(like, Slowed(times=25, begin=20))
    assert failing == pytest.approx(_reach(like), abs=0.2)


def test_no_states_reach_a_total_failure() -> None:
    """Five times as long is 2.0 of the logarithm's standard deviations."""
    assert _reach(Stream(state=3.0, state_s=300)).max() < np.log(5) / LOG_SD


def test_buckets_without_requests_say_nothing() -> None:
    silent = BucketCounts(np.zeros((1, 60)), np.zeros((1, 60)))
    none = BucketCounts(np.zeros((1, 0)), np.zeros((1, 0)))
    assert reach_of_states(silent, silent, furthest=1.0) == 0
    assert reach_of_states(none, none, furthest=1.0) == 0


def test_states_of_errors_reach_less_than_of_slow_requests() -> None:
    """Each row has its own limit."""
    wild = LatencyStream(Stream(rate=1000, state=3.0, state_s=300)).counts(4, 2)
    both = (BucketCounts(one.total[:, 0], one.bad[:, 0]) for one in wild)
    limits = np.array([FURTHEST_SLOW, FURTHEST_FAILED])
    found = reach_of_states(*(BucketCounts(x.total[:2], x.bad[:2]) for x in both), furthest=limits)
    assert found == pytest.approx(limits)
