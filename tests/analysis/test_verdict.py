"""The rules of a verdict, case by case, and how often they are wrong on simulated traffic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits
from analysis.plan import Plan, Role
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, Verdict, reach_verdict
from flows.formats.exit_codes import exit_code
from tests.builders.streams import (
    BUCKET_MS,
    Traffic,
    evidence_until,
    may_decide,
    plan_for,
    simulate,
)

LIMITS = QualityLimits(split_tolerance=3.0)
LOOKS = range(4, 121, 8)


def _verdict(traffic: Traffic, buckets: int = 120, *, plan: Plan | None = None) -> Verdict:
    baseline, candidate = simulate(np.random.default_rng(1), traffic)
    evidence = evidence_until(baseline, candidate, buckets)
    return reach_verdict(plan or plan_for(), evidence, LIMITS, at_ms=buckets * BUCKET_MS)


def test_healthy_canary_is_promoted_with_its_reason() -> None:
    verdict = _verdict(Traffic(rate=400))
    assert verdict.decision is Decision.PROMOTE
    assert exit_code(verdict.decision) == 0
    assert verdict.score == pytest.approx(100, abs=0.5)
    assert "harm at most" in verdict.reasons[0]


def test_harm_beyond_the_margin_is_rolled_back_with_its_reason() -> None:
    verdict = _verdict(Traffic(harm=0.03))
    assert verdict.decision is Decision.ROLLBACK
    assert exit_code(verdict.decision) == 1
    assert "harm at least" in verdict.reasons[0]
    assert "(margin 0.50)" in verdict.reasons[0]


def test_total_failure_is_rolled_back_within_the_first_minute() -> None:
    verdict = _verdict(Traffic(harm=0.99), buckets=3)
    assert verdict.decision is Decision.ROLLBACK
    assert "gross failure" in verdict.reasons[0]


def test_too_early_is_a_hold_that_says_how_long() -> None:
    verdict = _verdict(Traffic(rate=1000), buckets=12)
    assert verdict.decision is Decision.HOLD
    assert exit_code(verdict.decision) == 3
    assert verdict.reasons[0] == "minimum duration 5 min: 2 min left"


def test_harm_comes_before_what_is_still_missing() -> None:
    verdict = _verdict(Traffic(harm=0.3), buckets=12)
    assert verdict.decision is Decision.ROLLBACK
    assert not any("minimum duration" in reason for reason in verdict.reasons)


def test_too_few_requests_are_a_hold_however_good_they_look() -> None:
    plan = replace(plan_for(), minimum_exposure=10**6)
    verdict = _verdict(Traffic(rate=400), plan=plan)
    assert verdict.decision is Decision.HOLD
    assert verdict.reasons[-1].endswith("requests; at least 1000000 are required")


@pytest.mark.parametrize("role", [Role.INFO, Role.SIGNAL])
def test_without_a_metric_that_decides_nothing_is_promoted(role: Role) -> None:
    plan = plan_for()
    silent = replace(plan, metrics=tuple(replace(m, role=role) for m in plan.metrics))
    verdict = _verdict(Traffic(rate=400), plan=silent)
    assert verdict.decision is Decision.HOLD
    assert "no metric decides" in verdict.reasons[0]


def test_end_of_the_plan_without_a_decision_says_so() -> None:
    verdict = _verdict(Traffic(rate=20, harm=0.005))
    assert verdict.decision is Decision.HOLD
    assert "smaller than this plan can detect" in verdict.reasons[0]


def test_no_traffic_is_invalid() -> None:
    nothing = BucketCounts(np.zeros((1, 40)), np.zeros((1, 40)))
    baseline, _ = simulate(np.random.default_rng(1), Traffic(buckets=40))
    verdict = reach_verdict(
        plan_for(), evidence_until(baseline, nothing, 40), LIMITS, at_ms=40 * BUCKET_MS
    )
    assert verdict.decision is Decision.INVALID
    assert verdict.score is None
    assert exit_code(verdict.decision) == 4
    assert "no requests of canary up to the look" in verdict.reasons


@pytest.mark.parametrize("rate", [400, 100])
def test_candidate_that_no_longer_has_requests_is_not_promoted(rate: int) -> None:
    plan = plan_for()
    plan = replace(plan, stages=(replace(plan.stages[0], shares={}),))
    baseline, candidate = simulate(np.random.default_rng(1), Traffic(rate=rate))

    def verdict(last: int) -> Verdict:
        until = np.arange(120) < last
        ended = BucketCounts(candidate.total * until, candidate.bad * until)
        evidence = evidence_until(baseline, ended, 120)
        return reach_verdict(plan, evidence, LIMITS, at_ms=120 * BUCKET_MS)

    assert verdict(last=105).waits == ()
    found = verdict(last=80)
    assert found.decision is Decision.HOLD
    assert found.reasons[0].startswith("no request of canary in the last 300 s, where ")
    assert "a promote needs requests of both versions up to the look" in found.reasons[0]


@pytest.mark.parametrize(
    ("last", "expected"), [(117, Decision.PROMOTE), (116, Decision.HOLD), (101, Decision.HOLD)]
)
def test_candidate_whose_latest_requests_are_missing_is_not_promoted(
    last: int, expected: Decision
) -> None:
    """The clock of its cluster's server is behind, so its requests are those of minutes ago."""
    baseline, candidate = simulate(np.random.default_rng(1), Traffic(rate=1000))
    until = np.arange(120) < last
    ended = BucketCounts(candidate.total * until, candidate.bad * until)
    evidence = evidence_until(baseline, ended, 120)
    found = reach_verdict(plan_for(), evidence, LIMITS, at_ms=120 * BUCKET_MS)
    assert found.decision is expected, found.reasons
    waits = ["no request of canary in the last 60 s"] if expected is Decision.HOLD else []
    assert [wait.split(",")[0] for wait in found.waits] == waits


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("last", [116, 110, 100])
def test_candidate_whose_baseline_no_longer_has_requests_is_not_promoted(
    last: int, declared: bool
) -> None:
    """Most of its requests fail since then, which nothing is beside."""
    plan = plan_for()
    if not declared:
        plan = replace(plan, stages=(replace(plan.stages[0], shares={}),))
    before = np.arange(120) < last
    for seed in range(5):
        baseline, candidate = simulate(np.random.default_rng(seed), Traffic(rate=400))
        ended = BucketCounts(baseline.total * before, baseline.bad * before)
        bad = np.where(before, candidate.bad, 0.9 * candidate.total)
        evidence = evidence_until(ended, BucketCounts(candidate.total, bad), 120)
        found = reach_verdict(plan, evidence, LIMITS, at_ms=120 * BUCKET_MS)
        is_frozen = declared and last == 100
        assert found.decision is (Decision.INVALID if is_frozen else Decision.HOLD)
        waits = "no request of stable in the last 60 s, where "
        assert [wait.startswith(waits) for wait in found.waits] == [True]
        assert sum("no request of stable" in reason for reason in found.reasons) == 1


