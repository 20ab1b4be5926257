"""Outcomes that don't reach the users that they are compared for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Sample
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.quality.outcome_checks import check_outcomes
from analysis.users.outcome_reach import OutcomeReach, VariantReach

HEALTHY = VariantReach(users=500, rows=120, counted=100, happened=100, same_day=3, sampled=100)


def plan_of(*, higher_is_better: bool = True) -> Plan:
    metric = MetricPlan(
        "bought",
        Unit.USER,
        Role.GUARDRAIL,
        Margin(0.05),
        higher_is_better=higher_is_better,
    )
    return Plan(
        experiment="quiz",
        baseline="a",
        candidates=("b",),
        metrics=(metric,),
        stages=(Stage(0, 86_400_000, {"a": 0.5, "b": 0.5}),),
        bucket_ms=3_600_000,
        alpha=0.05,
        minimum_ms=0,
        minimum_exposure=100,
        look_every_ms=3_600_000,
    )


def problem(reach: OutcomeReach, *, higher_is_better: bool = True) -> str | None:
    """What the one check says, if it fails."""
    pair = (Sample(np.array(500.0), np.array(0.2), np.array(0.16)),) * 2
    users = UserEvidence(
        {"bought": {"b": pair}},
        frozenset({"bought"}),
        {"a": 500, "b": 500},
        reach={"bought": (reach,)},
    )
    (check,) = check_outcomes(plan_of(higher_is_better=higher_is_better), users)
    assert check.name == "outcomes of bought"
    assert check.spoils == ()
    return None if check.passed else check.detail


def reach_of(
    a: VariantReach = HEALTHY, b: VariantReach = HEALTHY, **changes: object
) -> OutcomeReach:
    reach = OutcomeReach("buy", a.rows + b.rows, 0, {"a": a, "b": b})
    return replace(reach, **changes)  # type: ignore[arg-type]


def test_outcomes_that_reach_their_users_pass() -> None:
    assert problem(reach_of()) is None


def test_nothing_is_checked_before_anybody_has_a_final_value() -> None:
    users = UserEvidence(
        {}, frozenset(), {}, reach={"bought": (reach_of(VariantReach(), VariantReach()),)}
    )
    assert list(check_outcomes(plan_of(), users)) == []


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize(
    ("reach", "said"),
    [
        (
            reach_of(
                VariantReach(500), VariantReach(500), rows=140, foreign=140, examples=("u1", "1")
            ),
            "belongs to an exposed user: outcomes have ids such as 'u1', exposures '1'",
        ),
        (
            reach_of(
                VariantReach(3, alike=1), VariantReach(3), rows=1, foreign=1, examples=("u1", "1")
            ),
            "none of the 1 outcomes 'buy' belongs to an exposed user",
        ),
        (
            reach_of(b=VariantReach(500, alike=90), foreign=90, examples=("u2", "2")),
            "90 outcomes 'buy' reach no user of b only because of the form of their ids, 0 do",
        ),
        (
            reach_of(VariantReach(500, 60, just_before=60), VariantReach(500, 9, just_before=9)),
            "all 69 outcomes 'buy' come before their user's exposure",
        ),
        (
            reach_of(a=VariantReach(500, 60, just_before=60)),
            "all 60 outcomes 'buy' of a come before their user's exposure",
        ),
        (
            reach_of(b=replace(HEALTHY, dated=True, same_day=40)),
            "outcomes 'buy' of b are dates, all of one time of day: 40 of 120 lie before",
        ),
        (
            reach_of(b=VariantReach(500), others={"buy_v2": {"b": 80}}),
            "where 100 were expected; only b's users have 'buy_v2' (80 rows)",
        ),
        (
            reach_of(b=replace(HEALTHY, users_before=60)),
            "before their exposure, 0.0% of a's users had an outcome 'buy' and 12.0% of b's",
        ),
        (
            reach_of(b=replace(HEALTHY, repeated=50)),
            "0.0% of a's outcomes 'buy' equal another one, 50.0% of b's",
        ),
        (
            reach_of(b=replace(HEALTHY, without_value=50)),
            "0.0% of a's outcomes 'buy' have no value, 50.0% of b's",
        ),
        (
            reach_of(replace(HEALTHY, without_value=40), replace(HEALTHY, without_value=40)),
            "40.0% of a's outcomes 'buy' have no value (limit 10%): give each row one, 1 where",
        ),
    ],
)
def test_outcomes_that_are_lost_fail(
    reach: OutcomeReach, said: str, higher_is_better: bool
) -> None:
    assert said in str(problem(reach, higher_is_better=higher_is_better))


@pytest.mark.parametrize(
    "reach",
    [
        reach_of(foreign=100_000),
        reach_of(b=replace(HEALTHY, alike=3), foreign=3),
        reach_of(VariantReach(3), VariantReach(3), rows=9, foreign=9),
        reach_of(replace(HEALTHY, dated=True), replace(HEALTHY, dated=True), exposures_dated=True),
        reach_of(
            replace(HEALTHY, dated=True, same_day=0), replace(HEALTHY, dated=True, same_day=0)
        ),
        reach_of(
            replace(HEALTHY, just_before=900, users_before=300), replace(HEALTHY, users_before=290)
        ),
        reach_of(replace(HEALTHY, repeated=30), replace(HEALTHY, repeated=28)),
        reach_of(replace(HEALTHY, without_value=5), replace(HEALTHY, without_value=6)),
        # Nearly as many rows as users, of which half have several and a few are zero.
        reach_of(
            replace(HEALTHY, counted=370, happened=360, with_row=200),
            replace(HEALTHY, counted=465, happened=455, with_row=240),
        ),
        reach_of(b=replace(HEALTHY, happened=80), others={"gift": {"b": 80}}),
    ],
)
def test_what_users_just_do_is_no_fault(reach: OutcomeReach) -> None:
    assert problem(reach) is None
    assert problem(reach, higher_is_better=False) is None


def test_candidate_that_ends_what_users_did_is_harm_and_no_fault() -> None:
    ended = reach_of(b=VariantReach(500, 100, just_before=100, users_before=0))
    assert problem(ended) is None
    assert "come before" in str(problem(ended, higher_is_better=False))


def test_nobody_complains_where_complaints_belong_to_nobody() -> None:
    silent = reach_of(b=VariantReach(500), foreign=130)
    assert "have ids of another kind" in str(problem(silent, higher_is_better=False))
    assert problem(reach_of(b=VariantReach(500)), higher_is_better=False) is None
