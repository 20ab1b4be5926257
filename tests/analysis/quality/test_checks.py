"""The health score, and the checks that make a verdict invalid.

Covers analysis.quality.quality_check, analysis.quality.split_checks.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence, UserEvidence
from analysis.judge.judge_metrics import health_bounds, health_score
from analysis.metric_result import Classification, Estimate
from analysis.plan import Plan, Stage, Unit
from analysis.quality.checks import QualityCheck, check_quality
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, reach_verdict
from tests.builders.metric_results import ERRORS
from tests.builders.streams import BUCKET_MS, plan_for

FAIL = Classification.FAIL


def test_score_is_the_weighted_mean_probability() -> None:
    light = replace(ERRORS, probability_within_margin=0.2)
    heavy = replace(ERRORS, metric="slow", weight=3.0, probability_within_margin=1.0)
    assert health_score([light, heavy]) == 80.0


def test_critical_failure_makes_it_zero_and_another_failure_does_not() -> None:
    failed = replace(ERRORS, classification=FAIL, probability_within_margin=0.0)
    fine = replace(ERRORS, metric="slow", probability_within_margin=1.0)
    assert health_score([failed, fine]) == 50.0
    assert health_score([replace(failed, critical=True), fine]) == 0.0


@pytest.mark.parametrize(
    ("excess", "probability", "bounds"),
    [
        (Estimate(-0.004, -0.006, -0.002), 0.99, (99.0, 100.0)),  # proven within the margin
        (Estimate(-0.001, -0.006, 0.004), 0.7, (0.0, 100.0)),  # nothing proven
        (Estimate(0.02, 0.01, 0.03), 0.001, (0.0, 0.1)),  # proven beyond it
        (Estimate(0.0, -math.inf, math.inf), 0.5, (0.0, 100.0)),
    ],
)
def test_interval_of_the_score_is_what_is_proven(
    excess: Estimate, probability: float, bounds: tuple[float, float]
) -> None:
    metric = replace(ERRORS, excess=excess, probability_within_margin=probability)
    found = health_bounds([metric])
    score = health_score([metric])
    assert found == bounds
    assert found is not None
    assert score is not None
    assert found[0] <= score <= found[1]
    assert health_bounds([replace(metric, probability_within_margin=math.nan)]) is None


def test_worst_candidate_counts_and_metrics_without_data_do_not() -> None:
    bad = replace(ERRORS, candidate_variant="b", probability_within_margin=0.3)
    unknown = replace(ERRORS, metric="slow", probability_within_margin=float("nan"))
    assert health_score([replace(ERRORS, probability_within_margin=0.9), unknown, bad]) == 30.0
    assert health_score([unknown]) is None
    assert health_score([]) is None


def _requests(stable: list[float], canary: list[float], stage: list[int]) -> Evidence:
    requests = {"stable": np.array(stable), "canary": np.array(canary)}
    found = RequestEvidence(np.array(stage), requests, ("errors",), {})
    return Evidence(found, None, Coverage(watermark_ms=120 * BUCKET_MS))


def _named(plan: Plan, evidence: Evidence, name: str) -> QualityCheck:
    checks = check_quality(plan, evidence, QualityLimits(), at_ms=120 * BUCKET_MS)
    return next(check for check in checks if check.name == name)


def _names(plan: Plan, evidence: Evidence) -> set[str]:
    return {check.name for check in check_quality(plan, evidence, QualityLimits(), at_ms=0)}


def _staged(*shares: dict[str, float]) -> Plan:
    return replace(plan_for(), stages=tuple(Stage(i, i + 1, s) for i, s in enumerate(shares)))


def test_each_stage_is_held_against_its_own_split() -> None:
    plan = _staged({"stable": 0.95, "canary": 0.05}, {"stable": 0.5, "canary": 0.5})
    assert _named(plan, _requests([9500, 5010], [500, 4990], [0, 1]), "split of requests").passed
    assert not _named(
        plan, _requests([9500, 9000], [500, 1000], [0, 1]), "split of requests"
    ).passed


def test_without_a_configured_split_no_check_passes() -> None:
    assert "split of requests" not in _names(_staged({}), _requests([10], [90], [0]))
    assert "split of users" not in _names(*_users(_staged({}), 10, 90))


def _long(*shares: dict[str, float], buckets: int) -> Plan:
    """Stages of so many buckets each."""
    long = buckets * BUCKET_MS
    stages = (Stage(i * long, (i + 1) * long, s) for i, s in enumerate(shares))
    return replace(plan_for(), stages=tuple(stages))


def test_variant_configured_at_0_may_have_requests_only_around_a_change_of_the_split() -> None:
    """Blue 100 %, then green: some of blue's connections last for most of a minute."""
    plan = _long({"stable": 1.0, "canary": 0.0}, {"stable": 0.0, "canary": 1.0}, buckets=10)
    stage = [0] * 10 + [1] * 10
    late = [100.0] * 10 + [60.0, 40.0, 20.0, 10.0] + [0.0] * 6
    early = [0.0] * 10 + [40.0, 60.0, 80.0, 90.0] + [100.0] * 6
    assert _named(plan, _requests(late, early, stage), "split of requests").passed
    stays = [100.0] * 10 + [50.0] * 10
    found = _named(plan, _requests(stays, [0.0] * 10 + [50.0] * 10, stage), "split of requests")
    assert not found.passed
    assert found.detail.startswith(
        "split of requests: stable received 50.0 % of requests; none is configured in stage 2 of 2"
    )
    young = _named(plan, _requests([100.0], [100.0], [0]), "split of requests")
    assert young == QualityCheck(
        "split of requests", True, "no requests to compare with the split yet"
    )


