"""The sentences that a person on call reads, word by word."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.explain.reasons import describe_harm, explain
from analysis.explain.time_to_decision import missing_for_decision
from analysis.metric_result import Classification, Estimate, MetricResult, Objective
from analysis.plan import Margin, Role, Unit
from analysis.requests.pods import BadPod
from tests.builders.metric_results import ERRORS
from tests.builders.streams import BUCKET_MS, plan_for

PASS, FAIL, UNCERTAIN = Classification.PASS, Classification.FAIL, Classification.UNCERTAIN
NO_DATA = Classification.NO_DATA
CLICKS = replace(
    ERRORS,
    metric="clicks",
    unit=Unit.USER,
    role=Role.GOAL,
    margin=0.0,
    higher_is_better=True,
    is_share=False,
    baseline=2.0,
    candidate=2.5,
    excess=Estimate(-0.5, -0.8, -0.2),
)


def _spent(rise: Estimate, excess: Estimate) -> MetricResult:
    """Of a guardrail that may fall by 5 % of the baseline's 2."""
    state = FAIL if excess.lower > 0 else PASS
    guardrail = replace(CLICKS, role=Role.GUARDRAIL, margin=0.1, margin_relative=0.05)
    return replace(guardrail, classification=state, relative=rise, excess=excess)


SPENT = "clicks: canary has 2.5 per user, stable 2; "
VALUES = "errors: canary has 0.70 % of requests failed, stable 0.50 %; "


def _objective(state: Classification, *, shared: bool = False) -> Objective:
    return Objective(0.05, Estimate(0.06, 0.045, 0.075), state, shared)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (
            replace(ERRORS, classification=PASS, excess=Estimate(-0.004, -0.006, -0.001)),
            VALUES + "harm at most 0.40 points (margin 0.50)",
        ),
        (
            replace(ERRORS, classification=FAIL, excess=Estimate(0.02, 0.01, 0.03)),
            VALUES + "harm at least 1.50 points (margin 0.50)",
        ),
        (
            replace(ERRORS, classification=FAIL, objective=_objective(FAIL)),
            VALUES + "share at least 4.50 % (objective: at most 5.00 %)",
        ),
        (
            replace(ERRORS, classification=FAIL, gross=True, excess=Estimate(0.02, -0.01, 0.05)),
            VALUES + "a gross failure: far more than chance or a burst explains",
        ),
        (
            replace(ERRORS, classification=FAIL, gross=True, excess=Estimate(-0.003, -0.01, 0.05)),
            VALUES + "a gross failure in the warm-up or for a while: far more than chance or a "
            "burst explains",
        ),
        (
            replace(ERRORS, classification=PASS, edge_ms=1000.0, excess=Estimate(-1, -1, -0.005)),
            (
                "errors: canary has 0.70 % of requests slower than 1000 ms, stable 0.50 %; "
                "harm at most 0.00 points (margin 0.50)"
            ),
        ),
        (
            replace(CLICKS, classification=PASS),
            "clicks: canary has 2.5 per user, stable 2; gain at least 0.2",
        ),
        (
            replace(CLICKS, classification=FAIL, excess=Estimate(0.5, 0.2, 0.8)),
            "clicks: canary has 2.5 per user, stable 2; harm at least 0.2 (margin 0)",
        ),
        (
            _spent(Estimate(0.04, -0.0134, 0.114), Estimate(-0.18, -0.4, -0.07)),
            SPENT + "harm at most 1.34 % of stable's (margin 5 %)",
        ),
        (
            _spent(Estimate(0.04, 0.01, 0.114), Estimate(-0.18, -0.4, -0.12)),
            SPENT + "harm at most 0.00 % of stable's (margin 5 %)",
        ),
        (
            _spent(Estimate(-0.2, -0.3, -0.08), Estimate(0.3, 0.06, 0.5)),
            SPENT + "harm at least 8.00 % of stable's (margin 5 %)",
        ),
        (
            # The baseline may be 0: there is no part of it, and the harm in its unit decides.
            _spent(Estimate(-0.2, -np.inf, np.inf), Estimate(0.3, 0.06, 0.5)),
            "clicks: canary has 2.5 per user, stable 2; harm at least 0.16 (margin 0.1)",
        ),
    ],
)
def test_decided_metric_is_explained(result: MetricResult, sentence: str) -> None:
    assert explain(result) == sentence


