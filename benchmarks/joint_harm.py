"""Weak harm in three metrics at once: found together how often and how soon, and alone.

`python -m benchmarks.joint_harm [--runs 60] [--every 2]`: an hour at 5 % of the traffic, guardrails
errors, slow and abandoned (0.5, 1 and 0.2 % of requests; margins 0.5, 1 and 0.5 points), alpha 5 %,
a look every so many minutes. Percent of runs, and median minutes since the harm began. States and
shocks are of all three metrics alike. Together is asked only while no metric fails alone.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

from tests.builders.joint_streams import JointStream, watch_joint

_SEED = 20261130
_CELLS = {
    "healthy": JointStream(),
    "healthy, shared AR(1)": JointStream(shock=1.0),
    "healthy, states 1 min": JointStream(state=0.5, state_s=60),
    "healthy, states 5 min": JointStream(state=0.5),
    "healthy, bursts 3": JointStream(bursts=3.0),
    "a third of a margin each": JointStream(harm=(1 / 3, 1 / 3, 1 / 3)),
    "one margin in one": JointStream(harm=(1.0, 0.0, 0.0)),
    "half a margin each": JointStream(harm=(0.5, 0.5, 0.5)),
    "a margin each": JointStream(harm=(1.0, 1.0, 1.0)),
    "a margin each, from minute 30": JointStream(harm=(1.0, 1.0, 1.0), begin=30),
    "one and a half each": JointStream(harm=(1.5, 1.5, 1.5)),
}


def main() -> None:
    """Prints a line a cell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--every", type=int, default=2)
    asked = parser.parse_args()
    print(f"{'':40} {'together':>14} {'alone':>14}   percent of {asked.runs} runs, median minutes")
    for name, stream in _CELLS.items():
        for rate in (100.0, 1000.0):
            found = watch_joint(replace(stream, rate=rate), _SEED, asked.runs, every=asked.every)
            (share, median), (own_share, own) = found.together, found.alone
            print(
                f"{name:30} {rate:6g}/s {share:7.1f} {median:6.1f} {own_share:7.1f} {own:6.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
