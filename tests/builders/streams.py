"""Simulated request streams with known truth, for seeded tests and benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.evidence import Coverage, Evidence, RequestEvidence
from analysis.judge.recent_health import least_last_part
from analysis.judge.started_harm import started_gross_gap
from analysis.judge.total_failure import gross_gap
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import GrossNull, gross_failure_path
from analysis.requests.later_starts import Null, harm_from_any_start
from analysis.requests.paired_buckets import PairedBuckets, pair_buckets
from analysis.requests.pod_counts import PodCounts
from analysis.requests.recent import recent_excess
from analysis.requests.started_windows import watched_buckets

BUCKET_MS = 15_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """A canary at one split: requests a second, candidate's share, shares of failed requests.

    overdispersion: variance of failures over the binomial one. shock: sd of the log of a factor
    on the failure rate that both versions share in a bucket; state: of one that each version has
    for itself. persistence: coefficient of the autoregression of shocks and states from bucket to
    bucket. pods: of each version; pod_spread: sd of the log of a factor that a pod always has.
    All factors have mean 1, so the versions' expected shares differ by harm.
    """

    rate: float = 100.0
    split: float = 0.05
    base: float = 0.005
    harm: float = 0.0
    overdispersion: float = 1.0
    shock: float = 0.0
    buckets: int = 120
    state: float = 0.0
    persistence: float = 0.0
    pods: int = 0
    pod_spread: float = 0.0


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


def autoregression(
    rng: np.random.Generator, shape: tuple[int, int], coefficient: float
) -> np.ndarray:
    """Standard normal values, each like the one before it in its row: float64[shape]."""
    values = rng.normal(0, 1, shape)
    fresh = np.sqrt(1 - coefficient**2)
    for t in range(1, shape[1] if coefficient else 0):
        values[:, t] = coefficient * values[:, t - 1] + fresh * values[:, t]
    return values


def _factor(
    rng: np.random.Generator, shape: tuple[int, int], spread: float, coefficient: float
) -> np.ndarray:
    """A log-normal factor with mean 1 and the given sd of its log."""
    return np.exp(spread * autoregression(rng, shape, coefficient) - spread**2 / 2)


def simulate(
    rng: np.random.Generator, traffic: Traffic, runs: int = 1
) -> tuple[BucketCounts, BucketCounts]:
    """Counts of baseline and candidate, [runs, buckets] each."""
    shape = runs, traffic.buckets
    shock = _factor(rng, shape, traffic.shock, traffic.persistence)
    arms = []
    for share, harm in ((1 - traffic.split, 0.0), (traffic.split, traffic.harm)):
        state = _factor(rng, shape, traffic.state, traffic.persistence) if traffic.state else 1.0
        arms.append(_arm(rng, traffic, share, traffic.base * shock * state + harm))
    return arms[0], arms[1]


def simulate_pods(
    rng: np.random.Generator, traffic: Traffic, runs: int = 1
) -> tuple[BucketCounts, BucketCounts]:
    """Counts of baseline's and candidate's pods, [runs, pods, buckets] each."""
    shape = runs, traffic.buckets
    shock = _factor(rng, shape, traffic.shock, traffic.persistence)[:, None, :]
    arms = []
    for share, harm in ((1 - traffic.split, 0.0), (traffic.split, traffic.harm)):
        pod = _factor(rng, (runs, traffic.pods), traffic.pod_spread, 0.0)[..., None]
        p = traffic.base * shock * pod + harm
        arms.append(_arm(rng, traffic, share / traffic.pods, p))
    return arms[0], arms[1]


def _arm(rng: np.random.Generator, traffic: Traffic, share: float, p: np.ndarray) -> BucketCounts:
    n = rng.poisson(traffic.rate * BUCKET_MS / 1000 * share, p.shape)
    bad = _failures(rng, n, np.clip(p, 0, 1), traffic.overdispersion)
    return BucketCounts(n.astype(float), bad.astype(float))


def over_pods(counts: BucketCounts) -> BucketCounts:
    """All pods of a version together: [runs, buckets]."""
    return BucketCounts(counts.total.sum(axis=1), counts.bad.sum(axis=1))


def pod_counts(counts: BucketCounts, run: int, buckets: int, version: str) -> PodCounts:
    """What the pods of one run answered up to a look."""
    total, bad = (x[run, :, :buckets].sum(axis=-1) for x in (counts.total, counts.bad))
    return PodCounts(tuple(f"{version}-{i}" for i in range(len(total))), total, bad)


def until(counts: BucketCounts, buckets: int) -> BucketCounts:
    """What was counted in the first buckets."""
    return BucketCounts(counts.total[:, :buckets], counts.bad[:, :buckets])


# A promote needs five minutes.
_FIRST_PROMOTE = 20


@dataclass(frozen=True, slots=True)
class FirstDecisions:
    """Buckets after which harm was first excluded, and first proven: float64[runs], inf: never."""

    excluded: NDArray[np.float64]
    proven: NDArray[np.float64]

    @property
    def ever(self) -> tuple[float, float]:
        """Shares of runs in which harm was ever excluded, and ever proven."""
        return float(np.isfinite(self.excluded).mean()), float(np.isfinite(self.proven).mean())


def first_decisions(
    seed: int,
    traffic: Traffic,
    runs: int,
    *,
    margin: float,
    alpha: float,
    every: int,
    pair: Callable[[BucketCounts, BucketCounts], PairedBuckets] = pair_buckets,
) -> FirstDecisions:
    """By the bounds of harm beyond the margin, at a look after every so many buckets.

    As the judge has it, harm is excluded at alpha, and proven at half of that, the other half being
    the gross test's.
    """
    baseline, candidate = simulate(np.random.default_rng(seed), traffic, runs)
    excluded, proven = np.full(runs, np.inf), np.full(runs, np.inf)
    for seen in range(4, traffic.buckets + 1, every):
        found = pair(until(baseline, seen), until(candidate, seen)).contrast()
        harm = found.lower(alpha=alpha / 2, n_opt=traffic.buckets / 2) > margin
        proven[harm] = np.minimum(proven[harm], seen)
        if seen >= _FIRST_PROMOTE:
            none = found.upper(alpha=alpha, n_opt=traffic.buckets) <= margin
            excluded[none] = np.minimum(excluded[none], seen)
    return FirstDecisions(excluded, proven)


def may_decide(
    plan: Plan, baseline: BucketCounts, candidate: BucketCounts, buckets: int
) -> NDArray[np.bool_]:
    """Runs in which a look after so many buckets can be more than a hold: bool[runs].

    By the bounds of the plan's one guardrail at the levels of one test, where the judge shares them
    between several, and by half of the evidence for a gross failure, in bursts or not. So the
    judge, who takes milliseconds, needs to be asked of these runs only; of all at the planned end,
    which has a test of its own.
    """
    if buckets >= plan.planned_buckets:
        return np.ones(len(baseline.total), dtype=np.bool_)
    metric = plan.metrics[0]
    alpha = np.full(len(baseline.total), plan.harm_alpha(metric) / 2)
    baseline, candidate = until(baseline, buckets), until(candidate, buckets)
    excess, margin = pair_buckets(baseline, candidate).contrast(), metric.margin.absolute
    proven = excess.lower(alpha=plan.harm_alpha(metric), n_opt=plan.harm_buckets) > margin
    views = watched_buckets(baseline, candidate)
    started = [
        harm_from_any_start(
            views,
            Null(gap, np.ones(len(alpha)), alpha, plan.planned_buckets, coarse),
        ).log_e
        >= 0
        for gap, coarse in (
            (np.full(len(alpha), margin), False),
            (started_gross_gap(np.full(len(alpha), margin)), True),
        )
    ]
    excluded = excess.upper(alpha=plan.promote_alpha, n_opt=plan.promote_buckets) <= margin
    healthy = np.flatnonzero(excluded)
    if healthy.size:
        recent = recent_excess(
            BucketCounts(baseline.total[healthy], baseline.bad[healthy]),
            BucketCounts(candidate.total[healthy], candidate.bad[healthy]),
            np.ones(healthy.size),
            least=least_last_part(plan),
            left=plan.planned_buckets - buckets,
        )
        level = {"alpha": plan.promote_alpha, "n_opt": plan.promote_buckets}
        excluded[healthy] = recent.stays_below(margin, **level)
    gross = [
        gross_failure_path(
            baseline,
            candidate,
            GrossNull(
                gap=np.full(len(alpha), gross_gap(margin)),
                alpha=alpha,
                planned_buckets=plan.planned_buckets,
                overdispersion=burst,
            ),
        ).max(axis=-1, initial=0.0)
        > -np.log(alpha) / 2
        for burst in (1.0, 5.0)
    ]
    return np.asarray(proven | excluded | np.any([*gross, *started], axis=0))


def evidence_until(
    baseline: BucketCounts,
    candidate: BucketCounts,
    buckets: int,
    pods: dict[str, PodCounts] | None = None,
) -> Evidence:
    """What a look after so many buckets sees; pods by version, where they are known."""
    arms = {
        "stable": until(baseline, buckets),
        "canary": until(candidate, buckets),
    }
    requests = RequestEvidence(
        stage=np.zeros(buckets, dtype=np.int64),
        requests={name: counts.total[0] for name, counts in arms.items()},
        metrics=("errors",),
        counts=arms,
        pods={"errors": pods} if pods else {},
    )
    return Evidence(requests, None, Coverage(watermark_ms=buckets * BUCKET_MS))