def test_harm_so_far_is_in_the_unit_of_its_margin() -> None:
    found = _spent(Estimate(0.04, -0.08, 0.16), Estimate(-0.18, -0.4, 0.06))
    said = "harm between -16.00 % and 8.00 % of stable's so far (margin 5 %)"
    assert describe_harm(found) == said
    unbounded = _spent(Estimate(0.04, -np.inf, np.inf), found.excess)
    for absolute in (replace(found, margin_relative=0.0), unbounded):
        assert describe_harm(absolute) == "harm between -0.3 and 0.16 so far (margin 0.1)"


UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"))
ABSENT = replace(
    ERRORS,
    classification=NO_DATA,
    baseline=float("nan"),
    candidate=float("nan"),
    excess=UNKNOWN,
    exposure_baseline=180_000,
    exposure_candidate=0,
)


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (ABSENT, "errors: no data of canary (0 requests), stable has 180,000"),
        (
            replace(ABSENT, edge_ms=1000.0, exposure_baseline=0, exposure_candidate=7),
            "errors: no data of stable (0 requests), canary has 7",
        ),
        (
            replace(ABSENT, unit=Unit.USER, exposure_baseline=0),
            "errors: no data of canary (0 users) and stable (0 users)",
        ),
    ],
)
def test_metric_without_data_claims_nothing(result: MetricResult, sentence: str) -> None:
    assert explain(result) == sentence


def test_no_two_shares_are_further_apart_than_all() -> None:
    wide = replace(ERRORS, excess=Estimate(0.1, -3.0, 3.0))
    assert "harm at most 100.00 points" in explain(wide)
    far = replace(ERRORS, classification=FAIL, excess=Estimate(3.0, 2.0, 4.0))
    assert "harm at least 100.00 points" in explain(far)


AFTER = "a decision is likely after about 36056 more requests (19 min at the current rate)"
STATES = (
    "each version's share rises and falls for minutes by itself, which can't be told from harm; a "
    "longer plan or more pods would tell"
)
MORE_PODS = "more pods would help more than more time"
POD_SAID = (
    "Pod s-0 of {} fails 5.00 % of its requests, its 4 siblings 0.50 %: without it the difference "
    "is 0.10 points"
)
BAD_POD = BadPod("stable", "s-0", 0.05, 0.005, 4, 1000, 0.001, gross=False)
HARM = "harm between -0.30 points and 0.70 points so far (margin 0.50)"


@pytest.mark.parametrize(
    ("result", "minutes", "sentence"),
    [
        # The upper end is 0.005 off an estimate 0.003 below the margin: (5/3)^2 = 2.78 times
        # the data, so 1.78 times what there is, and one bucket.
        (
            ERRORS,
            10,
            f"{HARM}; {AFTER}",
        ),
        (ERRORS, 15, f"{HARM}; no decision is likely before the plan ends in 15 min"),
        (
            ERRORS,
            30,
            f"the plan has ended and the effect is smaller than this plan can detect; {HARM}",
        ),
        (
            replace(ERRORS, excess=Estimate(-0.003, -9.0, float("inf"))),
            10,
            (
                "harm between -100.00 points and 100.00 points so far "
                "(margin 0.50); not enough data yet to estimate the time to a decision"
            ),
        ),
        # Few buckets: 20 standard errors to the bound narrow with time, so 4 times as much will do.
        (
            replace(ERRORS, excess=Estimate(0.01, -0.03, 0.06)),
            5,
            (
                "harm between -2.50 points and 6.50 points so far (margin "
                "0.50); a decision is likely after about 61000 more requests (16 min at the "
                "current rate)"
            ),
        ),
        # The harm is all but proven: that the objective is open doesn't matter.
        (
            replace(
                ERRORS,
                excess=Estimate(0.01, -0.001, 0.03),
                objective=Objective(0.05, Estimate(0.049, 0.02, 0.08), UNCERTAIN, shared=False),
            ),
            10,
            (
                "harm between 0.40 points and 3.50 points so far (margin "
                "0.50); a decision is likely after about 2500 more requests (75 s at the current "
                "rate)"
            ),
        ),
        (
            replace(ERRORS, classification=NO_DATA),
            10,
            "too little data to compare: canary has 1,000, stable has 19,000 requests",
        ),
        (replace(ERRORS, persists=True), 10, f"{STATES}; {HARM}"),
        (replace(ERRORS, persists=True), 30, f"the plan has ended: {STATES}; {HARM}"),
        (
            replace(ERRORS, pods_differ=True),
            30,
            f"pods of one version differ by more than chance explains, so {MORE_PODS}; {HARM}",
        ),
        (
            replace(ERRORS, pods_differ=True, bad_pods=(BAD_POD,)),
            30,
            (
                "pods of stable differ by more than chance explains, so replace s-0 of stable, or "
                f"judge by more pods; {HARM}. {POD_SAID.format('stable')}"
            ),
        ),
        (
            replace(ERRORS, pods_differ=True, bad_pods=(replace(BAD_POD, variant="canary"),)),
            30,
            (
                f"pods of canary differ by more than chance explains, so {MORE_PODS}; {HARM}. "
                f"{POD_SAID.format('canary')}"
            ),
        ),
        (
            replace(ERRORS, objective=_objective(FAIL, shared=True)),
            10,
            "both versions miss the objective of 5.00 %, so canary is not the cause",
        ),
        (
            replace(
                ERRORS,
                excess=Estimate(-0.004, -0.006, -0.001),
                objective=_objective(UNCERTAIN, shared=True),
            ),
            30,
            (
                "the plan has ended and the objective is neither met nor missed with confidence; "
                "share between 4.50 % and 7.50 % (objective: at most 5.00 %)"
            ),
        ),
        (
            replace(CLICKS, metric="errors"),
            10,
            (
                "the gain is tested at the plan's end, in 20 min; "
                "gain between 0.2 and 0.8 so far (wanted: above 0)"
            ),
        ),
    ],
)
def test_open_metric_says_what_is_missing(
    result: MetricResult, minutes: int, sentence: str
) -> None:
    found = missing_for_decision(plan_for(), [result], at_ms=minutes * 4 * BUCKET_MS)
    assert found == (f"errors: {sentence}",)


