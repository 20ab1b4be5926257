"""What gaps in all scrapes prove: each by itself, all together, and for whom."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import RequestEvidence
from analysis.judge.over_gaps import with_gaps
from analysis.metric_result import Classification
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.metric_results import ERRORS

PASSES = replace(ERRORS, classification=Classification.PASS)
# Requests of stable in each gap and of canary, and how many of these fail; stable's fail by 0.5 %.
Gaps = list[tuple[int, int, int]]
FIVE_PERCENT: Gaps = [(8000, 2000, 100)]


def evidence_of(gaps: Gaps) -> RequestEvidence:
    stable, canary, failed = np.array(gaps or [(0, 0, 0)], float).T[:, None, : len(gaps)]
    counts = {
        "stable": BucketCounts(stable, np.round(stable * 0.005)),
        "canary": BucketCounts(canary, failed),
    }
    nothing = np.zeros((1, 0))
    return RequestEvidence(
        stage=np.zeros(0, np.int64),
        requests={},
        metrics=("errors",),
        counts=dict.fromkeys(counts, BucketCounts(nothing, nothing)),
        gaps=counts,
        gap_ends_ms=1_800_000_000_000 + 60_000 * np.arange(len(gaps)),
    )


def plan_of(role: Role, margin: Margin) -> Plan:
    metric = MetricPlan("errors", Unit.REQUEST, role, margin)
    guardrail = MetricPlan("other", Unit.REQUEST, Role.GUARDRAIL, margin)
    return Plan(
        experiment="web",
        baseline="stable",
        candidates=("canary",),
        metrics=(metric, guardrail),
        stages=(Stage(0, 1_800_000, {"stable": 0.8, "canary": 0.2}),),
        bucket_ms=15_000,
        alpha=0.05,
        minimum_ms=0,
        minimum_exposure=1,
        look_every_ms=60_000,
    )


@pytest.mark.parametrize(
    ("gaps", "margin", "is_harm"),
    [
        ([], Margin(0.005), False),
        ([(8000, 2000, 10)], Margin(0.005), False),
        (FIVE_PERCENT, Margin(0.005), True),
        (FIVE_PERCENT, Margin(0.05), False),
        (FIVE_PERCENT, Margin(0.0, 0.1), True),
        (FIVE_PERCENT, Margin(0.0, 20.0), False),
        # Three failures of a few requests are a burst.
        ([(400, 100, 3)], Margin(0.005), False),
        # One of many, and many of which none proves it alone.
        ([(8000, 2000, 10)] * 9 + FIVE_PERCENT, Margin(0.005), True),
        ([(3000, 700, 21)], Margin(0.005), False),
        ([(3000, 700, 21)] * 12, Margin(0.005), True),
        # Without one of the versions there is nothing to compare.
        ([(0, 2000, 2000)], Margin(0.005), False),
        ([(8000, 0, 0)], Margin(0.005), False),
        ([(0, 2000, 2000), (8000, 2000, 10)], Margin(0.005), False),
    ],
)
def test_harm_in_gaps_is_proven_beyond_bursts(gaps: Gaps, margin: Margin, *, is_harm: bool) -> None:
    plan = plan_of(Role.GUARDRAIL, margin)
    found = with_gaps(plan, evidence_of(gaps), plan.metrics[0], PASSES)
    expected = Classification.NO_DATA if is_harm else Classification.PASS
    assert found.classification is expected
    assert (found.unknown is not None) == is_harm


@pytest.mark.parametrize(
    ("role", "before", "approved", "after"),
    [
        (Role.GUARDRAIL, "pass", None, "no_data"),
        (Role.GOAL, "pass", None, "no_data"),
        (Role.SIGNAL, "pass", None, "fail"),
        (Role.SIGNAL, "uncertain", None, "fail"),
        (Role.INFO, "pass", None, "pass"),
        (Role.GUARDRAIL, "uncertain", None, "uncertain"),
        (Role.GUARDRAIL, "fail", None, "fail"),
        (Role.GUARDRAIL, "pass", 0.005, "pass"),
        (Role.SIGNAL, "pass", 0.005, "pass"),
    ],
)
def test_who_is_held_by_it(role: Role, before: str, approved: float | None, after: str) -> None:
    plan = plan_of(role, Margin(0.005))
    result = replace(ERRORS, role=role, classification=Classification(before), approved=approved)
    found = with_gaps(plan, evidence_of(FIVE_PERCENT), plan.metrics[0], result)
    assert found.classification.value == after
    assert found.holds == (role is Role.SIGNAL and after == "fail")
