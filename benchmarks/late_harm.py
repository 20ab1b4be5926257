"""Harm that begins at any time, and health that is recognised: found how often, and how soon.

`python -m benchmarks.late_harm [--runs 300] [--only KIND]`: canaries of an hour at 5 % of the
traffic, and in a ramp (5, 25 and 50 % for 20 minutes each), a look a minute, one guardrail with a
margin of 0.5 points, alpha 5 %, warm-up 90 s. By the product's tests of request metrics
(RequestTests). A line a cell, then what must hold; minutes are counted from when the harm began.
Kinds: `false`, `harm`, `health`; `buckets`, false rollbacks by states and how soon harm is found
by a `plan.bucket` of 1 to 60 s; `kayenta`, its judge every five minutes on the same streams, a
share a minute; `latency`, the same on latencies that are drawn and counted at a histogram's edges
(latency_streams.py), by the edge next to p99 and by those next to p50, p90 and p99; `looks`, CPU
milliseconds of a look early and late in a plan of eight hours.

The streams (tests/builders/changing_streams.py): 0.5 % of requests fail. Shocks that both versions
share and states that each has for itself are log-normal factors of a first-order autoregression;
bursts are beta-binomial. A state of a log-sd of 1 swings a version's failures between a fifth and
three times of what they are.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np

from analysis.calibration.judges import Judge, Runs, Setting, decide
from analysis.calibration.outcome import ROLLBACK
from analysis.evidence import QualityLimits
from analysis.judge.started_harm import find_started_harm
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from tests.builders.changing_streams import (
    A_MINUTE,
    STORM,
    Stream,
    as_one_metric,
    leak,
    plan_of,
    step,
    warming,
    watch,
    watch_counts,
)
from tests.builders.latency_streams import LatencyStream, Slowed, slow_plan

_SEED = 20261128
_RATES = (20.0, 100.0, 1000.0)
_BUCKETS_S = (1, 2, 5, 10, 15, 60)
_LOOKS = (4, 40, 400, 1920)
# A margin that allows as little as Kayenta does without an allowedIncrease.
_NEXT_TO_NOTHING = 0.0005

_HEALTHY = {
    "iid": Stream(),
    "shared AR(1)": Stream(shock=1.0),
    "bursts 3": Stream(bursts=3.0),
    "bursts 10": Stream(bursts=10.0),
    "hidden pods 0.3": Stream(pods=5, spread=0.3),
    "hidden pods 0.6": Stream(pods=5, spread=0.6),
    "state 30 s": Stream(state=0.5, state_s=30),
    "state 2 min": Stream(state=0.5, state_s=120),
    "state 5 min": Stream(state=0.5, state_s=300),
    "wild state 1 min": Stream(state=1.0, state_s=60),
    "wild state 5 min": Stream(state=1.0, state_s=300),
    "diurnal": Stream(diurnal=0.6),
    "storm": Stream(both=STORM),
    "JIT": Stream(base=0.01, harm=warming(3)),
    "restarts": Stream(restarts=0.05),
}
_BY_BUCKETS = ("iid", "state 5 min", "wild state 1 min", "wild state 5 min")
_STEPS_BY_BUCKETS = ((2, 20), (5, 0), (5, 30), (99, 30))
_PROMOTED = ("iid", "shared AR(1)", "diurnal", "storm", "JIT")
Cell = tuple[str, Stream, float]


def main() -> None:
    """Prints the cells of each kind, and whether the goals are held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--only", choices=tuple(_KINDS))
    parser.add_argument("--rate", type=float, choices=_RATES)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    rates = _RATES if asked.rate is None else (asked.rate,)
    with ProcessPoolExecutor(asked.processes) as pool:
        for name, kind in _KINDS.items():
            if asked.only in (None, name):
                for line in kind(pool, rates, asked.runs):
                    print(line, flush=True)


