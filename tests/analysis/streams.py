"""Simulated request streams with known truth, for seeded tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.evidence import Coverage, Evidence, RequestEvidence
from analysis.paired_buckets import BucketCounts
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit

BUCKET_MS = 15_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """A canary at one split: requests a second, candidate's share, shares of failed requests.

    overdispersion: variance of failures over the binomial one. shock: sd of a log-normal factor
    on the failure rate that both versions share in a bucket.
    """

    rate: float = 100.0
    split: float = 0.05
    base: float = 0.005
    harm: float = 0.0
    overdispersion: float = 1.0
    shock: float = 0.0
    buckets: int = 120


def plan_for(buckets: int = 120, *, alpha: float = 0.05, margin: float = 0.005) -> Plan:
    """One guardrail, no objective, one stage."""
    metric = MetricPlan("errors", Unit.REQUEST, Role.GUARDRAIL, Margin(absolute=margin))
    end = buckets * BUCKET_MS
    stages = (Stage(0, end, {"stable": 0.95, "canary": 0.05}),)
    return Plan(
        experiment="simulated",
        baseline="stable",
        candidates=("canary",),
        metrics=(metric,),
        stages=stages,
        bucket_ms=BUCKET_MS,
        alpha=alpha,
        minimum_ms=300_000,
        minimum_exposure=100,
        look_every_ms=60_000,
    )


def _failures(
    rng: np.random.Generator, n: np.ndarray, p: np.ndarray, overdispersion: float
) -> np.ndarray:
    """Binomial failures, or beta-binomial ones with the given variance over the binomial's."""
    if overdispersion <= 1:
        return rng.binomial(n, np.minimum(p, 1))
    correlation = np.minimum((overdispersion - 1) / np.maximum(n - 1, 1), 0.9)
    concentration = 1 / np.maximum(correlation, 1e-9) - 1
    p = np.minimum(p, 0.999)
    share = rng.beta(np.maximum(p * concentration, 1e-9), (1 - p) * concentration)
    return rng.binomial(n, share)


def simulate(
    rng: np.random.Generator, traffic: Traffic, runs: int = 1
) -> tuple[BucketCounts, BucketCounts]:
    """Counts of baseline and candidate, [runs, buckets] each."""
    shape = runs, traffic.buckets
    per_bucket = traffic.rate * BUCKET_MS / 1000
    shock = np.exp(rng.normal(0, traffic.shock, shape) - traffic.shock**2 / 2)
    arms = []
    for share, harm in ((1 - traffic.split, 0.0), (traffic.split, traffic.harm)):
        n = rng.poisson(per_bucket * share, shape)
        p = np.clip(traffic.base * shock + harm, 0, 1)
        bad = _failures(rng, n, p, traffic.overdispersion)
        arms.append(BucketCounts(n.astype(float), bad.astype(float)))
    return arms[0], arms[1]


def until(counts: BucketCounts, buckets: int) -> BucketCounts:
    """What was counted in the first buckets."""
    return BucketCounts(counts.total[:, :buckets], counts.bad[:, :buckets])


def evidence_until(baseline: BucketCounts, candidate: BucketCounts, buckets: int) -> Evidence:
    """What a look after so many buckets sees."""
    arms = {
        "stable": until(baseline, buckets),
        "canary": until(candidate, buckets),
    }
    requests = RequestEvidence(
        stage=np.zeros(buckets, dtype=np.int64),
        requests={name: counts.total[0] for name, counts in arms.items()},
        metrics=("errors",),
        counts=arms,
    )
    return Evidence(requests, None, Coverage(watermark_ms=buckets * BUCKET_MS))
