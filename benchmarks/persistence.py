"""How often a version's own slow state ends in a wrong verdict, and what guarding against it costs.

`python -m benchmarks.persistence [--runs 1000] [--quick]`: streams whose true harm is the margin
(0.5 points), in which either version's failure rate swings with a coefficient from bucket to bucket
(sd of its log 0.3, 0.5 and 1), over 20 to 240 buckets of 15 s, at 100 and 1000 requests a second
and splits of 5 and 50 %, looked at every second bucket. Columns: percent of runs in which harm was
ever excluded, and ever proven, at 2.5 % (half of the default alpha) a side, the latter shared with
the exact test as the judge has it: the mean over all 48 kinds, and the worst of them; then the same
without long-run variance, though the degrees of freedom still allow for a little persistence.
Below: the same streams without state and with a harm of 0 or 3 points: buckets of 120 until it is
excluded, or proven, in half and in nine of ten runs.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import PairedBuckets, pair_buckets
from tests.builders.streams import FirstDecisions, Traffic, first_decisions

_ALPHA, _MARGIN = 0.025, 0.005
_COEFFICIENTS = (0.0, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97)


def main() -> None:
    """Prints one line a coefficient, then the price."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="200 runs")
    options = parser.parse_args()
    runs = 200 if options.quick else options.runs
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        print(f"wrong verdicts, percent of {runs} runs: excluded / proven, wanted 2.5 a side")
        print("coefficient  mean         worst         independent: mean  worst")
        for coefficient in _COEFFICIENTS:
            found = [
                np.array(
                    list(pool.map(partial(_wrong, runs, guarded=guarded), _kinds(coefficient)))
                )
                for guarded in (True, False)
            ]
            shown = [f"{_pair(x.mean(axis=0))}  {_pair(x.max(axis=0))}" for x in found]
            print(f"{coefficient:11.2f}  {shown[0]}  {shown[1]}", flush=True)
        print("price without any state, buckets until half (nine in ten) are decided")
        for line in pool.map(partial(_price, runs), (100.0, 1000.0)):
            print(line)


def _kinds(coefficient: float) -> list[Traffic]:
    return [
        Traffic(
            rate=rate,
            split=split,
            harm=_MARGIN,
            state=state,
            persistence=coefficient,
            buckets=buckets,
        )
        for state, buckets, rate, split in product(
            (0.3, 0.5, 1.0), (20, 60, 120, 240), (100, 1000), (0.05, 0.5)
        )
    ]


def _firsts(traffic: Traffic, runs: int, *, guarded: bool) -> FirstDecisions:
    pair = pair_buckets if guarded else _pair_as_independent
    return first_decisions(
        20261124, traffic, runs, margin=_MARGIN, alpha=_ALPHA, every=2, pair=pair
    )


def _pair_as_independent(baseline: BucketCounts, candidate: BucketCounts) -> PairedBuckets:
    pairs = pair_buckets(baseline, candidate)
    alone = {name: getattr(pairs.products, name)[:1] for name in ("baseline", "candidate", "both")}
    return replace(pairs, products=replace(pairs.products, **alone))


def _wrong(runs: int, traffic: Traffic, *, guarded: bool) -> tuple[float, float]:
    return _firsts(traffic, runs, guarded=guarded).ever


def _pair(shares: NDArray[np.float64]) -> str:
    return " / ".join(f"{100 * share:4.1f}" for share in shares)


def _price(runs: int, rate: float) -> str:
    said = []
    for guarded in (True, False):
        healthy, ill = (
            _firsts(Traffic(rate=rate, harm=harm), runs, guarded=guarded) for harm in (0.0, 0.03)
        )
        said.append(f"excluded {_times(healthy.excluded)}, 3 points proven {_times(ill.proven)}")
    return f"{rate:6.0f} req/s: {said[0]}; taken for independent: {said[1]}"


def _times(first: NDArray[np.float64]) -> str:
    half, most = np.percentile(first, [50, 90], method="lower")
    return " ".join((f"{x:.0f}" if np.isfinite(x) else "-").rjust(3) for x in (half, most))


if __name__ == "__main__":
    main()
