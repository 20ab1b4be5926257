"""Simulated request streams in which something changes on the way: steps, leaks, storms, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from analysis.calibration.outcome import HOLD, PROMOTE, ROLLBACK
from analysis.evidence import RequestEvidence
from analysis.judge.request_tests import RequestTests
from analysis.judge.wide_buckets import width_of, with_width
from analysis.metric_result import Classification
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from tests.builders.streams import autoregression

FloatArray = NDArray[np.float64]
BUCKET_MS = 15_000
A_MINUTE = 60_000 // BUCKET_MS
WARM_UP_MS = 90_000


@dataclass(frozen=True, slots=True)
class Added:
    """What is added to a share of failed requests from one minute to another, in percentage points.

    over: minutes in which it grows evenly to that; 0 for at once.
    """

    points: float = 0.0
    begin: float = 0.0
    end: float = np.inf
    over: float = 0.0

    def at(self, minutes: FloatArray) -> FloatArray:
        """As a share: float64[minutes]."""
        there = (minutes > self.begin) & (minutes < self.end)
        grown = (minutes - self.begin) / self.over if self.over else 1.0
        return np.asarray(np.where(there, self.points / 100 * grown, 0.0))


def step(begin: float, points: float) -> Added:
    """So many points from a minute on."""
    return Added(points, begin)


def leak(points: float) -> Added:
    """A harm that grows evenly to so many points in an hour."""
    return Added(points, over=60.0)


def warming(points: float) -> Added:
    """Harm in the first three minutes only."""
    return Added(points, end=3.0)


NOTHING = Added()
# Of both versions: 20 points for five minutes.
STORM = Added(20.0, 20.0, 25.0)


@dataclass(frozen=True, slots=True)
class Stream:
    """A canary of an hour: requests a second, its share (a ramp: 5, 25 and 50 % for a third each).

    bursts: variance of failures over the binomial one. shock, state: sd of the log of a factor
    that both versions share, and of one that each has for itself; *_s: how long they last. pods:
    of each version, spread: sd of the log of a pod's own factor. restarts: what is added for half
    a minute, three times, in either version. diurnal: relative swing of load and failures.
    slow: whether they are slow requests, as of a version that warms up, and no errors. buckets of
        bucket_ms each make the hour.
    """

    rate: float = 100.0
    ramp: bool = False
    base: float = 0.005
    bursts: float = 1.0
    shock: float = 0.0
    shock_s: float = 300.0
    state: float = 0.0
    state_s: float = 60.0
    pods: int = 0
    spread: float = 0.0
    restarts: float = 0.0
    diurnal: float = 0.0
    slow: bool = False
    harm: Added = NOTHING
    both: Added = NOTHING
    buckets: int = 240
    bucket_ms: int = BUCKET_MS

    def shares(self) -> FloatArray:
        """The candidate's share of the traffic in each bucket."""
        if not self.ramp:
            return np.full(self.buckets, 0.05)
        return np.repeat([0.05, 0.25, 0.5], -(-self.buckets // 3))[: self.buckets]

    def counts(self, seed: int, runs: int) -> tuple[BucketCounts, BucketCounts]:
        """The baseline's and the candidate's: [runs, buckets]."""
        rng = np.random.default_rng(seed)
        shape = runs, self.buckets
        minutes = (np.arange(self.buckets) + 0.5) * self.bucket_ms / 60_000
        swing = 1 + self.diurnal * np.sin(2 * np.pi * (minutes / 240 + rng.random((runs, 1))))
        common = (
            self.base * swing * lasting_factor(rng, shape, self.shock, self.shock_s, self.bucket_ms)
        )
        arms = []
        for share, harm in ((1 - self.shares(), NOTHING), (self.shares(), self.harm)):
            p = common * lasting_factor(rng, shape, self.state, self.state_s, self.bucket_ms)
            if self.pods:
                p = p * lasting_factor(rng, (runs, self.pods), self.spread, 0.0).mean(
                    1, keepdims=True
                )
            p = p + self.both.at(minutes) + harm.at(minutes)
            for begin in rng.integers(0, self.buckets, (3, runs)) if self.restarts else ():
                after = np.arange(self.buckets) - begin[:, None]
                p = p + self.restarts * ((after >= 0) & (after < 30_000 // self.bucket_ms))
            total = rng.poisson(self.rate * self.bucket_ms / 1000 * share * swing, shape)
            bad = bursty(rng, total, np.clip(p, 0, 0.999), self.bursts)
            arms.append(BucketCounts(total.astype(np.float64), bad.astype(np.float64)))
        return arms[0], arms[1]


def lasting_factor(
    rng: np.random.Generator,
    shape: tuple[int, int],
    spread: float,
    lasting_s: float,
    bucket_ms: int = BUCKET_MS,
) -> FloatArray:
    """A log-normal factor of mean 1, like its neighbour by how long it lasts."""
    if not spread:
        return np.ones(shape)
    coefficient = float(np.exp(-bucket_ms / 1000 / lasting_s)) if lasting_s else 0.0
    return np.exp(spread * autoregression(rng, shape, coefficient) - spread**2 / 2)


def bursty(
    rng: np.random.Generator, total: NDArray[np.int64], p: FloatArray, bursts: float
) -> NDArray[np.int64]:
    if bursts <= 1:
        return rng.binomial(total, p)
    like = np.minimum((bursts - 1) / np.maximum(total - 1, 1), 0.9)
    size = 1 / like - 1
    return rng.binomial(total, rng.beta(np.maximum(p * size, 1e-9), (1 - p) * size))


@dataclass(frozen=True, slots=True)
class Course:
    """Each run's first rollback and first promote: float64[runs], in minutes, inf for never."""

    rolled_back: FloatArray
    promoted: FloatArray

    def found(self, since: float = 0.0) -> tuple[float, float]:
        """Percent of runs rolled back, and the median minutes until then, of all runs."""
        late = np.where(np.isfinite(self.rolled_back), self.rolled_back - since, np.inf)
        share = 100 * float(np.isfinite(self.rolled_back).mean())
        return share, float(np.quantile(late, 0.5, method="higher"))

    @property
    def healthy(self) -> float:
        """Percent of runs promoted, and not rolled back before."""
        return 100 * float((self.promoted < self.rolled_back).mean())


@dataclass(frozen=True, slots=True, kw_only=True)
class _ManyRuns(Plan):
    """A plan whose metrics are runs; each has the risk that it has alone."""

    single: Plan

    def harm_alpha(self, metric: MetricPlan) -> float:
        """The metric's part of alpha in one run."""
        return self.single.harm_alpha(metric)


def plan_of(stream: Stream, margin: float = 0.005, objective: float | None = None) -> Plan:
    """One guardrail, a look a minute, and the default warm-up."""
    metric = MetricPlan(
        "errors",
        Unit.REQUEST,
        Role.GUARDRAIL,
        Margin(absolute=margin),
        objective=objective,
        above_ms=500.0 if stream.slow else None,
    )
    return Plan(
        experiment="changing",
        baseline="stable",
        candidates=("canary",),
        metrics=(metric,),
        stages=(Stage(0, stream.buckets * stream.bucket_ms, {}),),
        bucket_ms=stream.bucket_ms,
        alpha=0.05,
        minimum_ms=300_000,
        minimum_exposure=100,
        look_every_ms=60_000,
        warm_up_ms=WARM_UP_MS,
    )


def watch(
    stream: Stream,
    seed: int,
    runs: int,
    *,
    margin: float = 0.005,
    objective: float | None = None,
    on: bool = False,
) -> Course:
    """By the product's tests of request metrics, at a look a minute.

    on: looks go on after a promote, as false rollbacks are counted.
    """
    plan = plan_of(stream, margin, objective)
    return watch_counts(plan, as_one_metric(stream.counts(seed, runs)), on=on)


def as_one_metric(arms: tuple[BucketCounts, BucketCounts]) -> tuple[BucketCounts, BucketCounts]:
    """Counts of [runs, buckets] as [runs, metrics, buckets]."""
    baseline, candidate = (BucketCounts(arm.total[:, None], arm.bad[:, None]) for arm in arms)
    return baseline, candidate


def watch_counts(
    plan: Plan, arms: tuple[BucketCounts, BucketCounts], *, on: bool = False
) -> Course:
    """The same of one metric or several; arms: [runs, metrics, buckets]."""
    runs, _, buckets = arms[0].total.shape
    rolled, promoted = np.full(runs, np.inf), np.full(runs, np.inf)
    a_minute = 60_000 // plan.bucket_ms
    for end in range(a_minute, buckets + 1, a_minute):
        left = np.flatnonzero(np.isinf(rolled) & (on | np.isinf(promoted)))
        if not left.size:
            break
        found = _classified(plan, arms, left, end)
        rolled[left[found == ROLLBACK]] = end / a_minute
        if end * plan.bucket_ms >= plan.minimum_ms:
            fresh = left[found == PROMOTE]
            promoted[fresh] = np.minimum(promoted[fresh], end / a_minute)
    return Course(rolled, promoted)


def _classified(
    plan: Plan, arms: tuple[BucketCounts, BucketCounts], left: NDArray[np.int64], end: int
) -> NDArray[np.int64]:
    """All of these runs at once, without what only a report shows."""
    metrics = [_named(metric, f"{run} {metric.name}") for run in left for metric in plan.metrics]
    width = width_of(plan, end)
    plan = with_width(plan, width)
    values = {field.name: getattr(plan, field.name) for field in fields(Plan)}
    many = _ManyRuns(**{**values, "metrics": tuple(metrics)}, single=plan)
    evidence = RequestEvidence(
        stage=np.zeros(end, dtype=np.int64),
        requests={},
        metrics=tuple(metric.name for metric in metrics),
        counts=_until(arms, left, end),
    ).merged(width)
    tests = RequestTests.of(many, evidence, metrics, "canary")
    found = np.array([tests.classify(i) for i in range(len(metrics))]).reshape(len(left), -1)
    fails, passes = (found == Classification.FAIL).any(1), (found == Classification.PASS).all(1)
    return np.where(fails, ROLLBACK, np.where(passes, PROMOTE, HOLD))


def _named(metric: MetricPlan, name: str) -> MetricPlan:
    values = {field.name: getattr(metric, field.name) for field in fields(MetricPlan)}
    return MetricPlan(**{**values, "name": name})


def _until(
    arms: tuple[BucketCounts, BucketCounts], left: NDArray[np.int64], end: int
) -> Mapping[str, BucketCounts]:
    return {
        name: BucketCounts(*(x[left, :, :end].reshape(-1, end) for x in (counts.total, counts.bad)))
        for name, counts in zip(("stable", "canary"), arms, strict=True)
    }
