"""How often users who came late keep a candidate from a pass: healthy ones, and harmful ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.arrays import FloatArray
from analysis.evidence import LateUsers, UserEvidence
from analysis.fixed.comparison import Pair, proportion_sample
from analysis.judge.user_metrics import judge_users
from analysis.metric_result import Classification
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit

RUNS, DAYS, USERS = 200, 14, 1000
END = 100_000


def _plan(role: Role) -> Plan:
    margin = Margin(absolute=0.03) if role is Role.GUARDRAIL else Margin()
    metric = MetricPlan("value", Unit.USER, role, margin, higher_is_better=False)
    return Plan("test", "a", ("b",), (metric,), (Stage(0, END, {}),), 10_000, 0.05, 0, 1, 28_000)


def _evidence(did: FloatArray) -> UserEvidence:
    """Of what both variants' users of each day did: float64[2, days]."""

    def pairs(days: slice) -> dict[str, Pair]:
        n = USERS * did[0, days].size
        return {
            "b": (
                proportion_sample(n, did[0, days].sum()),
                proportion_sample(n, did[1, days].sum()),
            )
        }

    late = tuple(
        LateUsers(f"day {since}", pairs(slice(since, None)), pairs(slice(since)))
        for since in (7, 11, 13)
    )
    return UserEvidence(
        {"value": pairs(slice(None))}, frozenset({"value"}), {}, late={"value": late}
    )


def _held(role: Role, course: FloatArray) -> tuple[int, int]:
    """Of runs that pass by all users, how many hold by those who came late."""
    rng = np.random.default_rng(3)
    plan, passed, held = _plan(role), 0, 0
    for _ in range(RUNS):
        evidence = _evidence(rng.binomial(USERS, course).astype(np.float64))
        [whole] = judge_users(plan, replace(evidence, late={}), "b", at_ms=END)
        [found] = judge_users(plan, evidence, "b", at_ms=END)
        if whole.classification is Classification.PASS:
            passed += 1
            held += found.classification is not Classification.PASS
    return passed, held


@pytest.mark.parametrize(
    ("role", "course", "share"),
    [
        (Role.GUARDRAIL, np.full((2, DAYS), 0.1), 0.01),
        (Role.GUARDRAIL, np.array([np.linspace(0.05, 0.4, DAYS)] * 2), 0.01),
        (Role.GOAL, np.array([[0.1] * DAYS, [0.085] * DAYS]), 0.01),
        (Role.GOAL, np.array([[0.1] * DAYS, [0.05] * 7 + [0.1] * 7]), 0.25),
    ],
    ids=["no effect", "a trend of both", "a gain", "a gain that is gone"],
)
def test_healthy_candidates_are_seldom_held(role: Role, course: FloatArray, share: float) -> None:
    passed, held = _held(role, course)
    assert passed > 0.9 * RUNS
    assert held <= share * passed


@pytest.mark.parametrize(
    ("role", "late", "days"),
    [(Role.GUARDRAIL, 0.18, 2), (Role.GUARDRAIL, 0.22, 1), (Role.GOAL, 0.15, 3)],
)
def test_harm_that_began_late_is_held(role: Role, late: float, days: int) -> None:
    early = 0.1 if role is Role.GUARDRAIL else 0.07
    course = np.array([[0.1] * DAYS, [early] * (DAYS - days) + [late] * days])
    passed, held = _held(role, course)
    assert passed > 0.9 * RUNS
    assert held >= 0.99 * passed
