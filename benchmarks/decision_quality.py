"""How often a canary's verdict is wrong, and how soon it is right, on streams of known harm.

`python -m benchmarks.decision_quality [--runs 120] [--kind steady|persistent|pods|all]`: canaries
of 60 minutes with 5 % of the traffic; 0.5 % of the baseline's requests fail, the canary's by 0, 0.5
or 1 point more. Judges of the same streams:

- verdict: the product, by reach_verdict at a look every minute, alpha 5 % (half of it for false
  rollbacks), promoted after 5 minutes at the earliest; it may differ by 0.1 points (verdict 0.1) or
  by nothing at all (verdict 0: finds any harm, and so has nothing to promote by);
- kayenta: Netflix's judge on a point a minute, the share of failed requests of either version,
  look-back growing, one metric in one group (score 0 or 100, so below marginal, 75, is what fails),
  direction increase, nothing else configured. Spinnaker's advice is an interval of an hour and 50
  points a metric: kayenta 60 looks once. kayenta 5 looks every five minutes from the fifth on, the
  fewest points from which its interval can clear zero, and against that advice;
- z-test: two proportions of all so far, pooled, at 1.96 at a look every minute;
- threshold: above 1 % of failed requests in the last five minutes, at a look every minute.

The last three roll back at the first look that fails and promote at the end. Columns: false
rollbacks at any look of 60 minutes where nothing is wrong, with the 95 % interval of their share
(Clopper, Pearson 1934); the share of runs that detect +0.5 points and the median minutes until
then, over all runs; runs with +1 point that are promoted; healthy runs that are. `least` are the
minutes in which half of the runs of +0.5 points could be found with all variances known: by a
single test at 2.5 %, and by a bound of 2.5 % that holds at every look and is tightest there. Where
pods or states of a version differ for good, more requests don't tell them from harm.

bursts: variance of failures over the binomial one. shock: sd of the log of a factor on the failure
rate that both versions share in a bucket; state: of one that each has for itself; persist: their
autoregression. pods: of each version; spread: sd of the log of a factor that a pod keeps for good.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from analysis.calibration.judges import Judge, Runs, Setting, decide
from analysis.calibration.outcome import HOLD, PROMOTE, ROLLBACK, Decisions
from analysis.evidence import QualityLimits
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.sequential.confidence_sequence import one_sided_multiplier
from analysis.verdict import Decision, reach_verdict
from tests.builders.streams import (
    BUCKET_MS,
    Traffic,
    evidence_until,
    may_decide,
    over_pods,
    plan_for,
    pod_counts,
    simulate,
    simulate_pods,
)

Arms = tuple[BucketCounts, BucketCounts]

_BUCKETS = 240
_MINUTE = 4
_SEED = 20261123
_NONE, _SMALL, _LARGE = 0.0, 0.005, 0.01
_FAILING_SHARE = 0.01
# Of the runs: where bounds are wide for pods, the product is asked at nearly every look.
_POD_RUNS = 0.25
# The split isn't tested here: a canary of one request a second strays from any by chance.
_LIMITS = QualityLimits(split_tolerance=20.0)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One judge, how often it looks (minutes), and the margin of ours."""

    judge: Judge
    every: int = 1
    margin: float = 0.0