@pytest.mark.parametrize(
    ("observed", "late", "passed"),
    [
        (True, 4, True),
        # Half of each stage is held against its split, whatever is late.
        (True, 12, False),
        (False, 4, False),
        (False, 0, True),
        (True, 0, True),
    ],
)
def test_the_wait_for_a_first_request_takes_no_requests_of_the_next_stage_for_this_ones(
    *, observed: bool, late: int, passed: bool
) -> None:
    """At 0.1 % of 30 a second it may last for a minute, and then all stages are off by that."""
    shares = [{"stable": 1 - share, "canary": share} for share in (0.001, 0.01, 0.1)]
    plan = replace(_long(*shares, buckets=20), is_start_observed=observed)
    stage = np.repeat([0, 1, 2], 20)
    real = np.minimum(np.arange(60) + late, 59) // 20
    canary = 450 * np.array([0.001, 0.01, 0.1])[real]
    evidence = _requests((450 - canary).tolist(), canary.tolist(), stage.tolist())
    assert _named(plan, evidence, "split of requests").passed is passed


def test_users_of_a_variant_configured_at_0_are_found() -> None:
    none = {"stable": 1.0, "canary": 0.0}
    assert not _named(*_users(_staged(none), 9500, 500), "split of users").passed
    assert _named(*_users(_staged(none), 9500, 0), "split of users").passed


def test_allowed_test_traffic_is_advised_only_where_it_is_looked_at() -> None:
    """`quality.test_traffic` is of requests: it changes nothing for users and new sessions."""
    plan = _long({"stable": 1.0, "canary": 0.0}, buckets=10)
    evidence = _requests([950.0] * 10, [950.0] * 10, [0] * 10)
    advice = "test traffic is allowed by `quality.test_traffic`"
    assert advice in _named(plan, evidence, "split of requests").detail
    assert evidence.requests is not None
    sticky = replace(evidence.requests, sessions=evidence.requests.requests)
    for which, (asked, seen) in {
        "split of users": _users(plan, 9500, 500),
        "split of new sessions": (plan, replace(evidence, requests=sticky)),
    }.items():
        found = _named(asked, seen, which)
        assert not found.passed
        assert advice not in found.detail, which


def _users(plan: Plan, a: int, b: int, mixed: int = 0) -> tuple[Plan, Evidence]:
    metric = replace(plan.metrics[0], unit=Unit.USER)
    exposed = {"stable": a, "canary": b}
    evidence = UserEvidence({}, frozenset(), exposed, mixed)
    return replace(plan, metrics=(metric,)), Evidence(None, evidence)


