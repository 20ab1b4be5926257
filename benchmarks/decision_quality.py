"""How often a verdict is wrong and how soon it is right, on simulated canaries of known harm.

`python -m benchmarks.decision_quality [--runs 200]`: a canary with 5 % of the traffic, 0.5 % of
requests failing in the baseline, a margin of 0.5 points, 30 minutes, a look every minute, promoted
after 5 minutes at the earliest. Three judges see the same streams, each until its first decision:

- verdict: the product, every look through reach_verdict;
- z-test: two proportions against the margin at each look, at 2.5 % to each side;
- threshold: rolled back as soon as the candidate's share is above the baseline's plus the margin.

Bursts: variance of failures over the binomial one. Shock: standard deviation of the log of a factor
on the failure rate that both versions share in a bucket; state: of one that each version has for
itself. Both persist from bucket to bucket where persist, the coefficient of their autoregression,
is above 0. Pods: of each version; spread: standard deviation of the log of a factor that a pod
keeps for good. At a harm of 0 or 0.5 points a rollback is wrong; at 0.5 points or more a promote is
wrong. Allowed are 2.5 % of either.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from analysis.evidence import QualityLimits
from analysis.paired_buckets import BucketCounts
from analysis.verdict import Decision, reach_verdict
from tests.analysis.streams import (
    BUCKET_MS,
    Traffic,
    evidence_until,
    over_pods,
    plan_for,
    pod_counts,
    simulate,
    simulate_pods,
    until,
)

Arms = tuple[BucketCounts, BucketCounts]

_MARGIN = 0.005
_LOOK_BUCKETS = 4
_FIRST_PROMOTE = 20
_SEED = 20261123
_HARMS = (0, 0.005, 0.01, 0.03)
# The split isn't tested here: plan_for() configures 5 % for every traffic, and a canary of one
# request a second strays from any by chance.
_LIMITS = QualityLimits(split_tolerance=20.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares of runs, and the median minutes until a decision (NaN without one)."""

    promoted: float
    promote_minutes: float
    rolled_back: float
    rollback_minutes: float

    @classmethod
    def of(cls, decisions: NDArray[np.str_], minutes: NDArray[np.float64]) -> Outcome:
        """From each run's first decision ("promote", "rollback" or "hold") and its time."""
        parts = []
        for decision in ("promote", "rollback"):
            reached = decisions == decision
            parts += [reached.mean(), np.median(minutes[reached]) if reached.any() else np.nan]
        return cls(*map(float, parts))