def test_last_part_without_requests_to_compare_is_said() -> None:
    baseline, candidate = (
        BucketCounts(one.total * (np.arange(120) < 50), one.bad * (np.arange(120) < 50))
        for one in simulate(np.random.default_rng(1), Traffic(rate=400))
    )
    evidence = evidence_until(baseline, candidate, 120)
    found = reach_verdict(plan_for(), evidence, LIMITS, at_ms=120 * BUCKET_MS)
    assert found.decision is Decision.HOLD
    assert found.reasons[0].startswith("no request of any version in the last 1050 s, where ")
    assert found.reasons[1].endswith("too few requests were seen to compare both versions")


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("ends", "pause", "said"),
    [
        (100, None, True),
        (101, None, False),  # not yet for as long as data may be stale
        (100, (60, 79), True),
        (100, (60, 80), False),  # it comes and goes
        (110, (60, 90), False),
    ],
)
def test_all_versions_without_requests_are_not_promoted(
    ends: int, pause: tuple[int, int] | None, said: bool, declared: bool
) -> None:
    """An outage of the whole service, maybe by the candidate, was a promote on what was before."""
    plan, at = plan_for(), np.arange(120)
    if not declared:
        plan = replace(plan, stages=(replace(plan.stages[0], shares={}),))
    begin, end = pause or (0, 0)
    seen = (at < ends) & ~((begin <= at) & (at < end))
    baseline, candidate = (
        BucketCounts(one.total * seen, one.bad * seen)
        for one in simulate(np.random.default_rng(1), Traffic(rate=1000))
    )
    evidence = evidence_until(baseline, candidate, 120)
    found = reach_verdict(plan, evidence, LIMITS, at_ms=120 * BUCKET_MS)
    assert found.decision is (Decision.HOLD if said else Decision.PROMOTE)
    assert [w.startswith("no request of any version in the last 300 s") for w in found.waits] == (
        [True] if said else []
    )