_ENTRANTS = {
    "verdict 0.1": Entrant(Judge.VERDICT, margin=0.001),
    "verdict 0": Entrant(Judge.VERDICT),
    "kayenta 60": Entrant(Judge.KAYENTA, every=60),
    "kayenta 5": Entrant(Judge.KAYENTA, every=5),
    "z-test": Entrant(Judge.Z_TEST),
    "threshold": Entrant(Judge.THRESHOLD),
}
_OURS = ("verdict 0.1", "verdict 0")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Counts of runs, and the median minutes to detect +0.5 points (inf where most don't)."""

    runs: int
    false: int
    found: int
    minutes: float
    promoted: int
    healthy: int

    @classmethod
    def of(cls, by_harm: Mapping[float, Decisions]) -> Outcome:
        """From the decisions at each of the harms."""
        rolled_back = {harm: found.decision == ROLLBACK for harm, found in by_harm.items()}
        small = by_harm[_SMALL]
        minutes = np.where(rolled_back[_SMALL], small.at_ms / 60_000, np.inf)
        return cls(
            runs=small.decision.size,
            false=int(rolled_back[_NONE].sum()),
            found=int(rolled_back[_SMALL].sum()),
            minutes=float(np.quantile(minutes, 0.5, method="higher")),
            promoted=int((by_harm[_LARGE].decision == PROMOTE).sum()),
            healthy=int((by_harm[_NONE].decision == PROMOTE).sum()),
        )


def main() -> None:
    """Prints a row per kind of traffic and judge, then what of the requirements is held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--kind", choices=(*_KINDS, "all"), default="all")
    asked = parser.parse_args()
    names = _KINDS if asked.kind == "all" else (asked.kind,)
    kinds = [traffic for name in names for traffic in _KINDS[name]()]
    began, rows = time.monotonic(), []
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        found = pool.map(_judged, kinds, [asked.runs] * len(kinds))
        for traffic, outcomes in zip(kinds, found, strict=True):
            rows.append((traffic, outcomes))
            print("\n".join(_table(traffic, outcomes)), flush=True)
    for line in _requirements(rows):
        print(line)
    print(f"{time.monotonic() - began:.0f} s")


def _steady() -> Iterator[Traffic]:
    """Bursts and shared shocks, each bucket for itself."""
    for (bursts, shock), rate in product(((1, 0), (5, 0), (1, 1), (5, 1)), (20, 100, 1000)):
        yield Traffic(rate=rate, overdispersion=bursts, shock=shock, buckets=_BUCKETS)


def _persistent() -> Iterator[Traffic]:
    """Slow drift that both versions share, and states of each version that outlast a bucket."""
    for shock, state, persistence in ((1, 0, 0.95), (0, 0.5, 0.8)):
        drift = Traffic(rate=1000, shock=shock, state=state, persistence=persistence)
        yield replace(drift, buckets=_BUCKETS)


def _pods() -> Iterator[Traffic]:
    """Pods that differ for good."""
    for spread in (0.3, 0.6):
        yield Traffic(rate=1000, pods=5, pod_spread=spread, buckets=_BUCKETS)


_KINDS = {"steady": _steady, "persistent": _persistent, "pods": _pods}


def _judged(traffic: Traffic, runs: int) -> dict[str, Outcome]:
    if traffic.pods:
        runs = max(10, int(runs * _POD_RUNS))
    decided: dict[str, dict[float, Decisions]] = {name: {} for name in _ENTRANTS}
    for harm in (_NONE, _SMALL, _LARGE):
        rng, harmed = np.random.default_rng(_SEED), replace(traffic, harm=harm)
        pods = simulate_pods(rng, harmed, runs) if traffic.pods else None
        arms = (over_pods(pods[0]), over_pods(pods[1])) if pods else simulate(rng, harmed, runs)
        for name, entrant in _ENTRANTS.items():
            decided[name][harm] = (
                _by_verdict(arms, pods, entrant)
                if entrant.judge is Judge.VERDICT
                else decide(entrant.judge, _setting(entrant), _runs(arms))
            )
    return {name: Outcome.of(by_harm) for name, by_harm in decided.items()}


def _setting(entrant: Entrant) -> Setting:
    every = entrant.every * _MINUTE
    return Setting(
        plan=plan_for(_BUCKETS, margin=entrant.margin),
        limits=_LIMITS,
        looks_ms=np.arange(every, _BUCKETS + 1, every) * BUCKET_MS,
        thresholds=np.array([_FAILING_SHARE]),
    )


def _runs(arms: Arms) -> Runs:
    named = dict(zip(("stable", "canary"), arms, strict=True))
    return Runs(
        requests={name: counts.total for name, counts in named.items()},
        counts={name: BucketCounts(c.total[:, None], c.bad[:, None]) for name, c in named.items()},
    )


def _by_verdict(arms: Arms, pods: Arms | None, entrant: Entrant) -> Decisions:
    """The product's first promote or rollback of each run.

    It is asked only where a bound may have crossed the margin, or harm since a start be proven:
    with pods bounds are wider and alpha is shared by tests, so no other run can be decided.
    """
    plan, runs = plan_for(_BUCKETS, margin=entrant.margin), len(arms[0].total)
    decision, at_ms = np.full(runs, HOLD), np.full(runs, _BUCKETS * BUCKET_MS)
    for seen in range(_MINUTE, _BUCKETS + 1, _MINUTE):
        left = np.flatnonzero(decision == HOLD)
        if not left.size:
            break
        baseline, candidate = (_rows(counts, left, seen) for counts in arms)
        for run in left[may_decide(plan, baseline, candidate, seen)]:
            decision[run] = _asked(plan, arms, pods, int(run), seen)
            at_ms[run] = seen * BUCKET_MS
    return Decisions(decision, np.where(decision == HOLD, _BUCKETS * BUCKET_MS, at_ms))


def _asked(plan: Plan, arms: Arms, pods: Arms | None, run: int, seen: int) -> int:
    """What reach_verdict says of one run at one look."""
    baseline, candidate = (_rows(counts, np.array([run]), seen) for counts in arms)
    of_pods = pods and {
        name: pod_counts(counts, run, seen, name)
        for name, counts in zip(("stable", "canary"), pods, strict=True)
    }
    evidence = evidence_until(baseline, candidate, seen, of_pods)
    verdict = reach_verdict(plan, evidence, _LIMITS, at_ms=seen * BUCKET_MS)
    return {Decision.PROMOTE: PROMOTE, Decision.ROLLBACK: ROLLBACK}.get(verdict.decision, HOLD)


def _rows(counts: BucketCounts, runs: NDArray[np.int64], buckets: int) -> BucketCounts:
    return BucketCounts(counts.total[runs, :buckets], counts.bad[runs, :buckets])


def _least_minutes(traffic: Traffic) -> tuple[float, float]:
    """Minutes to find half of the runs of +0.5 points: by one test, and by a sequential bound."""
    a_minute = 60 * traffic.rate * np.array([1 - traffic.split, traffic.split])
    p = traffic.base + np.array([0, _SMALL])
    variance = traffic.overdispersion * float((p * (1 - p) / a_minute).sum())
    sequential = float(one_sided_multiplier(_BUCKETS, alpha=0.025, n_opt=_BUCKETS))
    one, every = (variance * (z / _SMALL) ** 2 for z in (1.96, sequential))
    return one, every


def _interval(count: int, runs: int) -> tuple[float, float]:
    """Clopper-Pearson, 95 %."""
    low = float(betaincinv(count, runs - count + 1, 0.025)) if count else 0.0
    return low, float(betaincinv(count + 1, runs - count, 0.975)) if count < runs else 1.0


def _table(traffic: Traffic, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
    one, every = _least_minutes(traffic)
    yield f"{_title(traffic)}; least {one:.1f} min in one test, {every:.1f} at every look"
    yield _line("", "false rollbacks", "+0.5 found", "median", "+1 promoted", "0 promoted")
    for name, found in outcomes.items():
        low, high = (100 * end for end in _interval(found.false, found.runs))
        minutes = f"{found.minutes:.0f} min" if np.isfinite(found.minutes) else "-"
        false = f"{found.false}/{found.runs} ({low:.1f}-{high:.1f} %)"
        share = f"{100 * found.found / found.runs:.0f} %"
        promoted, healthy = (f"{n}/{found.runs}" for n in (found.promoted, found.healthy))
        yield _line(name, false, share, minutes, promoted, healthy)


def _line(*cells: str) -> str:
    widths = (24, 11, 8, 12, 11)
    rest = (f"{cell:>{width}}" for cell, width in zip(cells[1:], widths, strict=True))
    return f"  {cells[0]:12} {' '.join(rest)}"


def _title(traffic: Traffic) -> str:
    told = {
        "bursts": traffic.overdispersion if traffic.overdispersion > 1 else 0,
        "shock": traffic.shock,
        "state": traffic.state,
        "persist": traffic.persistence,
        "pods": traffic.pods,
        "spread": traffic.pod_spread,
    }
    parts = [f"{name} {value:g}" for name, value in told.items() if value]
    return ", ".join([f"{traffic.rate:g} req/s", *parts])


def _requirements(rows: list[tuple[Traffic, dict[str, Outcome]]]) -> Iterator[str]:
    """What must hold, over all kinds of traffic."""
    for ours in _OURS:
        of_ours = [outcomes[ours] for _, outcomes in rows]
        runs = sum(found.runs for found in of_ours)
        for what, count, limit in (
            ("false rollbacks", sum(found.false for found in of_ours), 5.0),
            ("promoted with +1 point", sum(found.promoted for found in of_ours), 1.0),
        ):
            low, high = (100 * end for end in _interval(count, runs))
            held = "held" if 100 * count / runs <= limit else "NOT held"
            yield f"{ours}: {what} {count}/{runs} ({low:.2f}-{high:.2f} %), <= {limit:g} %: {held}"
        worst, found = max(
            ((traffic, outcomes[ours]) for traffic, outcomes in rows),
            key=lambda row: row[1].false / row[1].runs,
        )
        yield f"  most false rollbacks: {found.false}/{found.runs} at {_title(worst)}"
        for kayenta in ("kayenta 60", "kayenta 5"):
            yield f"{ours}: half of {kayenta}'s time to +0.5 points:{_speed(rows, ours, kayenta)}"


def _speed(rows: list[tuple[Traffic, dict[str, Outcome]]], ours: str, kayenta: str) -> str:
    words: dict[str, list[str]] = {"held": [], "NOT held": [], "found by neither": []}
    for traffic, outcomes in rows:
        mine, theirs = outcomes[ours].minutes, outcomes[kayenta].minutes
        if np.isinf(mine) and np.isinf(theirs):
            verdict = "found by neither"
        else:
            verdict = "held" if mine <= theirs / 2 else "NOT held"
        words[verdict].append(_title(traffic))
    return "".join(f"\n  {word}: {' | '.join(at)}" for word, at in words.items() if at)


if __name__ == "__main__":
    main()
