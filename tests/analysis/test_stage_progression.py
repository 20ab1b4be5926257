"""What a controller does after a look: on, back, or stay; and when a person is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from analysis.stage_progression import Move, StageNow, next_move
from analysis.strategies.declaration import Found, StrategyFinding
from analysis.verdict import Decision, Verdict, reach_verdict

BUCKETS = 60
NOW = StageNow(
    number=1,
    of=3,
    elapsed_ms=70_000,
    seen_ms=60_000,
    shortest_ms=60_000,
    longest_ms=120_000,
    next_needs_approval=False,
    approved=False,
    next_compares=True,
)


def verdict_on(bad_of_canary: float, *findings: StrategyFinding) -> Verdict:
    """The verdict on a canary whose every bucket has so many bad requests; stable has 1 in 100."""
    plan = Plan(
        experiment="exam",
        baseline="stable",
        candidates=("canary",),
        metrics=(MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(absolute=0.005)),),
        stages=(Stage(0, BUCKETS * 1000, {"stable": 0.5, "canary": 0.5}),),
        bucket_ms=1000,
        alpha=0.05,
        minimum_ms=10_000,
        minimum_exposure=100,
        look_every_ms=10_000,
    )
    total = np.full((1, BUCKETS), 100.0)
    counts = {
        "stable": BucketCounts(total, total / 100),
        "canary": BucketCounts(total, np.full((1, BUCKETS), bad_of_canary)),
    }
    evidence = Evidence(
        RequestEvidence(
            stage=np.zeros(BUCKETS, dtype=np.int64),
            requests={name: c.total[0] for name, c in counts.items()},
            metrics=("errors",),
            counts=counts,
        ),
        None,
        Coverage(watermark_ms=BUCKETS * 1000),
    )
    return reach_verdict(plan, evidence, QualityLimits(), at_ms=BUCKETS * 1000, findings=findings)


def move(stage: StageNow, verdict: Verdict) -> tuple[Move, bool]:
    found = next_move(stage, verdict.decision, verdict.reasons, verdict.metrics, verdict.waits)
    return found.move, found.asks


UNDECIDED = verdict_on(1.0)
LIKELY_BAD = verdict_on(1.7)


def test_what_the_cases_are() -> None:
    assert UNDECIDED.decision is Decision.HOLD
    assert LIKELY_BAD.decision is Decision.HOLD
    assert UNDECIDED.metrics[0].probability_within_margin > 0.5
    assert LIKELY_BAD.metrics[0].probability_within_margin < 0.5


def test_shown_harm_goes_back_at_once_even_where_a_person_has_approved() -> None:
    harmful = verdict_on(30.0)
    assert harmful.decision is Decision.ROLLBACK
    early = replace(NOW, elapsed_ms=1000, seen_ms=500, approved=True)
    assert move(early, harmful) == (Move.ROLL_BACK, False)


def test_an_undecided_stage_goes_on_after_its_shortest_time() -> None:
    assert move(replace(NOW, seen_ms=59_999), UNDECIDED) == (Move.STAY, False)
    assert move(NOW, UNDECIDED) == (Move.ADVANCE, False)


def test_harm_is_excluded_before_a_stage_that_has_nothing_to_compare_with() -> None:
    before = replace(NOW, next_compares=False)
    told = next_move(before, UNDECIDED.decision, UNDECIDED.reasons, UNDECIDED.metrics)
    assert told.move is Move.STAY
    assert told.reason.endswith("; the next stage has nothing to compare with, so this one decides")
    assert move(replace(before, elapsed_ms=120_000), UNDECIDED) == (Move.STAY, True)
    assert move(replace(before, approved=True), UNDECIDED) == (Move.ADVANCE, False)
    excluded = verdict_on(0.0)
    assert move(before, replace(excluded, decision=Decision.HOLD)) == (Move.ADVANCE, False)


def test_the_last_stage_ends_by_a_promote_only() -> None:
    last = replace(NOW, number=3)
    assert move(last, UNDECIDED) == (Move.STAY, False)
    promoted = replace(UNDECIDED, decision=Decision.PROMOTE)
    assert move(last, promoted) == (Move.ADVANCE, False)


@pytest.mark.parametrize(
    "verdict", [LIKELY_BAD, replace(UNDECIDED, decision=Decision.INVALID)], ids=["bad", "invalid"]
)
def test_a_stage_that_cannot_be_decided_stays_and_asks_a_person(verdict: Verdict) -> None:
    assert move(NOW, verdict) == (Move.STAY, False)
    late = replace(NOW, elapsed_ms=120_000)
    assert move(late, verdict) == (Move.STAY, True)
    assert move(replace(late, approved=True), verdict) == (Move.ADVANCE, False)


def test_a_stage_that_needs_approval_waits_for_it() -> None:
    guarded = replace(NOW, next_needs_approval=True)
    assert move(guarded, UNDECIDED) == (Move.STAY, True)
    assert move(replace(guarded, approved=True), UNDECIDED) == (Move.ADVANCE, False)


@pytest.mark.parametrize(
    ("found", "said"),
    [(Found.WAIT, "the breaker never opened"), (Found.UNFIT, "the assignment is off")],
)
def test_what_a_strategy_does_not_know_holds_the_stage_and_asks_a_person_in_time(
    found: Found, said: str
) -> None:
    unknown = verdict_on(1.0, StrategyFinding("breaker", found, said))
    assert unknown.reasons[0] == said
    assert move(NOW, unknown) == (Move.STAY, False)
    late = replace(NOW, elapsed_ms=120_000)
    assert move(late, unknown) == (Move.STAY, True)
    assert move(replace(late, approved=True), unknown) == (Move.ADVANCE, False)
    known = verdict_on(1.0, StrategyFinding("breaker", Found.GOOD, "opened twice"))
    assert move(NOW, known) == (Move.ADVANCE, False)
