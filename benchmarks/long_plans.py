"""Whether harm is found as soon in a plan of a week as in one of half an hour, and what that costs.

`python -m benchmarks.long_plans [--runs 400] [--quick]`: canaries with 5 % of the traffic, of which
0.5 % of the requests fail anyway, in buckets of 15 s, judged at 2.5 % a side (half of the default
alpha), harm at half of that, the other half being the exact test's. First table: minutes until 1, 3
and 100 points more are found, and until a healthy canary with a margin of half a point is promoted,
in half and in nine of ten runs, a look a minute; in brackets as if bounds were tightest at half the
plan and at its end, whatever its length. Second: standard errors from an estimate to its bounds at
the plan's end, over those of bounds that are tightest there. Third: percent of a day's runs with a
true harm of just the margin, in which harm was ever proven, and ever excluded: at a look a minute
for four hours, then every ten minutes.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from analysis.judge.total_failure import gross_gap
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import GrossNull, gross_failure_path
from analysis.requests.paired_buckets import pair_buckets
from analysis.sequential.confidence_sequence import one_sided_multiplier
from tests.builders.streams import Traffic, plan_for, simulate, until

FloatArray = NDArray[np.float64]

_SEED, _MARGIN, _ALPHA = 20261125, 0.005, 0.025
_MINUTE, _HOUR, _DAY = 4, 240, 5760
_LENGTHS = {"30 min": 120, "6 h": 6 * _HOUR, "1 d": _DAY, "7 d": 7 * _DAY}
_SEEN_H = 6
_DAY_OF = {
    "independent": Traffic(),
    "overdispersed 5": Traffic(overdispersion=5),
    "persistent 0.6": Traffic(state=0.5, persistence=0.6),
    "persistent 0.6, 1000 req/s": Traffic(rate=1000, state=0.5, persistence=0.6),
}


@dataclass(frozen=True, slots=True)
class Tuning:
    """Buckets after which bounds that prove and that exclude harm are tightest."""

    harm: float
    promote: float

    @classmethod
    def of(cls, plan: Plan) -> Tuning:
        """The product's."""
        return cls(plan.harm_buckets, plan.promote_buckets)


