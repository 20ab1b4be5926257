"""Late harm, warm-up, leaks and past storms, as a verdict tells them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.judge.started_harm import started_gross_gap
from analysis.metric_result import Classification
from analysis.plan import Plan, Role
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.pod_counts import PodCounts
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.changing_streams import (
    A_MINUTE,
    BUCKET_MS,
    STORM,
    Added,
    Stream,
    leak,
    plan_of,
    step,
    warming,
)

LIMITS = QualityLimits(split_tolerance=20.0)


def _verdict(
    stream: Stream,
    minute: int,
    *,
    seed: int = 1,
    objective: float | None = None,
    warm_up_ms: int | None = None,
    pods: int = 0,
) -> Verdict:
    arms = stream.counts(seed, 1)
    plan = plan_of(stream, objective=objective)
    if warm_up_ms is not None:
        plan = replace(plan, warm_up_ms=warm_up_ms)
    return _at(plan, arms, minute * A_MINUTE, pods)


def _at(plan: Plan, arms: tuple[BucketCounts, BucketCounts], end: int, pods: int = 0) -> Verdict:
    counts = {
        name: BucketCounts(arm.total[:, :end], arm.bad[:, :end])
        for name, arm in zip(("stable", "canary"), arms, strict=True)
    }
    evidence = RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={name: arm.total[0] for name, arm in counts.items()},
        metrics=("errors",),
        counts=counts,
        pods={"errors": {n: _pods(n, arm, pods) for n, arm in counts.items()}} if pods else {},
    )
    at_ms = end * BUCKET_MS
    return reach_verdict(plan, Evidence(evidence, None, Coverage(at_ms)), LIMITS, at_ms=at_ms)


def _pods(version: str, counts: BucketCounts, pods: int) -> PodCounts:
    """As many pods, equally good."""
    total, bad = (np.full(pods, x.sum() / pods) for x in (counts.total, counts.bad))
    return PodCounts(tuple(f"{version}-{i}" for i in range(pods)), total, bad)


def test_the_reason_says_since_when() -> None:
    found = _verdict(Stream(rate=1000, harm=step(31, 5)), 33)
    assert found.decision is Decision.ROLLBACK
    (metric,) = found.metrics
    assert metric.since is not None
    assert not metric.since.from_start
    assert abs(metric.since.start_ms / 60_000 - 31) <= 1
    assert metric.since.lower > metric.margin
    assert found.reasons[0].startswith("errors: since 00:3")
    assert "UTC canary has 5." in found.reasons[0]
    assert "harm since then at least" in found.reasons[0]


def test_harm_from_the_start_is_told_as_such() -> None:
    found = _verdict(Stream(rate=1000, harm=step(0, 3)), 10)
    assert found.decision is Decision.ROLLBACK
    assert found.reasons[0].startswith("errors: canary has 3.")


def test_equal_pods_hide_no_late_harm() -> None:
    assert _verdict(Stream(rate=1000, harm=step(31, 5)), 33, pods=5).decision is Decision.ROLLBACK


def test_pods_of_a_metric_that_decides_nothing_decide_nothing() -> None:
    plan = plan_of(Stream())
    shown = replace(plan, metrics=(replace(plan.metrics[0], role=Role.INFO),))
    found = _at(shown, Stream(rate=1000, harm=step(0, 5)).counts(1, 1), 40, pods=5)
    assert found.decision is Decision.HOLD
    assert found.metrics[0].bad_pods == ()


def test_the_warm_up_is_counted_but_not_judged_by_means() -> None:
    bad = Stream(rate=1000, harm=Added(9.0, end=1.0))
    warmed = _verdict(bad, 10)
    assert warmed.decision is Decision.HOLD
    (metric,) = warmed.metrics
    assert metric.candidate == pytest.approx(0.005, abs=0.002)
    assert metric.exposure_candidate == pytest.approx(10 * 60 * 50, rel=0.05)
    judged = _verdict(Stream(rate=1000, harm=warming(9)), 3, warm_up_ms=0)
    assert judged.decision is Decision.ROLLBACK


def test_in_the_warm_up_nothing_is_known_but_a_total_failure() -> None:
    found = _verdict(Stream(rate=1000, harm=step(0, 9)), 1)
    assert found.decision is Decision.HOLD
    assert found.reasons[0] == "warming up: 30 s left, in which only a total failure is judged"
    assert found.metrics[0].classification is Classification.UNCERTAIN
    for rate in (20.0, 100.0, 1000.0):
        failed = _verdict(Stream(rate=rate, harm=step(0, 99)), 1)
        assert failed.decision is Decision.ROLLBACK
        # What users met is said, though it is not judged by means yet.
        assert failed.metrics[0].candidate > 0.9


def test_a_start_that_is_over_holds_no_promote_while_the_mean_of_all_is_within() -> None:
    """Slow requests of the first three minutes: as of a version that is compiled while it runs."""
    over = [_verdict(Stream(slow=True, harm=warming(10)), 60, seed=s).decision for s in range(6)]
    assert over.count(Decision.PROMOTE) >= 5
    lasting = [
        _verdict(Stream(slow=True, harm=Added(10, end=12)), 60, seed=s).decision for s in range(3)
    ]
    assert Decision.PROMOTE not in lasting


def test_a_version_that_starts_may_be_worse_by_a_little_for_twice_its_warm_up() -> None:
    """Two points are judged from the fourth minute on, three at once after the warm-up."""
    little = [_verdict(Stream(rate=1000, harm=step(0, 2)), 3, seed=s).decision for s in range(4)]
    assert set(little) == {Decision.HOLD}
    later = [_verdict(Stream(rate=1000, harm=step(0, 2)), 6, seed=s).decision for s in range(4)]
    assert later.count(Decision.ROLLBACK) >= 3
    much = [_verdict(Stream(rate=1000, harm=step(0, 9)), 2, seed=s).decision for s in range(4)]
    assert set(much) == {Decision.ROLLBACK}


def test_a_leak_is_not_promoted_while_the_mean_is_within_the_margin() -> None:
    found = _verdict(Stream(rate=1000, harm=leak(2)), 12)
    assert found.metrics[0].excess.upper < 0
    assert found.decision is Decision.HOLD
    assert "a trend is not excluded that leads to harm" in found.reasons[0]


def test_what_the_last_part_shows_holds_a_promote() -> None:
    """A step of 0.9 points at minute 50: too small and too late to be proven."""
    found = _verdict(Stream(harm=step(45, 0.9)), 60, seed=4)
    assert found.decision is not Decision.PROMOTE


def test_an_objective_missed_by_both_in_a_storm_is_asked_of_the_last_part() -> None:
    found = _verdict(Stream(rate=1000, both=STORM), 60, objective=0.01)
    (metric,) = found.metrics
    assert metric.objective is not None
    assert metric.objective.state is Classification.PASS
    assert found.decision is Decision.PROMOTE
    spoiled = _verdict(Stream(rate=1000, both=STORM), 30, objective=0.01)
    assert spoiled.decision is Decision.HOLD


def test_a_storm_on_both_holds_no_promote_for_ever() -> None:
    found = [_verdict(Stream(both=STORM), 60, seed=seed) for seed in range(6)]
    assert sum(one.decision is Decision.PROMOTE for one in found) >= 5
    calm = [one for one in found if one.metrics[0].recent and one.metrics[0].recent.calm]
    assert calm
    assert all("stable too failed far more than usual" in one.reasons[0] for one in calm)


def test_a_storm_of_the_candidate_alone_is_none() -> None:
    """Only the baseline's failures make a storm."""
    found = _verdict(Stream(harm=Added(20.0, 20.0, 25.0)), 60)
    assert found.decision is not Decision.PROMOTE
    assert found.metrics[0].recent is None


def test_a_gross_gap_is_beyond_the_margin_and_within_all_there_is() -> None:
    margins = np.array([0.0, 0.001, 0.005, 0.05, 0.3, 0.9])
    gaps = started_gross_gap(margins)
    assert (gaps > margins).all()
    assert (gaps < 1).all()