def _false(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """False rollbacks at any look of the hour; looks go on after a promote."""
    cells = [
        (f"{name}, {rate:g}/s, {'ramp' if ramp else '95/5'}", replace(s, rate=rate, ramp=ramp))
        for (name, s), rate, ramp in product(_HEALTHY.items(), rates, (False, True))
    ]
    yield f"false rollbacks, percent of {runs} runs"
    shares = []
    courses = pool.map(_course, ((s, i, runs, True) for i, (_, s) in enumerate(cells)))
    for (name, _), (found, _, _) in zip(cells, courses, strict=True):
        shares.append(found)
        yield f"  {name:36} {found:5.1f}"
    worst, mean = max(shares), float(np.mean(shares))
    yield f"  worst {worst:.1f} (goal 5), mean {mean:.2f} (goal 1.5)"


def _harm(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """Percent of runs that are rolled back, and the median minutes since the harm began."""
    kinds: list[Cell] = [("+1 from the start", Stream(harm=step(0, 1)), 0)]
    kinds += [(f"+2 from minute {t}", Stream(harm=step(t, 2)), t) for t in (2, 10, 20, 30, 40)]
    kinds += [
        (f"+{p:g} from minute {t}", Stream(harm=step(t, p)), t)
        for p, t in product((5, 9, 99), (0, 2, 5, 10, 30))
    ]
    kinds += [("leak to +2", Stream(harm=leak(2)), 0)]
    kinds += [("+1, bursts 10", Stream(harm=step(0, 1), bursts=10), 0)]
    yield f"harm: percent of {runs} runs found, median minutes, percent promoted"
    cells = [
        (f"{name}, {rate:g}/s, {'ramp' if ramp else '95/5'}", replace(s, rate=rate, ramp=ramp), at)
        for (name, s, at), rate, ramp in product(kinds, rates, (False, True))
    ]
    tasks = ((s, 1000 + i, runs, True, at) for i, (_, s, at) in enumerate(cells))
    for (name, _, _), (found, median, promoted) in zip(
        cells, pool.map(_course, tasks), strict=True
    ):
        yield f"  {name:36} {found:5.1f} {median:5.1f} {promoted:6.1f}"


def _health(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """Percent of healthy canaries that are promoted by minute 60."""
    yield f"health: percent of {runs} runs promoted by the end"
    cells = [
        (f"{name}, {rate:g}/s, {'ramp' if ramp else '95/5'}", replace(s, rate=rate, ramp=ramp))
        for (name, s), rate, ramp in product(_HEALTHY.items(), rates, (False, True))
        if name in _PROMOTED
    ]
    courses = pool.map(_course, ((s, 2000 + i, runs, False) for i, (_, s) in enumerate(cells)))
    for (name, _), (_, _, promoted) in zip(cells, courses, strict=True):
        yield f"  {name:36} {promoted:5.1f}"


# Latency as the share of requests above one edge at the baseline's median or p99 exactly, all that
# is simulated of it, as of log-normal latencies (log-sd 0.8) but without states: all of them
# half as slow again at the median; the tail twice as slow, or the log-sd 0.3 times larger, at p99.
_BESIDE = {
    "iid": Stream(),
    "bursts 10": Stream(bursts=10.0),
    "+1": Stream(harm=step(0, 1)),
    "+1, bursts 10": Stream(harm=step(0, 1), bursts=10),
    "+3": Stream(harm=step(0, 3)),
    "median x 1.5": Stream(slow=True, base=0.5, harm=step(0, 19.4)),
    "p99 doubled": Stream(slow=True, base=0.01, harm=step(0, 6.2)),
    "spread x 1.3": Stream(slow=True, base=0.01, harm=step(0, 2.7)),
}


def _buckets(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """As `harm`, of healthy versions with states as well, by the width of a bucket."""
    kinds: list[Cell] = [(name, _HEALTHY[name], 0) for name in _BY_BUCKETS]
    kinds += [(f"+{p:g} from minute {t}", Stream(harm=step(t, p)), t) for p, t in _STEPS_BY_BUCKETS]
    yield f"buckets: percent of {runs} runs rolled back, median minutes, percent promoted"
    cells = [
        (
            f"{name}, {rate:g}/s, {width} s",
            replace(s, rate=rate, bucket_ms=1000 * width, buckets=3600 // width),
            at,
        )
        for (name, s, at), rate, width in product(kinds, rates, _BUCKETS_S)
    ]
    tasks = ((s, 3000 + i, runs, True, at) for i, (_, s, at) in enumerate(cells))
    for (name, _, _), (found, median, promoted) in zip(
        cells, pool.map(_course, tasks), strict=True
    ):
        yield f"  {name:36} {found:5.1f} {median:5.1f} {promoted:6.1f}"


def _kayenta(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """Percent of runs rolled back and the median minutes until then: ours twice, then Kayenta's."""
    yield f"percent of {runs} runs rolled back and median minutes: ours, ours by a margin of"
    yield f"  {100 * _NEXT_TO_NOTHING:g} points, Kayenta every five minutes, which allows nothing"
    cells = [
        (f"{name}, {rate:g}/s, {'ramp' if ramp else '95/5'}", replace(s, rate=rate, ramp=ramp))
        for (name, s), rate, ramp in product(_BESIDE.items(), rates, (False, True))
    ]
    tasks = [(s, 3000 + i, runs, True) for i, (_, s) in enumerate(cells)]
    ways = [pool.map(way, tasks) for way in (_course, _as_strict, _by_kayenta)]
    for (name, _), *found in zip(cells, *ways, strict=True):
        yield f"  {name:36} " + "  ".join(f"{share:5.1f} {at:5.1f}" for share, at, *_ in found)


def _as_strict(task: tuple[Stream, int, int, bool]) -> tuple[float, float]:
    """As _course, where a canary may be worse by next to nothing."""
    stream, seed, runs, on = task
    return watch(stream, _SEED + seed, runs, margin=_NEXT_TO_NOTHING, on=on).found()


def _by_kayenta(task: tuple[Stream, int, int, bool]) -> tuple[float, float]:
    """Percent rolled back and the median minutes until then, on the streams of _course."""
    stream, seed, runs, _ = task
    return _kayenta_on(plan_of(stream), as_one_metric(stream.counts(_SEED + seed, runs)))


def _kayenta_on(plan: Plan, arms: tuple[BucketCounts, BucketCounts]) -> tuple[float, float]:
    counts = dict(zip(("stable", "canary"), arms, strict=True))
    looks = np.arange(5, plan.planned_ms // 60_000 + 1, 5) * 60_000
    setting = Setting(plan, QualityLimits(), looks, np.ones(len(plan.metrics)))
    requests = {name: arm.total[:, 0] for name, arm in counts.items()}
    found = decide(Judge.KAYENTA, setting, Runs(requests, counts))
    rolled = found.decision == ROLLBACK
    minutes = np.where(rolled, found.at_ms / 60_000, np.inf)
    return 100 * float(rolled.mean()), float(np.quantile(minutes, 0.5, method="higher"))


def _course(
    task: tuple[Stream, int, int, bool] | tuple[Stream, int, int, bool, float],
) -> tuple[float, float, float]:
    """Percent rolled back, median minutes until then, percent promoted."""
    stream, seed, runs, on, *at = task
    course = watch(stream, _SEED + seed, runs, on=on)
    return *course.found(*at), course.healthy


# As drawn latencies: margins in points of the edge next to p99, and of those next to p50, p90, p99.
_MARGINS = ((0.005,), (0.10, 0.05, 0.01))
_HEALTHY_LATENCY = (
    "iid",
    "shared AR(1)",
    "bursts 3",
    "bursts 10",
    "state 30 s",
    "state 2 min",
    "state 5 min",
    "wild state 1 min",
    "wild state 5 min",
    "diurnal",
)
_LATENCY = {
    **{name: LatencyStream(_HEALTHY[name]) for name in _HEALTHY_LATENCY},
    "JIT": LatencyStream(harm=Slowed(times=1.6, end=3)),
    "median x 1.5": LatencyStream(harm=Slowed(times=1.5)),
    "p99 doubled": LatencyStream(harm=Slowed(tail=2)),
    "spread x 1.3": LatencyStream(harm=Slowed(spread=1.3)),
}


def _latency(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """Percent of runs rolled back and the median minutes until then, by one edge and by three."""
    yield f"latencies: percent of {runs} runs rolled back and median minutes, by p99's edge (ours,"
    yield "  Kayenta every five minutes), then by the edges of p50, p90 and p99 (ours, Kayenta)"
    cells = [
        (f"{name}, {rate:g}/s, {'ramp' if ramp else '95/5'}", s, rate, ramp)
        for (name, s), rate, ramp in product(_LATENCY.items(), rates, (False, True))
    ]
    tasks = (
        (replace(s, like=replace(s.like, rate=rate, ramp=ramp)), 4000 + i, runs)
        for i, (_, s, rate, ramp) in enumerate(cells)
    )
    for (name, *_), found in zip(cells, pool.map(_by_edges, tasks), strict=True):
        yield f"  {name:36} " + "  ".join(f"{share:5.1f} {at:5.1f}" for share, at in found)


def _by_edges(task: tuple[LatencyStream, int, int]) -> list[tuple[float, float]]:
    """By one edge and by three, of each ours and Kayenta's, on the same streams."""
    stream, seed, runs = task
    arms, found = stream.counts(_SEED + seed, runs), []
    for margins in _MARGINS:
        plan, last = slow_plan(stream.like, margins), slice(-len(margins), None)
        own = BucketCounts(arms[0].total[:, last], arms[0].bad[:, last])
        other = BucketCounts(arms[1].total[:, last], arms[1].bad[:, last])
        found += [
            watch_counts(plan, (own, other), on=True).found(),
            _kayenta_on(plan, (own, other)),
        ]
    return found


def _looks(pool: ProcessPoolExecutor, rates: tuple[float, ...], runs: int) -> Iterator[str]:
    """CPU milliseconds of the search over starts at a look, in a plan of eight hours."""
    del pool, runs
    yield "a look's search over starts in a plan of eight hours, CPU milliseconds"
    for rate in rates:
        stream = Stream(rate=rate, buckets=_LOOKS[-1])
        arms = stream.counts(_SEED, 1)
        for end in _LOOKS:
            began, times = time.process_time(), 20
            for _ in range(times):
                _search(stream, arms, end)
            cost = 1000 * (time.process_time() - began) / times
            yield f"  {rate:g}/s, after {end / A_MINUTE:g} minutes: {cost:.1f}"


def _search(stream: Stream, arms: tuple[BucketCounts, BucketCounts], end: int) -> None:
    plan = plan_of(stream)
    seen = tuple(BucketCounts(arm.total[:, :end], arm.bad[:, :end]) for arm in arms)
    alpha, margin = np.array([plan.request_alpha(plan.metrics[0])]), np.array([0.005])
    pairs = pair_buckets(*seen)
    find_started_harm(plan, (seen[0], seen[1]), list(plan.metrics), alpha, margin, pairs, 0)


_KINDS = {
    "false": _false,
    "harm": _harm,
    "health": _health,
    "buckets": _buckets,
    "kayenta": _kayenta,
    "latency": _latency,
    "looks": _looks,
}


if __name__ == "__main__":
    main()