def main() -> None:
    """Prints the three tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--quick", action="store_true", help="40 runs")
    options = parser.parse_args()
    runs = 40 if options.quick else options.runs
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        print(f"minutes until found in half (nine in ten) of {runs} runs, 100 req/s")
        for line in pool.map(partial(_detection, runs), _LENGTHS):
            print(line, flush=True)
        for line in _price():
            print(line, flush=True)
        print(f"wrong in a day, percent of {runs} runs, at most 2.5 wanted: proven / excluded")
        for line in pool.map(partial(_false_alarms, runs), _DAY_OF):
            print(line, flush=True)


def _detection(runs: int, length: str) -> str:
    buckets = _LENGTHS[length]
    planned, said = plan_for(buckets), []
    for tuning in (Tuning.of(planned), Tuning(buckets / 2, buckets)):
        cells = [
            f"{name} {_minutes(_first(runs, harm, buckets, tuning, is_harm=name[0] == '+'))}"
            for name, harm in (("+1", 0.01), ("+3", 0.03), ("+100", 0.995), ("healthy", 0.0))
        ]
        said.append(", ".join(cells))
    return f"  {length:7} {said[0]}\n          ({said[1]})"


def _first(
    runs: int, harm: float, buckets: int, tuning: Tuning, *, is_harm: bool
) -> NDArray[np.float64]:
    """Buckets until harm is proven, or excluded: float64[runs], inf where never in six hours.

    Proven beyond no margin at all, or else 1 point were hardly more than what is allowed.
    """
    shown = min(buckets, _SEEN_H * _HOUR)
    arms = simulate(np.random.default_rng(_SEED), Traffic(harm=harm, buckets=shown), runs)
    found = np.full(runs, np.inf)
    if is_harm:
        found = _first_gross(arms, buckets)
    for seen in range(_MINUTE, shown + 1, _MINUTE):
        left = np.flatnonzero(found > seen)
        if not left.size:
            break
        lower, upper = _bounds(_rows(arms, left), seen, tuning)
        now = lower > 0 if is_harm else (upper <= _MARGIN) & (seen >= 5 * _MINUTE)
        found[left[now]] = seen
    return found


def _bounds(
    arms: tuple[BucketCounts, BucketCounts], seen: int, tuning: Tuning
) -> tuple[FloatArray, FloatArray]:
    excess = pair_buckets(until(arms[0], seen), until(arms[1], seen)).contrast()
    lower = excess.lower(alpha=_ALPHA / 2, n_opt=tuning.harm)
    return lower, excess.upper(alpha=_ALPHA, n_opt=tuning.promote)


def _rows(
    arms: tuple[BucketCounts, BucketCounts], rows: NDArray[np.int64]
) -> tuple[BucketCounts, BucketCounts]:
    baseline, candidate = (BucketCounts(x.total[rows], x.bad[rows]) for x in arms)
    return baseline, candidate


def _first_gross(arms: tuple[BucketCounts, BucketCounts], buckets: int) -> FloatArray:
    """Looks at which the exact test has found a failure."""
    runs, alpha = len(arms[0].total), _ALPHA / 2
    null = GrossNull(np.full(runs, gross_gap(0.0)), np.full(runs, alpha), buckets)
    path = gross_failure_path(*arms, null)
    crossed = path >= -np.log(alpha)
    first = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1.0, np.inf)
    return np.asarray(np.ceil(first / _MINUTE) * _MINUTE)


def _minutes(first: NDArray[np.float64]) -> str:
    half, most = np.percentile(first, [50, 90], method="higher") / _MINUTE
    return " ".join((f"{x:.0f}" if np.isfinite(x) else "-") for x in (half, most))


def _price() -> Iterator[str]:
    yield "bounds at the plan's end over those that are tightest there: harm, promote"
    for length, buckets in _LENGTHS.items():
        tuning = Tuning.of(plan_for(buckets))
        ratios = [
            float(
                one_sided_multiplier(buckets, alpha=alpha, n_opt=ours)
                / one_sided_multiplier(buckets, alpha=alpha, n_opt=theirs)
            )
            for alpha, ours, theirs in (
                (_ALPHA / 2, tuning.harm, buckets / 2),
                (_ALPHA, tuning.promote, float(buckets)),
            )
        ]
        yield f"  {length:7} {ratios[0]:.3f} {ratios[1]:.3f}"


def _false_alarms(runs: int, name: str) -> str:
    """In parts that fit into memory."""
    part = 50
    traffic = replace(_DAY_OF[name], harm=_MARGIN, buckets=_DAY)
    wrong = np.zeros(2)
    for seed in range(-(-runs // part)):
        wrong += _wrong(traffic, min(part, runs - seed * part), seed)
    return f"  {name:27} {' / '.join(f'{100 * share:.1f}' for share in wrong / runs)}"


def _wrong(traffic: Traffic, runs: int, seed: int) -> NDArray[np.int64]:
    """How many runs ever proved, and ever excluded, harm beyond the margin: it is the margin."""
    arms = simulate(np.random.default_rng([_SEED, seed]), traffic, runs)
    tuning = Tuning.of(plan_for(_DAY))
    proven, excluded = np.zeros(runs, dtype=np.bool_), np.zeros(runs, dtype=np.bool_)
    looks = [*range(_MINUTE, 4 * _HOUR, _MINUTE), *range(4 * _HOUR, _DAY + 1, 10 * _MINUTE)]
    for seen in looks:
        lower, upper = _bounds(arms, seen, tuning)
        proven |= lower > _MARGIN
        if seen >= 5 * _MINUTE:
            excluded |= upper <= _MARGIN
    return np.array([proven.sum(), excluded.sum()])


if __name__ == "__main__":
    main()
