"""Weak harm in several metrics is found by all together, and says so; health and one harm are not.

Covers analysis.requests.joint_harm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.explain.reasons import explain
from analysis.metric_result import Classification
from analysis.plan import Plan, Role
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.joint_harm import joint_harm
from analysis.requests.paired_buckets import pair_buckets
from analysis.verdict import Decision, Verdict, reach_verdict
from tests.builders.changing_streams import A_MINUTE, BUCKET_MS
from tests.builders.joint_streams import NAMES, JointStream, joint_plan, seen, watch_joint

HALVES = JointStream(harm=(0.5, 0.5, 0.5))
WITH_A_SIGNAL = (Role.GUARDRAIL, Role.GUARDRAIL, Role.SIGNAL)
TOGETHER = "errors + slow + abandoned"


def _verdict(evidence: RequestEvidence, plan: Plan) -> Verdict:
    at_ms = len(evidence.stage) * BUCKET_MS
    limits = QualityLimits(split_tolerance=20.0)
    return reach_verdict(plan, Evidence(evidence, None, Coverage(at_ms)), limits, at_ms=at_ms)


def _evidence(stream: JointStream, minute: int = 40) -> RequestEvidence:
    return seen(stream.counts(1, 1), 0, minute * A_MINUTE)


def test_half_a_margin_in_three_metrics_rolls_back_and_says_why() -> None:
    found = _verdict(_evidence(HALVES), joint_plan())
    assert found.decision is Decision.ROLLBACK
    assert [metric.metric for metric in found.metrics] == [*NAMES, TOGETHER]
    assert all(m.classification is not Classification.FAIL for m in found.metrics[:3])
    (reason,) = found.reasons
    assert reason.startswith("errors, slow and abandoned together: since 00:0")
    assert "(together 1 is allowed): errors +0.2" in reason
    assert explain(found.metrics[3]) == reason


def test_signals_among_them_ask_a_person_who_may_approve() -> None:
    evidence, plan = _evidence(HALVES), joint_plan(WITH_A_SIGNAL)
    found = _verdict(evidence, plan)
    assert found.decision is Decision.HOLD
    assert found.reasons[0].startswith("errors, slow and abandoned together")
    assert "verdict approve joint" in found.reasons[1]
    together = found.metrics[3]
    assert together.holds
    allowed = together.excess.upper + together.margin
    approved = replace(plan, approved={(TOGETHER, "canary"): allowed})
    assert TOGETHER not in [metric.metric for metric in _verdict(evidence, approved).metrics]


@pytest.mark.parametrize(
    "harm",
    [(0.0, 0.0, 0.0), (0.95, 0.0, 0.0), (0.3, 0.3, 0.3), (0.6, 0.6, -0.35)],
)
def test_no_more_than_a_margin_in_sum_is_no_harm(harm: tuple[float, float, float]) -> None:
    found = _verdict(_evidence(JointStream(harm=harm)), joint_plan())
    assert found.decision is not Decision.ROLLBACK
    assert len(found.metrics) == 3


def test_metrics_of_one_outcome_count_once() -> None:
    """Twice the same failures with half a margin each are half a margin."""
    plan = joint_plan()
    errors, slow, other = plan.metrics
    twice = replace(plan, metrics=(errors, slow, replace(other, outcome="failure")))
    assert len(_verdict(_evidence(HALVES), twice).metrics) == 3


def test_a_signal_of_the_same_outcome_takes_no_guardrails_place() -> None:
    """A spec's signal before the guardrail: harm of both guardrails was for a person to decide."""
    evidence, plan = _evidence(HALVES), joint_plan()
    errors = replace(plan.metrics[0], name="all-errors", role=Role.SIGNAL)
    counts = {
        name: BucketCounts(arm.total[[0, 0, 1, 2]], arm.bad[[0, 0, 1, 2]])
        for name, arm in evidence.counts.items()
    }
    more = replace(evidence, metrics=("all-errors", *NAMES), counts=counts)
    found = _verdict(more, replace(plan, metrics=(errors, *plan.metrics)))
    assert found.decision is Decision.ROLLBACK
    assert TOGETHER in [metric.metric for metric in found.metrics]


def test_nothing_is_found_of_requests_that_may_be_as_bad_in_the_baseline() -> None:
    evidence = _evidence(HALVES)
    nobody = np.zeros_like(evidence.counts["canary"].total)
    left = evidence.counts["stable"].total - evidence.counts["stable"].bad
    unknown = {"stable": 0.01 * left, "canary": nobody}
    assert len(_verdict(replace(evidence, unknown=unknown), joint_plan()).metrics) == 3


def test_harm_that_begins_late_is_found_from_a_later_start() -> None:
    late = JointStream(harm=(1.0, 1.0, 1.0), begin=30)
    found = _verdict(_evidence(late, 58), joint_plan())
    assert found.decision is Decision.ROLLBACK
    assert "together: since 00:" in found.reasons[0]


def test_the_sum_is_that_of_the_metrics_in_margins() -> None:
    counts = _evidence(JointStream(harm=(0.5, 1.0, 0.5), rate=20_000)).counts
    margin = np.array([0.005, 0.01, 0.005])
    arms = counts["stable"], counts["canary"]
    found = joint_harm(*arms, margin, pair_buckets(*arms), arms[0])
    assert found.estimate[0] == pytest.approx(2.0, abs=0.1)
    assert found.lower(alpha=0.0015, n_opt=120.0)[0] == pytest.approx(1.8, abs=0.2)


def test_together_finds_what_no_metric_finds_and_no_health() -> None:
    found = watch_joint(HALVES, 5, 4, every=5)
    assert found.together[0] == 100
    assert found.alone[0] == 0
    for healthy in (JointStream(), JointStream(shock=1.0), JointStream(state=0.5, state_s=60)):
        assert watch_joint(healthy, 6, 4, every=11).together[0] == 0
