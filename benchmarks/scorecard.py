"""Ten thousand comparisons at once, beside tea-tasting one by one.

`python -m benchmarks.scorecard [--cells 10000] [--quick]`. Ours: absolute and relative intervals
(fixed and anytime), e-values, posteriors, p-values adjusted within each experiment of 20 cells,
and the split. tea-tasting gives a difference and a relative one with their intervals and p-value;
it is run on --loop cells, and its time is scaled.
Also: what importing the analysis costs beside numpy and scipy.special alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from analysis.fixed.comparison import Sample
from analysis.scorecard.scorecard import Cells, make_scorecard

_ROUNDS = 7


def main() -> None:
    """Prints seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=10_000)
    parser.add_argument("--loop", type=int, default=300)
    parser.add_argument("--quick", action="store_true", help="a shorter loop")
    options = parser.parse_args()
    loop = 50 if options.quick else options.loop
    cells = _cells(options.cells)
    make_scorecard(cells)
    ours = median(_seconds(lambda: make_scorecard(cells)) for _ in range(_ROUNDS))
    print(f"{options.cells:,} cells with full results: {1000 * ours:.1f} ms (wanted: below 50)")
    _tea_tasting(cells, 1)
    theirs = _seconds(lambda: _tea_tasting(cells, loop)) * options.cells / loop
    print(
        f"  tea-tasting, one by one: {theirs:.1f} s, {theirs / ours:.0f} times ours (wanted: 200)"
    )
    _imports()


def _cells(number: int) -> Cells:
    rng = np.random.default_rng(1)
    n = rng.integers(100, 100_000, (2, number)).astype(np.float64)
    mean, variance = rng.gamma(2, 2, (2, number)), rng.gamma(2, 2, (2, number))
    return Cells(
        Sample(n[0], mean[0], variance[0]),
        Sample(n[1], mean[1], variance[1]),
        rng.random(number) < 0.5,
        np.arange(number) // 20,
        np.full(number, 0.5),
    )


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def _tea_tasting(cells: Cells, loop: int) -> None:
    from tea_tasting.aggr import Aggregates  # noqa: PLC0415
    from tea_tasting.metrics import Mean  # noqa: PLC0415

    metric = Mean("y")
    for i in range(loop):
        control, treatment = (
            Aggregates(
                count_=int(s.n[i]), mean_={"y": s.mean[i]}, var_={"y": s.variance[i]}, cov_={}
            )
            for s in (cells.baseline, cells.candidate)
        )
        metric.analyze_aggregates(control, treatment)


def _imports() -> None:
    ways = {
        "numpy, scipy.special": "import numpy, scipy.special",
        "the analysis": "import analysis.verdict, analysis.scorecard.scorecard",
        "scipy.stats": "import scipy.stats",
    }
    print("importing")
    for name, code in ways.items():
        script = f"import time; t = time.perf_counter(); {code}; print(time.perf_counter() - t)"
        runs = [
            float(
                subprocess.run(
                    [sys.executable, "-c", script], capture_output=True, check=True
                ).stdout
            )
            for _ in range(_ROUNDS)
        ]
        print(f"  {name:22} {min(runs):.3f} s (least of {_ROUNDS})")


if __name__ == "__main__":
    main()
