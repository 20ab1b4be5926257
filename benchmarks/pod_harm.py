"""One bad pod of a version: how often and how soon it is found, and how often a healthy one is.

`python -m benchmarks.pod_harm [--runs 200]`: an hour at 5 % of the traffic, five pods of each
version, 0.5 % of requests fail, margin 0.5 points, alpha 5 %, a look a minute. By the product's
test of single pods (harmful_pods). Pods differ by a log-normal factor that each keeps for good; a
log-sd beyond 0.6 is not plausible among pods that are well. Minutes count from when harm began.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from tests.builders.changing_streams import step
from tests.builders.pod_streams import PodStream, watch_pods

_RATES = (20.0, 100.0, 1000.0)
_SEED = 20261129
_HEALTHY = {
    "alike": PodStream(),
    "spread 0.3": PodStream(spread=0.3),
    "spread 0.6": PodStream(spread=0.6),
    "spread 0.6, two pods": PodStream(spread=0.6, pods=2),
    "spread 0.6, three pods": PodStream(spread=0.6, pods=3),
    "spread 0.6, twenty pods": PodStream(spread=0.6, pods=20),
    "spread 1.0": PodStream(spread=1.0),
    "spread 0.3, 5 % fail": PodStream(spread=0.3, base=0.05),
    "bursts 3": PodStream(bursts=3.0),
    "spread 0.3, shared AR(1)": PodStream(spread=0.3, shock=1.0),
    "states of 5 min": PodStream(state=0.6),
}
_HARMED = {
    "+5": (PodStream(harm=step(0, 5)), 0),
    "+5, spread 0.3": (PodStream(harm=step(0, 5), spread=0.3), 0),
    "+5 at minute 30": (PodStream(harm=step(30, 5)), 30),
    "+5, 5 % fail": (PodStream(harm=step(0, 5), base=0.05), 0),
    "+5 at half of the traffic": (PodStream(harm=step(0, 5), share=0.5), 0),
}


def main() -> None:
    """Prints a line a cell: percent of runs, and median minutes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print(f"healthy pods: percent of {runs} runs in which one is said to harm")
    for name, stream in _HEALTHY.items():
        for rate in _RATES:
            found, _ = watch_pods(replace(stream, rate=rate), _SEED, runs)
            print(f"  {name:28} {rate:6g}/s {found:6.1f}", flush=True)
    print("one bad pod: percent of runs in which it is found, median minutes")
    for name, (stream, since) in _HARMED.items():
        for rate in _RATES:
            found, median = watch_pods(replace(stream, rate=rate), _SEED, runs)
            print(f"  {name:28} {rate:6g}/s {found:6.1f} {median - since:6.1f}", flush=True)


if __name__ == "__main__":
    main()
