"""Signals, requests of which it isn't known whether they are bad, and what harm is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import CauseCounts, Coverage, Evidence, QualityLimits, RequestEvidence
from analysis.judge.judge_metrics import health_score, judge_metrics
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from analysis.verdict import Decision, reach_verdict

BUCKETS, BUCKET_MS = 120, 15_000
END = BUCKETS * BUCKET_MS
ERRORS = MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(0.005), outcome="failure")
ABANDONED = MetricPlan(
    "abandoned", Unit.REQUEST, Role.SIGNAL, Margin(0.005), outcome="abandoned", is_default=True
)
SLOW = MetricPlan("slow", Unit.REQUEST, Role.GUARDRAIL, Margin(0.01), above_ms=1000)
ALWAYS = np.full(BUCKETS, 200.0)


def plan(*metrics: MetricPlan, **changes: object) -> Plan:
    stage = Stage(0, END, {"stable": 0.5, "canary": 0.5})
    found = Plan(
        experiment="web",
        baseline="stable",
        candidates=("canary",),
        metrics=metrics,
        stages=(stage,),
        bucket_ms=BUCKET_MS,
        alpha=0.05,
        minimum_ms=300_000,
        minimum_exposure=100,
        look_every_ms=60_000,
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def counts(*shares: float, seed: int = 1) -> BucketCounts:
    """Requests of one version, with such a share of bad ones by metric."""
    rng = np.random.default_rng((seed, *(round(1e6 * share) for share in shares)))
    bad = np.array([rng.binomial(200, share, BUCKETS) for share in shares], np.float64)
    return BucketCounts(np.broadcast_to(ALWAYS, bad.shape), bad)


def evidence(
    metrics: tuple[MetricPlan, ...], stable: BucketCounts, canary: BucketCounts, **more: object
) -> RequestEvidence:
    found = RequestEvidence(
        stage=np.zeros(BUCKETS, np.int64),
        requests={"stable": ALWAYS, "canary": ALWAYS},
        metrics=tuple(metric.name for metric in metrics),
        counts={"stable": stable, "canary": canary},
    )
    return replace(found, **more)  # type: ignore[arg-type]


def decide(setting: Plan, found: RequestEvidence) -> tuple[Decision, tuple[str, ...]]:
    whole = Evidence(found, None, Coverage(watermark_ms=END))
    verdict = reach_verdict(setting, whole, QualityLimits(), at_ms=END)
    return verdict.decision, verdict.reasons


def results(setting: Plan, found: RequestEvidence) -> dict[str, MetricResult]:
    judged = judge_metrics(setting, Evidence(found, None), at_ms=END)
    return {result.metric: result for result in judged}


def test_a_proven_signal_holds_and_neither_rolls_back_nor_promotes() -> None:
    setting = plan(ERRORS, ABANDONED)
    found = evidence((ERRORS, ABANDONED), counts(0.003, 0.001), counts(0.003, 0.05))
    decision, reasons = decide(setting, found)
    assert decision is Decision.HOLD
    assert reasons[0].startswith("abandoned: canary has 5.")
    assert "of requests abandoned by their clients, stable 0.1" in reasons[0]
    assert reasons[1].startswith("abandoned: a signal that a person must decide about")


@pytest.mark.parametrize(
    ("is_default", "advice"),
    [
        (True, "or name it in the spec's metrics"),
        (False, "or give it the role guardrail in the spec"),
    ],
)
def test_what_else_would_help_than_to_approve_is_said(is_default: bool, advice: str) -> None:
    """A signal that the spec names was to be named in the spec."""
    signal = replace(ABANDONED, is_default=is_default)
    found = evidence((ERRORS, signal), counts(0.003, 0.001), counts(0.003, 0.05))
    _, reasons = decide(plan(ERRORS, signal), found)
    assert reasons[1].endswith(f"approve it (verdict approve web), {advice}")


@pytest.mark.parametrize("bad", [0.003, 0.5])
def test_proven_harm_of_an_info_is_noted(bad: float) -> None:
    """Half of a candidate's requests failed, and its promote didn't say so."""
    errors = replace(ERRORS, name="all-errors", role=Role.INFO)
    found = evidence((ABANDONED, errors), counts(0.001, 0.003), counts(0.001, bad))
    setting = plan(replace(ABANDONED, role=Role.GUARDRAIL), errors)
    whole = Evidence(found, None, Coverage(watermark_ms=END))
    verdict = reach_verdict(setting, whole, QualityLimits(), at_ms=END)
    assert verdict.decision is Decision.PROMOTE
    said = [note for note in verdict.notes if note.startswith("all-errors: canary has")]
    assert len(said) == (bad > 0.1)
    assert all(note.endswith("by its role, info, it decides nothing") for note in said)


def test_a_signal_within_its_margin_is_no_hindrance_and_no_reason() -> None:
    setting = plan(ERRORS, ABANDONED)
    found = evidence((ERRORS, ABANDONED), counts(0.003, 0.01), counts(0.003, 0.01))
    decision, reasons = decide(setting, found)
    assert decision is Decision.PROMOTE
    assert [reason.split(":")[0] for reason in reasons] == ["errors"]


def test_harm_of_a_guardrail_comes_before_a_signal() -> None:
    setting = plan(ERRORS, ABANDONED)
    found = evidence((ERRORS, ABANDONED), counts(0.003, 0.001), counts(0.2, 0.05))
    decision, reasons = decide(setting, found)
    assert decision is Decision.ROLLBACK
    assert [reason.split(":")[0] for reason in reasons] == ["errors", "abandoned"]


@pytest.mark.parametrize("role", [Role.SIGNAL, Role.INFO])
def test_a_signal_takes_no_alpha_and_no_score_from_guardrails(role: Role) -> None:
    other = replace(ABANDONED, role=role)
    alone, beside = plan(ERRORS), plan(ERRORS, other, replace(other, name="more"))
    assert beside.request_alpha(ERRORS) == alone.request_alpha(ERRORS)
    shares = sum(beside.harm_alpha(one) for one in beside.metrics if not one.role.decides)
    assert shares == pytest.approx(0.005)
    found = evidence((ERRORS, other), counts(0.003, 0.001), counts(0.003, 0.2))
    judged = results(plan(ERRORS, other), found)
    assert health_score(list(judged.values())) == 100.0
    decision, _ = decide(plan(ERRORS, other), found)
    assert decision is (Decision.HOLD if role is Role.SIGNAL else Decision.PROMOTE)


def test_total_abandonment_is_an_outage_within_a_minute() -> None:
    setting = plan(ERRORS, ABANDONED)
    first = np.arange(BUCKETS) < 4
    stable, canary = counts(0.003, 0.001), counts(0.0, 1.0)
    parts = [BucketCounts(arm.total * first, arm.bad * first) for arm in (stable, canary)]
    parts[1] = BucketCounts(parts[1].total * [[0.0], [1.0]], parts[1].bad)
    gone = {
        "stable": BucketCounts(parts[0].total[1:], parts[0].bad[1:]),
        "canary": BucketCounts(parts[1].total[1:], parts[1].bad[1:]),
    }
    found = evidence((ERRORS, ABANDONED), parts[0], parts[1], outage=gone)
    judged = results(setting, found)
    assert judged["abandoned"].outage
    assert judged["errors"].classification is Classification.NO_DATA
    decision, reasons = decide(setting, found)
    assert decision is Decision.ROLLBACK
    assert "outage" in reasons[0]
    assert health_score(list(judged.values())) == 0.0


def test_many_clients_that_leave_are_no_outage() -> None:
    setting = plan(ERRORS, ABANDONED)
    stable, canary = counts(0.003, 0.3), counts(0.003, 0.6)
    gone = {"stable": counts(0.3), "canary": counts(0.6)}
    found = evidence((ERRORS, ABANDONED), stable, canary, outage=gone)
    assert decide(setting, found)[0] is Decision.HOLD


def test_a_default_signal_without_data_has_no_result_but_one_that_is_named_has() -> None:
    nothing = BucketCounts(np.stack([ALWAYS, np.zeros(BUCKETS)]), np.stack([np.zeros(BUCKETS)] * 2))
    found = evidence((ERRORS, ABANDONED), nothing, nothing)
    assert set(results(plan(ERRORS, ABANDONED), found)) == {"errors"}
    named = replace(ABANDONED, is_default=False)
    judged = results(plan(ERRORS, named), found)
    assert judged["abandoned"].classification is Classification.NO_DATA


def test_an_approved_signal_holds_again_beyond_what_was_approved() -> None:
    found = evidence((ERRORS, ABANDONED), counts(0.003, 0.001), counts(0.003, 0.05))
    enough = plan(ERRORS, ABANDONED, approved={("abandoned", "canary"): 0.08})
    assert decide(enough, found)[0] is Decision.PROMOTE
    less = plan(ERRORS, ABANDONED, approved={("abandoned", "canary"): 0.02})
    assert decide(less, found)[0] is Decision.HOLD
    other = plan(ERRORS, ABANDONED, approved={("abandoned", "blue"): 0.08})
    assert decide(other, found)[0] is Decision.HOLD


def _with_unknown(stable: float, canary: float, slow: float = 0.001) -> RequestEvidence:
    arms = {"stable": counts(0.001), "canary": counts(slow)}
    unknown = {
        name: np.round(np.full((1, BUCKETS), 200 * share))
        for name, share in (("stable", stable), ("canary", canary))
    }
    return evidence((SLOW,), arms["stable"], arms["canary"], unknown=unknown)


def test_more_requests_that_were_cut_off_are_no_pass_and_no_failure() -> None:
    found = results(plan(SLOW), _with_unknown(0.0, 0.3))["slow"]
    assert found.classification is Classification.UNCERTAIN
    assert found.excess.lower < 0
    assert found.excess.upper > 0.25
    assert found.unknown_candidate == pytest.approx(0.3)
    decision, reasons = decide(plan(SLOW), _with_unknown(0.0, 0.3))
    assert decision is Decision.HOLD
    assert "isn't known" in reasons[0]


def test_as_many_cut_off_in_both_versions_pass() -> None:
    found = results(plan(SLOW), _with_unknown(0.02, 0.02))["slow"]
    assert found.classification is Classification.PASS


def test_where_most_is_unknown_nothing_passes() -> None:
    found = results(plan(SLOW), _with_unknown(0.8, 0.8))["slow"]
    assert found.classification is Classification.UNCERTAIN


def test_proven_harm_is_proven_whatever_the_unknown_are() -> None:
    found = results(plan(SLOW), _with_unknown(0.02, 0.02, slow=0.1))["slow"]
    assert found.classification is Classification.FAIL


def test_fewer_cut_off_requests_hide_no_harm() -> None:
    # The candidate is slow where the baseline's clients had left: known harm against unknown.
    found = results(plan(SLOW), _with_unknown(0.1, 0.0, slow=0.1))["slow"]
    assert found.classification is Classification.UNCERTAIN


def test_an_objective_is_not_missed_because_clients_leave() -> None:
    metric = replace(SLOW, objective=0.01)
    found = results(plan(metric), _with_unknown(0.02, 0.02))["slow"]
    assert found.classification is Classification.PASS


def test_causes_sum_to_the_difference_and_name_codes_and_flags() -> None:
    stable, canary = counts(0.003), counts(0.05)
    parts = {"503/UO": 0.8, "500": 0.2}
    causes = tuple(
        CauseCounts(name, {"stable": stable.bad[0] * part, "canary": canary.bad[0] * part})
        for name, part in parts.items()
    )
    found = evidence((ERRORS,), stable, canary, causes={"errors": causes})
    result = results(plan(ERRORS), found)["errors"]
    assert [cause.name for cause in result.causes] == ["503/UO", "500"]
    total = sum(cause.difference for cause in result.causes)
    assert total == pytest.approx(result.difference.value)
    _, reasons = decide(plan(ERRORS), found)
    assert reasons[0].endswith(
        f"by response: {100 * result.causes[0].difference:.2f} points 503/UO, "
        f"{100 * result.causes[1].difference:.2f} points 500"
    )