@pytest.mark.parametrize(
    ("coverage", "reason"),
    [
        (Coverage(watermark_ms=None), "no window has been pulled"),
        (Coverage(watermark_ms=10 * BUCKET_MS), "data ends 1650 s before the look"),
        (Coverage(120 * BUCKET_MS, {"canary": 0.3}), "30.00% of canary were seen by no scrape"),
        (Coverage(120 * BUCKET_MS, {}, {"canary": 0.1}), "10.00% of canary had an injected"),
    ],
)
def test_bad_data_is_invalid_and_never_a_promote(coverage: Coverage, reason: str) -> None:
    baseline, candidate = simulate(np.random.default_rng(1), Traffic(rate=400))
    good = evidence_until(baseline, candidate, 120)
    evidence = Evidence(good.requests, None, coverage)
    verdict = reach_verdict(plan_for(), evidence, LIMITS, at_ms=120 * BUCKET_MS)
    assert verdict.decision is Decision.INVALID
    assert verdict.score is None
    assert any(reason in one for one in verdict.reasons)


def test_objective_that_both_versions_violate_is_not_the_candidates_doing() -> None:
    plan = plan_for()
    plan = replace(plan, metrics=(replace(plan.metrics[0], objective=0.05),))
    verdict = _verdict(Traffic(rate=400, base=0.2), plan=plan)
    assert verdict.decision is Decision.HOLD
    assert "both versions miss the objective" in verdict.reasons[0]


def test_same_evidence_gives_the_same_verdict() -> None:
    assert repr(_verdict(Traffic(harm=0.01))) == repr(_verdict(Traffic(harm=0.01)))


def _decision(arms: tuple[BucketCounts, BucketCounts], run: int, buckets: int) -> Decision:
    one, other = (BucketCounts(counts.total[[run]], counts.bad[[run]]) for counts in arms)
    evidence = evidence_until(one, other, buckets)
    return reach_verdict(plan_for(), evidence, LIMITS, at_ms=buckets * BUCKET_MS).decision


def _outcomes(traffic: Traffic, runs: int) -> dict[Decision, float]:
    """Share of runs that were ever promoted or rolled back, by which came first."""
    arms = simulate(np.random.default_rng(20261123), traffic, runs)
    found = dict.fromkeys((Decision.ROLLBACK, Decision.PROMOTE), 0)
    undecided = np.ones(runs, dtype=np.bool_)
    for buckets in LOOKS:
        for run in np.flatnonzero(undecided & may_decide(plan_for(), *arms, buckets)).tolist():
            decision = _decision(arms, run, buckets)
            if decision in found:
                found[decision] += 1
                undecided[run] = False
    return {decision: count / runs for decision, count in found.items()}


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(harm=0.005),
        Traffic(harm=0.005, overdispersion=5),
        Traffic(harm=0.005, rate=20),
        Traffic(rate=400),
    ],
    ids=["at the margin", "bursts", "low traffic", "healthy"],
)
def test_looks_that_the_simulations_leave_out_decide_nothing(traffic: Traffic) -> None:
    """The tests below ask the judge at the others only, and so miss no decision."""
    runs = 8
    arms = simulate(np.random.default_rng(3), traffic, runs)
    for buckets in LOOKS:
        for run in np.flatnonzero(~may_decide(plan_for(), *arms, buckets)).tolist():
            assert _decision(arms, run, buckets) not in {Decision.ROLLBACK, Decision.PROMOTE}


@pytest.mark.parametrize(
    "traffic",
    [
        Traffic(harm=0.005),
        Traffic(harm=0.005, overdispersion=5),
        Traffic(harm=0.0, shock=1.0),
        Traffic(harm=0.005, rate=20),
    ],
    ids=["at the margin", "bursts", "shared shocks", "low traffic"],
)
def test_false_rollbacks_over_all_looks_stay_below_alpha(traffic: Traffic) -> None:
    runs = 300
    found = _outcomes(traffic, runs)
    assert found[Decision.ROLLBACK] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)


def test_three_points_of_harm_are_always_found() -> None:
    assert _outcomes(Traffic(harm=0.03), 40)[Decision.ROLLBACK] == 1.0


def test_one_point_of_harm_is_found_where_there_is_traffic_enough() -> None:
    assert _outcomes(Traffic(harm=0.01, rate=1000), 40)[Decision.ROLLBACK] == 1.0


@pytest.mark.parametrize("overdispersion", [1.0, 5.0], ids=["single failures", "bursts"])
def test_harm_at_the_margin_is_rarely_promoted(overdispersion: float) -> None:
    runs = 300
    found = _outcomes(Traffic(harm=0.005, overdispersion=overdispersion), runs)
    assert found[Decision.PROMOTE] <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / runs)