def main() -> None:
    """Prints one row per kind of traffic and harm, with all three judges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--kind", choices=(*_KINDS, "all"), default="all")
    asked = parser.parse_args()
    runs = asked.runs
    kinds = [
        traffic
        for name, make in _KINDS.items()
        if asked.kind in (name, "all")
        for traffic in make()
    ]
    print(f"{runs} runs each; promoted %, minutes, rolled back %, minutes", flush=True)
    judges = "".join(f" | {name:^24}" for name in ("verdict", "z-test", "threshold"))
    columns = ("req/s", "split", "bursts", "shock", "state", "persist", "pods", "spread", "harm")
    print(f"{' '.join(columns)}{judges}")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for traffic, outcomes in zip(
            kinds, pool.map(_judged, kinds, [runs] * len(kinds)), strict=True
        ):
            print(f"{_head(traffic)}{''.join(map(_cells, outcomes))}", flush=True)


def _independent() -> Iterator[Traffic]:
    """Bursts and shared shocks, each bucket for itself."""
    for (bursts, shock), rate, harm in product(
        ((1, 0), (5, 0), (1, 1), (5, 1)), (20, 100, 1000), _HARMS
    ):
        yield Traffic(rate=rate, harm=harm, overdispersion=bursts, shock=shock)


def _persistent() -> Iterator[Traffic]:
    """Slow drift that both versions share, and states of each version that outlast a bucket."""
    for (shock, state, persistence), split, harm in product(
        ((1, 0, 0.95), (0, 0.5, 0.4), (0, 0.5, 0.8), (0, 0.5, 0.95)), (0.05, 0.5), _HARMS
    ):
        yield Traffic(
            rate=1000, split=split, harm=harm, shock=shock, state=state, persistence=persistence
        )


def _clustered() -> Iterator[Traffic]:
    """Pods that differ for good."""
    for pods, spread, harm in product((2, 5), (0, 0.3, 0.6), _HARMS):
        yield Traffic(rate=1000, split=0.2, harm=harm, pods=pods, pod_spread=spread)


_KINDS = {"independent": _independent, "persistent": _persistent, "clustered": _clustered}


def _head(traffic: Traffic) -> str:
    return (
        f"{traffic.rate:5g} {traffic.split:5g} {traffic.overdispersion:6g} {traffic.shock:5g} "
        f"{traffic.state:5g} {traffic.persistence:7g} {traffic.pods:4g} {traffic.pod_spread:6g} "
        f"{100 * traffic.harm:4.1f}"
    )


def _cells(outcome: Outcome) -> str:
    promoted, rolled_back = 100 * outcome.promoted, 100 * outcome.rolled_back
    promote = f"{promoted:5.1f} {_minutes(outcome.promote_minutes)}"
    return f" | {promote}  {rolled_back:5.1f} {_minutes(outcome.rollback_minutes)}"


def _minutes(value: float) -> str:
    return "   -  " if np.isnan(value) else f"{value:4.1f} m"


def _judged(traffic: Traffic, runs: int) -> tuple[Outcome, Outcome, Outcome]:
    rng = np.random.default_rng(_SEED)
    pods = simulate_pods(rng, traffic, runs) if traffic.pods else None
    arms = (
        simulate(rng, traffic, runs) if pods is None else (over_pods(pods[0]), over_pods(pods[1]))
    )
    z, excess = _pooled(*arms)
    return (
        _verdicts(arms, pods),
        _first(z > 1.96, z < -1.96),
        _first(excess > 0, np.ones_like(z, dtype=bool)),
    )


def _verdicts(arms: Arms, pods: Arms | None) -> Outcome:
    """Every run through the product, look by look, until its first decision."""
    found = [_first_verdict(arms, pods, run) for run in range(len(arms[0].total))]
    decisions, buckets = zip(*found, strict=True)
    return Outcome.of(np.array(decisions), np.array(buckets) * BUCKET_MS / 60_000)


def _first_verdict(arms: Arms, pods: Arms | None, run: int) -> tuple[str, int]:
    baseline, candidate = (BucketCounts(c.total[run : run + 1], c.bad[run : run + 1]) for c in arms)
    buckets = baseline.total.shape[1]
    plan = plan_for(buckets, margin=_MARGIN)
    for seen in range(_LOOK_BUCKETS, buckets + 1, _LOOK_BUCKETS):
        of_pods = pods and {
            name: pod_counts(counts, run, seen, name)
            for name, counts in zip(("stable", "canary"), pods, strict=True)
        }
        evidence = evidence_until(baseline, candidate, seen, of_pods)
        decision = reach_verdict(plan, evidence, _LIMITS, at_ms=seen * BUCKET_MS).decision
        if decision in (Decision.PROMOTE, Decision.ROLLBACK):
            return decision.value, seen
    return "hold", buckets


def _pooled(
    baseline: BucketCounts, candidate: BucketCounts
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The z statistic of harm against the margin, and the excess: float64[runs, looks] each."""
    looks = range(_LOOK_BUCKETS, baseline.total.shape[1] + 1, _LOOK_BUCKETS)
    total = [
        np.array([until(c, k).total.sum(axis=1) for k in looks]).T for c in (baseline, candidate)
    ]
    bad = [np.array([until(c, k).bad.sum(axis=1) for k in looks]).T for c in (baseline, candidate)]
    share = [x / np.maximum(n, 1) for x, n in zip(bad, total, strict=True)]
    excess = share[1] - share[0] - _MARGIN
    variance = sum(p * (1 - p) / np.maximum(n, 1) for p, n in zip(share, total, strict=True))
    return excess / np.sqrt(np.maximum(variance, 1e-12)), excess


def _first(worse: NDArray[np.bool_], fine: NDArray[np.bool_]) -> Outcome:
    """The first look that rolls back or, from the earliest promote on, promotes."""
    fine = fine & ~worse
    fine[:, : _FIRST_PROMOTE // _LOOK_BUCKETS - 1] = False
    decided = worse | fine
    look = decided.argmax(axis=1)
    rows = np.arange(len(look))
    decision = np.where(worse[rows, look], "rollback", "promote")
    decision = np.where(decided.any(axis=1), decision, "hold")
    return Outcome.of(decision, (look + 1) * _LOOK_BUCKETS * BUCKET_MS / 60_000)


if __name__ == "__main__":
    main()
