"""Little traffic: nothing alarms, nothing is promoted too early, and what is missing is said."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.evidence import QualityLimits
from analysis.metric_result import Classification
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.streams import (
    BUCKET_MS,
    Traffic,
    evidence_until,
    may_decide,
    plan_for,
    simulate,
)

# A canary of one request a minute strays from its 5 % by chance alone.
LIMITS = QualityLimits(split_tolerance=20.0)
PER_MINUTE = 1 / 60


def _counts(total: list[float], bad: list[float]) -> BucketCounts:
    return BucketCounts(np.array([total], float), np.array([bad], float))


def _verdict(baseline: BucketCounts, candidate: BucketCounts, buckets: int) -> Verdict:
    plan = plan_for(baseline.total.shape[1])
    evidence = evidence_until(baseline, candidate, buckets)
    return reach_verdict(plan, evidence, LIMITS, at_ms=buckets * BUCKET_MS)


def _decisions(traffic: Traffic, runs: int, seed: int = 1) -> list[set[Decision]]:
    """The decisions of all looks of each run, where there can be one."""
    arms = simulate(np.random.default_rng(seed), traffic, runs)
    found: list[set[Decision]] = [set() for _ in range(runs)]
    for look in range(4, traffic.buckets + 1, 8):
        for run in np.flatnonzero(may_decide(plan_for(traffic.buckets), *arms, look)).tolist():
            one, other = (BucketCounts(c.total[[run]], c.bad[[run]]) for c in arms)
            found[run].add(_verdict(one, other, look).decision)
    return found


@pytest.mark.parametrize("base", [0.0, 0.005, 0.3])
@pytest.mark.parametrize("rate", [PER_MINUTE, 0.3, 2.0])
def test_a_request_a_minute_decides_nothing(rate: float, base: float) -> None:
    """From 30 requests in half an hour to 3600, of which the canary has a twentieth."""
    found = set().union(*_decisions(Traffic(rate=rate, base=base), 12))
    assert found <= {Decision.HOLD, Decision.INVALID}


def test_two_failures_of_three_requests_are_no_alarm() -> None:
    """Nor is every failure of a canary that nobody else has called."""
    baseline = _counts([30.0] * 60, [0.0] * 60)
    few = np.zeros((1, 60))
    few[0, [10, 30, 50]] = 1
    for bad in ([0, 1, 1], [1, 1, 1]):
        failures = np.zeros((1, 60))
        failures[0, [10, 30, 50]] = bad
        found = _verdict(baseline, BucketCounts(few, failures), 60)
        assert found.decision is Decision.HOLD


def test_total_failure_is_found_even_at_a_request_a_minute() -> None:
    """Every request of the canary fails, one a minute: rolled back before the hour is over."""
    total = np.zeros((1, 240))
    total[0, ::4] = 1
    baseline = _counts([30.0] * 240, [0.0] * 240)
    looks = [
        _verdict(baseline, BucketCounts(total, total), look).decision for look in range(8, 241, 8)
    ]
    assert looks[0] is Decision.HOLD
    assert Decision.PROMOTE not in looks
    assert looks[-1] is Decision.ROLLBACK


def test_zero_errors_promote_only_once_enough_was_seen() -> None:
    """To see less than half a point takes hundreds of requests without an error, not fifty."""
    first = None
    for buckets in range(4, 481, 4):
        baseline = _counts([95.0] * 480, [0.0] * 480)
        candidate = _counts([5.0] * 480, [0.0] * 480)
        found = _verdict(baseline, candidate, buckets)
        assert found.decision in (Decision.HOLD, Decision.PROMOTE)
        if found.decision is Decision.PROMOTE:
            first = buckets * 5
            break
    # The rule of three: no error in n requests bounds the share at 3 / n, here 600 at 95 %.
    assert first is not None
    assert first >= 600


def test_what_is_missing_is_said_with_a_number() -> None:
    arms = simulate(np.random.default_rng(2), Traffic(rate=2.0))
    found = _verdict(*arms, 40)
    assert found.decision is Decision.HOLD
    text = " ".join(found.reasons)
    assert "canary has " in text
    assert "at least 100 are required" in text
    assert "harm between" in text
    assert "more requests" in text or "no decision is likely before the plan ends" in text


def test_without_any_error_the_outlook_is_finite() -> None:
    """The estimate is 0.5 points within the margin, so time alone decides."""
    found = _verdict(_counts([95.0] * 480, [0.0] * 480), _counts([5.0] * 480, [0.0] * 480), 80)
    assert found.decision is Decision.HOLD
    assert "a decision is likely after about" in found.reasons[-1]


def test_no_request_of_the_canary_is_no_data_and_says_so() -> None:
    found = _verdict(_counts([95.0] * 60, [1.0] * 60), _counts([0.0] * 60, [0.0] * 60), 40)
    assert found.decision is Decision.INVALID
    assert "no requests of canary" in found.reasons[0]
    assert found.metrics[0].classification is Classification.NO_DATA


def test_minutes_without_traffic_change_no_estimate() -> None:
    """A night in which nobody came, in the middle: the same means, and not one bucket more."""
    rng = np.random.default_rng(3)
    total, bad = rng.poisson(20, (2, 1, 40)), rng.binomial(20, 0.1, (2, 1, 40))
    arms = [
        BucketCounts(np.maximum(t, b).astype(float), b.astype(float))
        for t, b in zip(total, bad, strict=True)
    ]
    night = np.zeros((1, 200))
    gaps = [
        BucketCounts(
            np.concatenate([c.total[:, :20], night, c.total[:, 20:]], axis=1),
            np.concatenate([c.bad[:, :20], night, c.bad[:, 20:]], axis=1),
        )
        for c in arms
    ]
    ours, theirs = pair_buckets(*arms), pair_buckets(*gaps)
    assert theirs.buckets[0] == pytest.approx(ours.buckets[0])
    assert theirs.contrast().estimate[0] == pytest.approx(ours.contrast().estimate[0])
    assert theirs.contrast().standard_error[0] == pytest.approx(
        ours.contrast().standard_error[0], rel=0.3
    )


def test_buckets_that_only_one_version_has_weigh_nothing() -> None:
    alternating = [float(i % 2) * 50 for i in range(40)]
    other = [50.0 - n for n in alternating]
    found = pair_buckets(_counts(alternating, [0.0] * 40), _counts(other, other)).contrast()
    assert found.buckets[0] == 0
    assert np.isnan(found.estimate[0])


def test_sparse_streams_alarm_no_oftener_than_alpha() -> None:
    """Three requests a bucket, one in ten fails in either version: harm is far from proven."""
    traffic = Traffic(rate=4.0, split=0.05, base=0.1)
    runs = 15
    wrong = sum(Decision.ROLLBACK in found for found in _decisions(traffic, runs))
    assert wrong == 0
