"""Values of two versions, judged by analysis.judge.measured_metrics on simulated buckets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.evidence import MeasuredEvidence, RequestEvidence
from analysis.judge.measured_metrics import judge_measured
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.value_pairs import BucketValues

BUCKETS, BUCKET_MS = 120, 15_000
METRIC = MetricPlan("m", Unit.BUCKET, Role.GUARDRAIL, Margin(relative=0.1))
PLAN = Plan(
    experiment="shop",
    baseline="stable",
    candidates=("canary",),
    metrics=(METRIC,),
    stages=(Stage(0, BUCKETS * BUCKET_MS, {"stable": 0.8, "canary": 0.2}),),
    bucket_ms=BUCKET_MS,
    alpha=0.05,
    minimum_ms=300_000,
    minimum_exposure=100,
    look_every_ms=BUCKET_MS,
)


def judged(
    seed: int, harm: float, *, until: int = BUCKETS, plan: Plan = PLAN, unknown: str | None = None
) -> MetricResult:
    """Both share a load that comes and goes; the candidate has so much more of it."""
    rng = np.random.default_rng(seed)
    load = 100 + 10 * np.sin(np.arange(BUCKETS) / 10)
    arms = {
        name: BucketValues(np.ones(until), (load + more + rng.normal(0, 8, BUCKETS))[:until], False)
        for name, more in (("stable", 0.0), ("canary", harm))
    }
    events = RequestEvidence(np.zeros(until, np.int64), {}, (), {})
    known = {} if unknown is None else {("m", "canary"): unknown}
    (result,) = judge_measured(plan, MeasuredEvidence(events, {"m": arms}, known), "canary")
    return result


def test_equal_versions_are_never_rolled_back_and_pass_in_the_end() -> None:
    looks = [judged(seed, 0.0, until=until) for seed in range(10) for until in (20, 60, 120)]
    assert not any(look.classification is Classification.FAIL for look in looks)
    assert [judged(seed, 0.0).classification for seed in range(10)] == [Classification.PASS] * 10


@pytest.mark.parametrize("higher", [False, True])
def test_harm_beyond_the_margin_fails_in_its_direction(higher: bool) -> None:
    plan = replace(PLAN, metrics=(replace(METRIC, higher_is_better=higher),))
    worse = -20.0 if higher else 20.0
    for seed in range(5):
        assert judged(seed, worse, plan=plan).classification is Classification.FAIL
        assert judged(seed, -worse, plan=plan).classification is Classification.PASS


def test_unknown_is_no_pass_but_hides_no_harm() -> None:
    healthy = judged(1, 0.0, unknown="gaps")
    assert (healthy.classification, healthy.unknown) == (Classification.NO_DATA, "gaps")
    assert judged(1, 30.0, unknown="gaps").classification is Classification.FAIL


def test_approved_difference_of_a_signal_holds_no_longer() -> None:
    plan = replace(PLAN, metrics=(replace(METRIC, role=Role.SIGNAL),))
    assert judged(1, 20.0, plan=plan).holds
    approved = replace(plan, approved={("m", "canary"): 30.0})
    assert not judged(1, 20.0, plan=approved).holds
    assert judged(1, 60.0, plan=approved).holds