@pytest.mark.parametrize(
    ("margin", "advice"),
    [
        (Margin(), "a margin of 0 is met only by what is surely better: set one above 0"),
        (Margin(0.0, 0.005), "0.5% of stable's 0 allows nothing: set an absolute margin"),
        (Margin(0.0, 0.075), "7.5% of stable's 0 allows nothing: set an absolute margin"),
    ],
)
@pytest.mark.parametrize("minutes", [8, 100])
def test_margin_of_nothing_is_told_what_would_help(
    margin: Margin, advice: str, minutes: int
) -> None:
    """Where neither version ever fails no time excludes harm beyond it."""
    plan = replace(plan_for(), metrics=(replace(plan_for().metrics[0], margin=margin),))
    none = Estimate(0.0, -0.0003, 0.0003)
    result = replace(ERRORS, baseline=0.0, candidate=0.0, margin=0.0, excess=none)
    (found,) = missing_for_decision(plan, [result], at_ms=minutes * 4 * BUCKET_MS)
    assert f"harm between -0.03 points and 0.03 points so far (margin 0); {advice}" in found


def test_goal_of_no_size_is_told_nothing_of_its_margin() -> None:
    (found,) = missing_for_decision(plan_for(), [replace(CLICKS, margin=0.0)], at_ms=40 * BUCKET_MS)
    assert "margin" not in found


def test_candidates_are_told_apart() -> None:
    plan = replace(plan_for(), candidates=("canary", "other"))
    results = [ERRORS, replace(ERRORS, candidate_variant="other")]
    found = missing_for_decision(plan, results, at_ms=40 * BUCKET_MS)
    assert [one.split(":")[0] for one in found] == ["errors of canary", "errors of other"]


def test_time_and_exposure_that_are_missing_come_first() -> None:
    few = replace(ERRORS, classification=PASS, exposure_candidate=40)
    assert missing_for_decision(plan_for(), [few], at_ms=4 * BUCKET_MS) == (
        "minimum duration 5 min: 4 min left",
        "canary has 40 requests; at least 100 are required",
    )


@pytest.mark.parametrize(
    ("fixed_horizon", "when"),
    [(False, ": users count 3.0 days after their first exposure"), (True, "")],
)
def test_users_without_a_final_value_are_waited_for(when: str, *, fixed_horizon: bool) -> None:
    """On the first days thousands may have come, of whom none counts yet."""
    spend = replace(plan_for().metrics[0], name="spend", unit=Unit.USER, window_ms=3 * 86_400_000)
    plan = replace(plan_for(), metrics=(spend,), is_users_fixed_horizon=fixed_horizon)
    none = replace(ABSENT, metric="spend", unit=Unit.USER, exposure_baseline=0)
    assert missing_for_decision(plan, [none], at_ms=100 * BUCKET_MS) == (
        f"stable has 0 users; at least 100 are required{when}",
        f"canary has 0 users; at least 100 are required{when}",
        f"spend: no data of canary (0 users) and stable (0 users){when}",
    )
