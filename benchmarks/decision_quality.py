"""How often a verdict is wrong and how soon it is right, on simulated canaries of known harm.

`python -m benchmarks.decision_quality [--runs 200]`: a canary with 5 % of the traffic, 0.5 % of
requests failing in the baseline, a margin of 0.5 points, 30 minutes, a look every minute, promoted
after 5 minutes at the earliest. Three judges see the same streams, each until its first decision:

- verdict: the product, every look through reach_verdict;
- z-test: two proportions against the margin at each look, at 2.5 % to each side;
- threshold: rolled back as soon as the candidate's share is above the baseline's plus the margin.

Bursts: variance of failures over the binomial one. Shock: standard deviation of the log of a factor
on the failure rate that both versions share in a bucket. At a harm of 0 or 0.5 points a rollback is
wrong; at 0.5 points or more a promote is wrong. Allowed are 2.5 % of either.
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
from tests.analysis.streams import BUCKET_MS, Traffic, evidence_until, plan_for, simulate, until

_MARGIN = 0.005
_LOOK_BUCKETS = 4
_FIRST_PROMOTE = 20
_SEED = 20261123
# The split is simulated as configured; a canary of 1 request a second strays from it by chance.
_LIMITS = QualityLimits(split_tolerance=5.0)


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
    runs = parser.parse_args().runs
    kinds = [
        Traffic(rate=rate, harm=harm, overdispersion=bursts, shock=shock)
        for (bursts, shock), rate, harm in product(
            ((1, 0), (5, 0), (1, 1), (5, 1)), (20, 100, 1000), (0, 0.005, 0.01, 0.03)
        )
    ]
    print(f"{runs} runs each; promoted %, minutes, rolled back %, minutes", flush=True)
    judges = "".join(f" | {name:^24}" for name in ("verdict", "z-test", "threshold"))
    print(f"{'req/s':>5} {'bursts':>6} {'shock':>5} {'harm':>5}{judges}")
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for traffic, outcomes in zip(
            kinds, pool.map(_judged, kinds, [runs] * len(kinds)), strict=True
        ):
            head = f"{traffic.rate:5g} {traffic.overdispersion:6g} {traffic.shock:5g}"
            print(f"{head} {100 * traffic.harm:5.1f}{''.join(map(_cells, outcomes))}", flush=True)


def _cells(outcome: Outcome) -> str:
    promoted, rolled_back = 100 * outcome.promoted, 100 * outcome.rolled_back
    promote = f"{promoted:5.1f} {_minutes(outcome.promote_minutes)}"
    return f" | {promote}  {rolled_back:5.1f} {_minutes(outcome.rollback_minutes)}"


def _minutes(value: float) -> str:
    return "   -  " if np.isnan(value) else f"{value:4.1f} m"


def _judged(traffic: Traffic, runs: int) -> tuple[Outcome, Outcome, Outcome]:
    baseline, candidate = simulate(np.random.default_rng(_SEED), traffic, runs)
    z, excess = _pooled(baseline, candidate)
    return (
        _verdicts(baseline, candidate),
        _first(z > 1.96, z < -1.96),
        _first(excess > 0, np.ones_like(z, dtype=bool)),
    )


def _verdicts(baseline: BucketCounts, candidate: BucketCounts) -> Outcome:
    """Every run through the product, look by look, until its first decision."""
    found = [_first_verdict(*pair) for pair in _single_runs(baseline, candidate)]
    decisions, buckets = zip(*found, strict=True)
    return Outcome.of(np.array(decisions), np.array(buckets) * BUCKET_MS / 60_000)


def _single_runs(*arms: BucketCounts) -> Iterator[tuple[BucketCounts, ...]]:
    for row in range(len(arms[0].total)):
        yield tuple(BucketCounts(c.total[row : row + 1], c.bad[row : row + 1]) for c in arms)


def _first_verdict(baseline: BucketCounts, candidate: BucketCounts) -> tuple[str, int]:
    buckets = baseline.total.shape[1]
    plan = plan_for(buckets, margin=_MARGIN)
    for seen in range(_LOOK_BUCKETS, buckets + 1, _LOOK_BUCKETS):
        evidence = evidence_until(baseline, candidate, seen)
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
