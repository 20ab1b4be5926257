"""Harm that begins at any time is found, and its absence raises no alarm."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.later_starts import Null, StartedHarm, harm_from_any_start
from analysis.requests.started_windows import watched_buckets
from analysis.sequential.confidence_sequence import one_sided_log_e, one_sided_multiplier
from tests.builders.changing_streams import A_MINUTE, STORM, Stream, leak, step, warming, watch

MARGIN, ALPHA = 0.005, 0.0125


Arms = tuple[BucketCounts, BucketCounts]


def _judged(arms: Arms, buckets: int, *, gross: bool = False) -> StartedHarm:
    one = np.ones(len(arms[0].total))
    gap = 0.015 if gross else MARGIN
    null = Null(gap * one, one, ALPHA * one, buckets, gross)
    return harm_from_any_start(watched_buckets(*arms), null)


def _until(arms: Arms, end: int) -> Arms:
    baseline, candidate = (BucketCounts(c.total[:, :end], c.bad[:, :end]) for c in arms)
    return baseline, candidate


def _found(stream: Stream, end: int, runs: int, *, gross: bool = False) -> StartedHarm:
    return _judged(_until(stream.counts(7, runs), end), stream.buckets, gross=gross)


def test_the_threshold_is_that_of_the_one_sided_sequence() -> None:
    """So a single start decides as a bound of its level does."""
    n, alpha = np.array([8.0, 40.0, 240.0]), np.full(3, 0.0125)
    z = one_sided_multiplier(n, alpha=0.0125, n_opt=60.0)
    log_e = one_sided_log_e(z, n, alpha, np.full(3, 60.0))
    assert (log_e >= -np.log(0.0125) - 0.05).all()
    assert (one_sided_log_e(z - 0.3, n, alpha, np.full(3, 60.0)) < -np.log(0.0125)).all()


def test_a_late_step_is_found_with_its_start_and_its_size() -> None:
    """The plan's mean over 34 minutes is 1.1 points: the harm since minute 30 is 5 points."""
    found = _found(Stream(harm=step(30, 5)), 34 * A_MINUTE, 40)
    assert (found.log_e >= 0).mean() > 0.9
    known = found.log_e >= 0
    assert np.abs(np.median(found.start[known]) / A_MINUTE - 30) <= 1
    harm = found.candidate[known] - found.baseline[known]
    assert np.median(harm) == pytest.approx(0.05, abs=0.01)
    assert ((found.lower >= MARGIN) & (found.lower < 0.05))[known].all()


def test_health_is_no_harm_since_any_start() -> None:
    found = _found(Stream(), 240, 100)
    assert (found.log_e < 0).all()


def test_what_is_over_is_not_harm_any_more() -> None:
    """Three bad minutes, four minutes ago."""
    found = _found(Stream(rate=1000, harm=warming(3)), 7 * A_MINUTE, 40)
    assert (found.log_e < 0).all()


def test_one_bucket_decides_nothing() -> None:
    arms = Stream(rate=1000).counts(3, 1)
    arms[1].bad[0, 200] = 0.5 * arms[1].total[0, 200]
    for gross in (False, True):
        assert _judged(_until(arms, 202), 240, gross=gross).log_e[0] < 0


def test_a_gross_harm_is_found_without_a_history() -> None:
    found = _found(Stream(rate=1000, harm=step(0, 5)), 2 * A_MINUTE, 40, gross=True)
    assert (found.log_e >= 0).mean() > 0.9


def test_runs_are_judged_each_for_itself() -> None:
    """As many rows give what each alone gives."""
    arms = _until(Stream(harm=step(20, 3)).counts(4, 6), 100)
    together = _judged(arms, 240)
    for i in range(6):
        one, other = (BucketCounts(c.total[[i]], c.bad[[i]]) for c in arms)
        alone = _judged((one, other), 240)
        assert alone.log_e[0] == pytest.approx(together.log_e[i])
        assert alone.start[0] == together.start[i]


def test_nothing_yet_is_no_evidence() -> None:
    empty = BucketCounts(np.zeros((1, 0)), np.zeros((1, 0)))
    assert _judged((empty, empty), 240).log_e[0] == -np.inf
    silent = BucketCounts(np.full((1, 9), 50.0), np.zeros((1, 9)))
    nobody = BucketCounts(np.zeros((1, 9)), np.zeros((1, 9)))
    assert _judged((silent, nobody), 240).log_e[0] == -np.inf


def test_a_step_late_in_a_long_plan_is_found() -> None:
    """After four hours, windows of hours are looked at in wider buckets."""
    stream = Stream(rate=1000, harm=step(240, 2), buckets=1920)
    found = _found(stream, 245 * A_MINUTE, 10)
    assert (found.log_e >= 0).all()
    slow = Stream(rate=1000, harm=step(100, 1), buckets=1920)
    assert (_found(slow, 240 * A_MINUTE, 10).log_e >= 0).all()


@pytest.mark.parametrize(
    "stream",
    [
        Stream(bursts=10),
        Stream(rate=1000, state=0.5, state_s=300),
        Stream(rate=1000, shock=1.0, ramp=True),
        Stream(both=STORM),
        Stream(rate=1000, base=0.01, harm=warming(3)),
        Stream(rate=20, ramp=True, bursts=3),
    ],
    ids=["bursts", "own states", "shared shocks", "storm on both", "JIT", "low traffic"],
)
def test_no_alarm_over_an_hour_of_looks(stream: Stream) -> None:
    """At most alpha / 2, with three standard errors of so few runs."""
    share, _ = watch(stream, 11, 40, on=True).found()
    assert share <= 100 * (0.025 + 3 * np.sqrt(0.025 * 0.975 / 40))


def test_a_step_of_two_points_at_half_time_is_found_in_minutes() -> None:
    found, median = watch(Stream(rate=1000, harm=step(30, 2)), 13, 30, on=True).found(30)
    assert found == 100
    assert median <= 4


def test_a_leak_is_found_and_never_promoted() -> None:
    course = watch(Stream(rate=1000, harm=leak(2)), 17, 40)
    assert course.healthy == 0
    assert course.found()[0] == 100


def test_slow_requests_from_the_start_are_found_by_minute_five() -> None:
    """A spread of latency 1.3 times as large: 3.7 % above the baseline's p99, not 1 %."""
    course = watch(Stream(slow=True, base=0.01, harm=step(0, 2.7)), 23, 60, on=True)
    assert (course.rolled_back <= 5).mean() > 0.45