def test_users_are_checked_against_the_split_that_they_came_under() -> None:
    half = {"stable": 0.5, "canary": 0.5}
    assert not _named(*_users(_staged(half, half), 5300, 4700), "split of users").passed
    ramp = _staged({"stable": 0.9, "canary": 0.1}, half)
    plan, evidence = _users(ramp, 5300, 4700)
    assert "split of users" not in _names(plan, evidence)
    assert evidence.users is not None
    for first, second, passed in ((900, 4400, True), (500, 4800, False)):
        by_split = (
            {"stable": first, "canary": 1000 - first},
            {"stable": second, "canary": 9000 - second},
        )
        users = replace(evidence.users, exposed_by_split=by_split)
        assert _named(plan, Evidence(None, users), "split of users").passed is passed


@pytest.mark.parametrize(("mixed", "passed"), [(0, True), (90, True), (200, False)])
def test_users_in_two_variants_are_tolerated_up_to_a_limit(mixed: int, passed: bool) -> None:
    found = _named(*_users(plan_for(), 9500, 500, mixed), "mixed users")
    assert found.passed is passed


def test_missing_variant_is_named() -> None:
    found = _named(plan_for(), _requests([100], [0], [0]), "requests present")
    assert (found.passed, found.detail) == (False, "no requests of canary up to the look")


def test_only_variants_with_a_share_so_far_must_have_data() -> None:
    """A candidate that is at 0 until a later stage doesn't hide another one's harm."""
    shares = [{"stable": 0.9, "canary": 0.1, "late": 0.0}, {"stable": 0.8, "canary": 0.1}]
    shares[1]["late"] = 0.1
    plan = replace(_long(*shares, buckets=40), candidates=("canary", "late"))
    bad = {"stable": 0.01, "canary": 0.3, "late": 0.0}
    requests = {"stable": np.full(40, 900.0), "canary": np.full(40, 100.0), "late": np.zeros(40)}
    counts = {
        name: BucketCounts(n[None], np.round(n[None] * bad[name])) for name, n in requests.items()
    }
    seen = RequestEvidence(np.zeros(40, dtype=np.int64), requests, ("errors",), counts)
    end = 40 * BUCKET_MS
    evidence = Evidence(seen, None, Coverage(watermark_ms=end))
    found = reach_verdict(plan, evidence, QualityLimits(), at_ms=end)
    assert found.decision is Decision.ROLLBACK, found.reasons
    late = reach_verdict(plan, evidence, QualityLimits(), at_ms=end + BUCKET_MS)
    # Nothing is known of late, but canary fails grossly by itself.
    assert late.decision is Decision.ROLLBACK
    assert late.reasons[-1] == "nothing is compared: no requests of late up to the look"
    user_plan, users = _users(plan, 9000, 1000)
    (early,) = _present(user_plan, users, at_ms=end)
    (later,) = _present(user_plan, users, at_ms=end + BUCKET_MS)
    assert early.passed
    assert later.detail == "no users of late up to the look"


def _present(plan: Plan, evidence: Evidence, *, at_ms: int) -> list[QualityCheck]:
    found = check_quality(plan, evidence, QualityLimits(), at_ms=at_ms)
    return [check for check in found if check.name == "users present"]


def test_data_that_ends_long_before_the_look_is_stale() -> None:
    evidence = replace(_requests([950], [50], [0]), coverage=Coverage(watermark_ms=0))
    found = _named(plan_for(), evidence, "fresh data")
    assert found.detail == "data ends 1800 s before the look (limit 300 s)"
    assert not found.passed


def test_a_counter_that_stands_still_beside_one_that_moves_is_frozen() -> None:
    plan = _staged({"stable": 0.9, "canary": 0.1})
    silent = [10.0] * 30 + [0.0] * 30
    moving = [90.0] * 60
    found = _named(plan, _requests(moving, silent, [0] * 60), "moving counters")
    assert not found.passed
    assert "no request of canary in the last 300 s, where 180 were expected" in found.detail
    quiet = [0.1] * 60  # a request in ten buckets of the canary: none for a while is no wonder
    assert _named(
        plan, _requests([0.9] * 60, [*quiet[:40], *[0.0] * 20], [0] * 60), "moving counters"
    ).passed
    both = _requests([90.0] * 30 + [0.0] * 30, silent, [0] * 60)
    assert _named(plan, both, "moving counters").passed
    assert _named(plan, _requests(moving, [10.0] * 60, [0] * 60), "moving counters").passed
