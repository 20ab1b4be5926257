"""Simulated requests of which three metrics lean to harm at once: errors, slow and abandoned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.evidence import RequestEvidence
from analysis.judge.request_metrics import judge_requests
from analysis.judge.together import judge_together
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.changing_streams import A_MINUTE, BUCKET_MS, WARM_UP_MS, bursty, lasting_factor

NAMES = ("errors", "slow", "abandoned")
_BASE, _MARGINS = np.array([0.005, 0.01, 0.002]), np.array([0.005, 0.01, 0.005])
_FIRST_LOOK = 5


@dataclass(frozen=True, slots=True)
class JointStream:
    """A canary of an hour at 5 % of the traffic; harm: of each metric, in margins, since a minute.

    shock, state: as changing_streams.Stream has them, of all metrics alike; bursts of each.
    """

    harm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    begin: float = 0.0
    rate: float = 1000.0
    shock: float = 0.0
    state: float = 0.0
    state_s: float = 300.0
    bursts: float = 1.0
    buckets: int = 60 * A_MINUTE

    def counts(self, seed: int, runs: int) -> dict[str, BucketCounts]:
        """By version: [runs, metrics, buckets]."""
        rng = np.random.default_rng(seed)
        shape = runs, 1, self.buckets
        minutes = (np.arange(self.buckets) + 0.5) / A_MINUTE
        added = (np.array(self.harm) * _MARGINS)[:, None] * (minutes > self.begin)
        common = lasting_factor(rng, (runs, self.buckets), self.shock, 300.0)
        found = {}
        for name, share, harm in (("stable", 0.95, 0.0), ("canary", 0.05, 1.0)):
            own = lasting_factor(rng, (runs, self.buckets), self.state, self.state_s)
            p = _BASE[:, None] * (common * own)[:, None] + harm * added
            total = rng.poisson(self.rate * 60 / A_MINUTE * share, shape) + np.zeros_like(p, int)
            bad = bursty(rng, total, np.clip(p, 0, 0.999), self.bursts)
            found[name] = BucketCounts(total.astype(np.float64), bad.astype(np.float64))
        return found


def joint_plan(roles: tuple[Role, ...] = (Role.GUARDRAIL,) * 3) -> Plan:
    """Three metrics with margins of 0.5, 1 and 0.5 points; a look a minute."""
    outcomes, slow = ("failure", "", "abandoned"), (None, 100.0, None)
    return Plan(
        experiment="joint",
        baseline="stable",
        candidates=("canary",),
        metrics=tuple(
            MetricPlan(name, Unit.REQUEST, role, Margin(margin), outcome=outcome, above_ms=above_ms)
            for name, role, margin, outcome, above_ms in zip(
                NAMES, roles, _MARGINS.tolist(), outcomes, slow, strict=True
            )
        ),
        stages=(Stage(0, 60 * A_MINUTE * BUCKET_MS, {}),),
        bucket_ms=BUCKET_MS,
        alpha=0.05,
        minimum_ms=300_000,
        minimum_exposure=100,
        look_every_ms=60_000,
        warm_up_ms=WARM_UP_MS,
    )


def seen(counts: dict[str, BucketCounts], run: int, end: int) -> RequestEvidence:
    """What a look after so many buckets knows of one run."""
    return RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={name: arm.total[run, 0, :end] for name, arm in counts.items()},
        metrics=NAMES,
        counts={
            name: BucketCounts(arm.total[run, :, :end], arm.bad[run, :, :end])
            for name, arm in counts.items()
        },
    )


@dataclass(frozen=True, slots=True)
class JointCourse:
    """Of all runs: percent found by metrics together and alone, and the median minutes."""

    together: tuple[float, float]
    alone: tuple[float, float]


def watch_joint(stream: JointStream, seed: int, runs: int, *, every: int = 1) -> JointCourse:
    """By the product's judge, at a look every so many minutes."""
    counts, plan = stream.counts(seed, runs), joint_plan()
    together, alone = np.full(runs, np.inf), np.full(runs, np.inf)
    for run in range(runs):
        for minute in range(_FIRST_LOOK, stream.buckets // A_MINUTE + 1, every):
            evidence = seen(counts, run, minute * A_MINUTE)
            each = judge_requests(plan, evidence, "canary")
            if any(result.classification is Classification.FAIL for result in each):
                alone[run] = min(alone[run], minute)
            if np.isinf(together[run]) and _harmed(plan, evidence, each):
                together[run] = minute
            if np.isfinite(together[run]) and np.isfinite(alone[run]):
                break
    return JointCourse(_share(together - stream.begin), _share(alone - stream.begin))


def _harmed(plan: Plan, evidence: RequestEvidence, each: tuple[MetricResult, ...]) -> bool:
    return bool(judge_together(plan, evidence, "canary", each))


def _share(minutes: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    found = 100 * float(np.isfinite(minutes).mean())
    return found, float(np.quantile(minutes, 0.5, method="higher"))
