"""A made-up history and a replay of it, for the tests of calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.calibration.history import History
from analysis.calibration.judges import Setting
from analysis.calibration.replay import Replay, looks_of
from analysis.evidence import QualityLimits
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit

BUCKET_MS = 15_000
EDGES_MS = np.array([10.0, 50.0, 100.0, 250.0, 500.0, 1000.0, np.inf])
MARGIN = 0.01


def bursty_history(buckets: int = 200, per_bucket: int = 1500, seed: int = 5) -> History:
    """1 % failures under a shock that lasts for buckets; latency log-normal, median 60 ms."""
    rng = np.random.default_rng(seed)
    shock = np.zeros(buckets)
    for at in range(1, buckets):
        shock[at] = 0.7 * shock[at - 1] + rng.normal(0, 0.3)
    answered = rng.poisson(per_bucket, buckets)
    failed = rng.binomial(answered, np.minimum(0.01 * np.exp(shock), 1))
    latency = np.array(
        [
            np.histogram(rng.lognormal(np.log(60), 1, n), np.concatenate([[0], EDGES_MS]))[0]
            for n in answered
        ]
    )
    return History(
        starts_ms=np.arange(buckets) * BUCKET_MS,
        other=rng.poisson(3, buckets),
        good=answered - failed,
        failed=failed,
        edges_ms=EDGES_MS,
        latency=latency,
    )


def plan_of(minutes: int = 10, candidates: tuple[str, ...] = ("canary",)) -> Plan:
    """Errors with a margin of a point, slow requests; 20 %, then 40 % for each candidate."""
    half = minutes * 30_000
    shares = [
        {"stable": 1 - share * len(candidates), **dict.fromkeys(candidates, share)}
        for share in (0.2, 0.4)
    ]
    metrics = (
        MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(MARGIN), objective=0.05),
        MetricPlan("slow", Unit.REQUEST, Role.GUARDRAIL, Margin(0.02), quantile=0.9, weight=2),
    )
    return Plan(
        experiment="replayed",
        baseline="stable",
        candidates=candidates,
        metrics=metrics,
        stages=(Stage(0, half, shares[0]), Stage(half, 2 * half, shares[1])),
        bucket_ms=BUCKET_MS,
        alpha=0.05,
        minimum_ms=120_000,
        minimum_exposure=100,
        look_every_ms=30_000,
    )


def replay_of(plan: Plan | None = None, *, seed: int = 7, history: History | None = None) -> Replay:
    """A replay of the bursty history; slow is above 250 ms."""
    plan = plan or plan_of()
    setting = Setting(plan, QualityLimits(), looks_of(plan, 60), np.array([0.05, 0.1]))
    return Replay(history or bursty_history(), setting, {"slow": 250.0}, seed)


def without_split(plan: Plan) -> Plan:
    """The plan without a configured split."""
    return replace(plan, stages=tuple(replace(stage, shares={}) for stage in plan.stages))
