"""Slow requests at the edges of a latency histogram, of a distribution that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from analysis.judge.started_harm import find_started_harm
from analysis.plan import Margin, Role
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from tests.builders.changing_streams import (
    Course,
    Stream,
    as_one_metric,
    plan_of,
    step,
    watch,
    watch_counts,
)
from tests.builders.latency_streams import EDGES_MS, LatencyStream, Slowed, slow_plan

# Of the edges next to p50, p90 and p99: the defaults.
MARGINS = (0.10, 0.05, 0.01)
RUNS = 20


def _course(stream: LatencyStream) -> Course:
    return watch_counts(slow_plan(stream.like, MARGINS), stream.counts(3, RUNS), on=True)


@pytest.mark.parametrize(
    ("harm", "median", "log_sd"),
    [(Slowed(), 40, 0.8), (Slowed(times=1.5), 60, 0.8), (Slowed(spread=1.3), 40, 1.04)],
)
def test_streams_have_the_shares_of_their_latencies(
    harm: Slowed, median: float, log_sd: float
) -> None:
    _, canary = LatencyStream(Stream(rate=1000), harm).counts(1, RUNS)
    share = canary.bad.sum(axis=(0, 2)) / canary.total.sum(axis=(0, 2))
    assert share == pytest.approx(norm.sf(np.log(EDGES_MS / median) / log_sd), rel=0.02)


def test_a_slow_tail_is_seen_at_its_edge_alone() -> None:
    """Beyond p90 twice as slow: what was slower than 125 ms is slower than 250."""
    _, canary = LatencyStream(Stream(rate=1000), Slowed(tail=2)).counts(1, RUNS)
    share = canary.bad.sum(axis=(0, 2)) / canary.total.sum(axis=(0, 2))
    own = np.array([*EDGES_MS[:2], 125])
    assert share == pytest.approx(norm.sf(np.log(own / 40) / 0.8), rel=0.02)


@pytest.mark.parametrize("harm", [Slowed(times=1.5), Slowed(tail=2), Slowed(spread=1.3)])
def test_a_slower_candidate_is_found_by_one_of_its_edges(harm: Slowed) -> None:
    share, minutes = _course(LatencyStream(Stream(buckets=60), harm)).found()
    assert share == 100
    assert minutes <= 8


@pytest.mark.parametrize("like", [Stream(shock=1), Stream(state=0.5, state_s=30)])
def test_versions_that_are_as_slow_are_not_rolled_back(like: Stream) -> None:
    assert _course(LatencyStream(like)).found()[0] == 0


@pytest.mark.parametrize(("rate", "ramp"), [(1000.0, True), (100.0, False)])
def test_states_of_minutes_that_the_baseline_has_too_are_no_gross_failure(
    rate: float, ramp: bool
) -> None:
    """All requests 1.35 times as long, or 0.74, in one standard deviation: 40 points for a while.

    Of 100 runs 6 are rolled back at 1000 a second in a ramp, 26 without regard to the states.
    """
    like = Stream(state=1.0, state_s=300, rate=rate, ramp=ramp)
    assert _course(LatencyStream(like)).found()[0] <= 15


@pytest.mark.parametrize(
    ("base", "state", "margin", "most"), [(0.1, 0.5, 0.02, 2), (0.02, 1.0, 0.01, 3)]
)
def test_states_that_fail_many_requests_are_no_gross_failure(
    base: float, state: float, margin: float, most: int
) -> None:
    """Of 50 runs 31 and 8 were rolled back without regard to the states."""
    like = Stream(rate=1000, ramp=True, base=base, state=state, state_s=60)
    rolled = watch(like, 21, 50, margin=margin, on=True).rolled_back
    assert np.isfinite(rolled).sum() <= most


@pytest.mark.parametrize("points", [50.0, 99.0])
def test_errors_beyond_any_state_are_found_within_a_minute(points: float) -> None:
    wild = Stream(base=0.02, state=1.0, state_s=60, harm=step(30, points))
    assert watch(wild, 21, 50, margin=0.01, on=True).found(30) == (100, 1)


@pytest.mark.parametrize("like", [Stream(rate=20), Stream(state=1.0, state_s=300)])
@pytest.mark.parametrize("at", [3.0, 10.0])
def test_a_version_that_hangs_is_found_within_a_minute_in_states_too(
    like: Stream, at: float
) -> None:
    stream = LatencyStream(replace(like, buckets=56), Slowed(times=25, begin=at))
    rolled = _course(stream).rolled_back
    assert (np.sort(rolled[rolled > at])[: RUNS * 3 // 4] == at + 1).all()


TIGHT = (Margin(0.02), Margin(0.01), Margin(0.005))
RELATIVE = (Margin(relative=0.1),) * 3


@pytest.mark.parametrize("margins", [tuple(map(Margin, MARGINS)), TIGHT, RELATIVE])
def test_a_version_that_starts_may_be_slower_whatever_the_margins(
    margins: tuple[Margin, ...],
) -> None:
    """Code that is compiled, for three minutes: 22 points more beyond the median, 16 beyond p90."""
    stream = LatencyStream(Stream(buckets=24), Slowed(times=1.6, end=3))
    plan = slow_plan(stream.like, MARGINS)
    metrics = (replace(one, margin=own) for one, own in zip(plan.metrics, margins, strict=True))
    plan = replace(plan, metrics=tuple(metrics))
    assert watch_counts(plan, stream.counts(3, RUNS), on=True).found()[0] <= 5
    lasting = replace(stream, harm=Slowed(times=1.6))
    assert watch_counts(plan, lasting.counts(3, RUNS), on=True).found() == (100, 4)


@pytest.mark.parametrize(("slow", "latest"), [(False, 2), (True, 4)])
def test_a_version_that_starts_may_be_slower_but_not_wrong(slow: bool, latest: float) -> None:
    """9 points more of 10 %, from the start, at 1000 a second."""
    stream = Stream(base=0.1, harm=step(0, 9), rate=1000.0, slow=slow, buckets=24)
    found, minute = watch(stream, 7, RUNS, on=True).found()
    assert found == 100
    assert minute <= latest


@pytest.mark.parametrize(("slow", "is_found"), [(False, True), (True, False)])
def test_a_signal_of_errors_is_excused_by_no_start_either(slow: bool, is_found: bool) -> None:
    """As a guardrail in test_a_version_that_starts_may_be_slower_but_not_wrong, at minute 3."""
    stream = Stream(base=0.1, harm=step(0, 9), rate=1000.0, slow=slow, buckets=12)
    plan = plan_of(stream)
    plan = replace(plan, metrics=(replace(plan.metrics[0], role=Role.SIGNAL),))
    arms = as_one_metric(stream.counts(7, 1))
    baseline, candidate = (BucketCounts(arm.total[0], arm.bad[0]) for arm in arms)
    pairs = pair_buckets(baseline, candidate)
    alpha, margin = np.array([0.05]), np.array([0.005])
    (found,) = find_started_harm(
        plan, (baseline, candidate), list(plan.metrics), alpha, margin, pairs, 6
    )
    assert found.present is is_found
