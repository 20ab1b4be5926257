"""Request metrics: margins, objectives, gross failures, and shares of alpha.

Covers analysis.judge.causes, analysis.judge.levels, analysis.judge.request_pods,
analysis.judge.request_tests, analysis.judge.total_failure, analysis.judge.unknown.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import RequestEvidence
from analysis.explain.reasons import explain
from analysis.explain.time_to_decision import missing_for_decision
from analysis.judge.request_metrics import judge_requests
from analysis.judge.request_tests import RequestTests
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.streams import plan_for


def _plan(margin: Margin, objective: float | None = None, role: Role = Role.GUARDRAIL) -> Plan:
    metric = MetricPlan("errors", Unit.REQUEST, role, margin, objective=objective)
    return replace(plan_for(), metrics=(metric,))


def _judge(plan: Plan, stable: float, canary: float, buckets: int = 120) -> MetricResult:
    """Constant shares of bad requests: 1000 and 200 requests a bucket."""
    counts = {
        name: BucketCounts(np.full((1, buckets), n), np.round(np.full((1, buckets), n * share)))
        for name, n, share in (("stable", 1000.0, stable), ("canary", 200.0, canary))
    }
    evidence = RequestEvidence(
        np.zeros(buckets, np.int64), {k: c.total[0] for k, c in counts.items()}, ("errors",), counts
    )
    return judge_requests(plan, evidence, "canary")[0]


@pytest.mark.parametrize("canary", [0.1, 0.105, 0.11, 0.12, 0.13, 0.2])
def test_relative_harm_of_requests_is_on_the_side_of_its_margin_that_decides(canary: float) -> None:
    found = _judge(_plan(Margin(relative=0.2)), 0.1, canary)
    harm = found.relative_harm
    assert harm is not None
    assert (harm.lower > 0.2, harm.upper <= 0.2) == (
        found.excess.lower > 0,
        found.excess.upper <= 0,
    )
    assert _judge(_plan(Margin(absolute=0.02)), 0.1, canary).relative_harm is None


@pytest.mark.parametrize(
    ("stable", "canary", "objective", "expected"),
    [
        (0.01, 0.01, None, Classification.PASS),
        (0.01, 0.06, None, Classification.FAIL),
        (0.01, 0.03, None, Classification.UNCERTAIN),
        (0.01, 0.01, 0.05, Classification.PASS),
        (0.045, 0.06, 0.05, Classification.FAIL),
        (0.08, 0.08, 0.05, Classification.UNCERTAIN),
        (0.05, 0.05, 0.05, Classification.UNCERTAIN),
        (0.08, 0.16, 0.05, Classification.FAIL),
    ],
)
def test_worst_of_margin_and_objective_counts(
    stable: float, canary: float, objective: float | None, expected: Classification
) -> None:
    found = _judge(_plan(Margin(absolute=0.02), objective), stable, canary)
    assert found.classification is expected


def test_harm_is_found_in_minutes_however_long_the_plan_is() -> None:
    found = [_judge(plan_for(hours * 240), 0.003, 0.05, buckets=20) for hours in (1, 6, 24, 7 * 24)]
    assert {one.classification for one in found} == {Classification.FAIL}
    assert len({one.excess.lower for one in found}) == 1
    assert max(one.excess.upper for one in found) < 0.15


def test_a_long_plan_allows_no_promote_before_anything_is_known() -> None:
    found = _judge(plan_for(7 * 24 * 240), 0.003, 0.003, buckets=8)
    assert found.classification is Classification.UNCERTAIN
    assert found.excess.lower < 0 < found.excess.upper


def test_coarse_buckets_are_not_tuned_to_a_handful_of_them() -> None:
    week = 7 * 86_400_000
    plan = replace(plan_for(), stages=(Stage(0, week, {}),), bucket_ms=300_000)
    assert plan.harm_buckets == 30
    assert plan.promote_buckets == 30
    assert replace(plan, stages=(Stage(0, 3_600_000, {}),)).harm_buckets == 6


def test_violated_objective_needs_no_baseline() -> None:
    found = _judge(_plan(Margin(absolute=0.02), 0.05), 0.0, 0.2)
    alone = _judge_without_baseline(_plan(Margin(absolute=0.02), 0.05), 0.2)
    assert found.classification is alone.classification is Classification.FAIL
    assert "canary has 20.00 % of requests failed, stable nothing; share at least" in explain(alone)
    unlimited = _judge_without_baseline(_plan(Margin(absolute=0.02)), 0.2)
    assert unlimited.classification is Classification.NO_DATA


def _judge_without_baseline(plan: Plan, canary: float) -> MetricResult:
    nothing = BucketCounts(np.zeros((1, 60)), np.zeros((1, 60)))
    arm = BucketCounts(np.full((1, 60), 200.0), np.full((1, 60), 200.0 * canary))
    counts = {"stable": nothing, "canary": arm}
    evidence = RequestEvidence(np.zeros(60, np.int64), {}, ("errors",), counts)
    return judge_requests(plan, evidence, "canary")[0]


def test_total_failure_is_gross_after_two_buckets() -> None:
    assert not _judge(_plan(Margin(absolute=0.005)), 0.01, 1.0, buckets=1).gross
    found = _judge(_plan(Margin(absolute=0.005)), 0.01, 1.0, buckets=2)
    assert found.gross
    assert found.classification is Classification.FAIL


@pytest.mark.parametrize(
    "margin", [Margin(relative=1.0), Margin(absolute=0.3), Margin(absolute=0.6)]
)
def test_harm_within_a_wide_margin_is_not_gross(margin: Margin) -> None:
    allowed = margin.absolute + margin.relative * 0.3
    found = _judge(_plan(margin), 0.3, 0.3 + 0.9 * allowed)
    assert not found.gross
    assert found.classification is Classification.PASS


def test_margin_may_be_relative_to_the_baseline() -> None:
    found = _judge(_plan(Margin(relative=0.5)), 0.1, 0.12)
    assert found.margin == pytest.approx(0.05)
    assert found.excess.value == pytest.approx(0.12 - 1.5 * 0.1)
    assert found.classification is Classification.PASS
    assert _judge(_plan(Margin(relative=0.5)), 0.1, 0.2).classification is Classification.FAIL


def test_goal_may_not_be_harmed_at_all() -> None:
    goal = _plan(Margin(absolute=0.5), role=Role.GOAL)
    assert _judge(goal, 0.1, 0.15).classification is Classification.FAIL
    assert _judge(goal, 0.1, 0.05).classification is Classification.PASS
    assert _judge(goal, 0.1, 0.1).classification is Classification.UNCERTAIN


def test_no_error_anywhere_passes_only_when_enough_was_seen() -> None:
    plan = _plan(Margin(absolute=0.005))
    assert _judge(plan, 0.0, 0.0, buckets=4).classification is Classification.UNCERTAIN
    found = _judge(plan, 0.0, 0.0)
    assert found.classification is Classification.PASS
    assert 0 < found.excess.upper + 0.005 < 0.005
    assert np.isnan(found.relative.value)


def test_alpha_is_shared_by_weight_over_metrics_and_candidates() -> None:
    metric = plan_for().metrics[0]
    heavy = replace(metric, name="slow", weight=3.0)
    plan = replace(plan_for(), candidates=("b", "c"), metrics=(metric, heavy))
    parts = [plan.harm_alpha(m) for m in plan.metrics]
    assert parts[1] == pytest.approx(3 * parts[0])
    assert 2 * sum(parts) == pytest.approx(plan.alpha / 2)
    assert 2 * plan.promote_alpha == pytest.approx(plan.alpha / 2)


def test_missing_evidence_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no request evidence"):
        judge_requests(plan_for(), None, "canary")


def _alone_after(
    buckets: int,
    share: float,
    planned: tuple[float, float],
    objective: float | None = 0.05,
    healthy: int = 0,
    tested: int = 60,
) -> MetricResult:
    """Healthy test traffic beside the baseline, then all traffic to a candidate that fails.

    healthy: for so many buckets it has all traffic before it fails. tested: those before that.
    """
    plan = _plan(Margin(absolute=0.02), objective)
    first, second = (
        Stage(i * 60_000, (i + 1) * 60_000, {"stable": part, "canary": 1 - part})
        for i, part in enumerate(planned)
    )
    plan = replace(plan, stages=(first, second), bucket_ms=1000)
    n = tested + healthy + buckets
    alone = np.arange(n) >= tested
    fails = np.arange(n) >= tested + healthy
    canary = np.where(alone, 200.0, 20.0)[None]
    stable = np.where(alone, 0.0, 200.0)[None]
    counts = {
        "stable": BucketCounts(stable, np.zeros((1, n))),
        "canary": BucketCounts(canary, np.round(canary * np.where(fails, share, 0.0))),
    }
    evidence = RequestEvidence(
        alone.astype(np.int64), {k: c.total[0] for k, c in counts.items()}, ("errors",), counts
    )
    return judge_requests(plan, evidence, "canary")[0]


def test_a_candidate_that_fails_with_all_the_traffic_is_found_in_its_second_bucket() -> None:
    found = _alone_after(2, 0.3, (1.0, 0.0))
    assert found.gross
    assert found.classification is Classification.FAIL
    assert "7.50 % of all requests do since it has the traffic alone" in explain(found)
    assert not _alone_after(1, 1.0, (1.0, 0.0)).gross


@pytest.mark.parametrize(
    ("buckets", "share", "objective", "found"),
    [
        (120, 0.0, 0.05, Classification.PASS),
        (120, 0.02, 0.05, Classification.PASS),
        # The whole meets it, as there was none in the test traffic.
        (6, 0.08, 0.05, Classification.UNCERTAIN),
        (2, 0.0, 0.001, Classification.UNCERTAIN),
        (120, 0.09, 0.05, Classification.FAIL),
        # Nothing is known of it since then.
        (600, 0.0, None, Classification.UNCERTAIN),
        (600, 0.08, None, Classification.UNCERTAIN),
        (600, 0.0, 0.05, Classification.PASS),
        (600, 0.04, 0.05, Classification.PASS),
        (600, 0.06, 0.05, Classification.FAIL),
    ],
)
def test_with_all_the_traffic_a_candidate_passes_by_its_objective_only(
    buckets: int, share: float, objective: float | None, found: Classification
) -> None:
    assert _alone_after(buckets, share, (1.0, 0.0), objective).classification is found


def test_a_candidate_that_has_begun_to_fail_with_all_the_traffic_does_not_pass() -> None:
    found = _alone_after(450, 0.1, (1.0, 0.0), healthy=28_800)
    assert found.classification is Classification.UNCERTAIN
    assert found.objective is not None
    assert found.objective.candidate.value > found.objective.limit
    assert _alone_after(450, 0.01, (1.0, 0.0), healthy=28_800).classification is Classification.PASS


@pytest.mark.parametrize(
    ("share", "found"),
    [
        (0.0, Classification.PASS),
        (0.01, Classification.PASS),
        (0.08, Classification.UNCERTAIN),
        (1.0, Classification.UNCERTAIN),
    ],
)
def test_without_an_objective_it_must_not_look_worse_than_the_baseline_did(
    share: float, found: Classification
) -> None:
    """Most of what was compared is healthy; nothing was since it has all traffic."""
    result = _alone_after(600, share, (1.0, 0.0), None, tested=7200)
    assert result.classification is found
    said = missing_for_decision(_plan(Margin(absolute=0.02)), [result], at_ms=10**9)
    told = f"its share is {share:.2%} since".replace("%", " %")
    assert (told in "".join(said)) is (found is Classification.UNCERTAIN)


def test_without_an_objective_an_outage_with_all_the_traffic_is_found_all_the_same() -> None:
    found = _alone_after(2, 1.0, (1.0, 0.0), None)
    assert found.classification is Classification.FAIL
    assert "alone (stable before, and the margin: at most 2.00 %)" in explain(found)
    assert not _alone_after(60, 0.4, (1.0, 0.0), None).gross


def test_near_its_objective_it_is_not_grossly_beyond_it() -> None:
    assert not _alone_after(60, 0.1, (1.0, 0.0)).gross


def test_where_the_baseline_should_have_traffic_the_objective_alone_is_not_enough() -> None:
    assert not _alone_after(10, 0.3, (1.0, 0.5)).gross


@pytest.mark.parametrize("harm", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("buckets", [3, 40, 120])
def test_metrics_in_one_batch_are_tested_as_each_alone(harm: float, buckets: int) -> None:
    rng, names = np.random.default_rng(buckets), ("errors", "slow", "aborted")
    metrics = [
        MetricPlan(name, Unit.REQUEST, role, Margin(0.01), objective=limit, above_ms=above)
        for name, role, limit, above in zip(
            names,
            (Role.GUARDRAIL, Role.GUARDRAIL, Role.SIGNAL),
            (None, 0.05, None),
            (None, 100, None),
            strict=True,
        )
    ]
    plan = replace(plan_for(), metrics=tuple(metrics), warm_up_ms=30_000)
    shares = np.array([0.01, 0.04, 0.1])[:, None]
    counts = {
        variant: BucketCounts(
            np.full((3, buckets), float(n)),
            rng.binomial(n, shares + worse, (3, buckets)).astype(float),
        )
        for variant, n, worse in (("stable", 1000, 0.0), ("canary", 200, harm))
    }
    evidence = RequestEvidence(np.zeros(buckets, np.int64), {}, names, counts)

    together = RequestTests.of(plan, evidence, metrics, "canary")

    for i, metric in enumerate(metrics):
        alone = RequestTests.of(plan, evidence, [metric], "canary")
        for told in (
            "excesses",
            "differences",
            "objectives",
            "gross",
            "alone",
            "started",
            "recent",
        ):
            assert _said(getattr(together, told)[i]) == _said(getattr(alone, told)[0])
        assert _said(together.relative()[i]) == _said(alone.relative()[0])
        assert together.classify(i) is alone.classify(0)


def _said(found: object) -> str:
    """To nine digits: roots of several rows are narrowed until the last one is found."""
    return re.sub(r"\d+\.\d+(?:e-?\d+)?", lambda number: f"{float(number[0]):.9g}", repr(found))
