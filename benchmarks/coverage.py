"""Do intervals hold what they promise? Coverage and false alarms, by simulation.

`python -m benchmarks.coverage [--runs 20000] [--quick]`: 95 % intervals of the difference of shares
for n from 20 to 1e6 and rates from 1e-4 to 0.5 (ours beside Wald's), relative ones (Fieller beside
the delta method), means of skewed values, and false alarms in a hundred looks. A figure that lies
more than three Monte Carlo errors on the wrong side is marked.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from analysis.comparison import (
    Sample,
    compare_means,
    compare_proportions,
    mean_sample,
    proportion_sample,
)
from analysis.fixed.relative import relative_lift
from analysis.scorecard import Cells, Scorecard, make_scorecard

FloatArray = NDArray[np.float64]

_USERS = (
    (20, 20),
    (190, 20),
    (100, 100),
    (1000, 1000),
    (9500, 500),
    (20_000, 20),
    (10**5, 10**5),
    (10**6, 10**6),
)
_RATES = (1e-4, 1e-3, 1e-2, 0.1, 0.5)


def main() -> None:
    """Prints four tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="2000 runs")
    options = parser.parse_args()
    runs = 2000 if options.quick else options.runs
    rng = np.random.default_rng(1)
    print(f"coverage of 95 % intervals, {runs:,} runs, percent; * below by three errors")
    _differences(rng, runs)
    _relative(rng, runs)
    _skewed(rng, runs)
    _looks(rng, runs // 10)


def _card(arms: list[Sample], *, is_share: bool) -> Scorecard:
    size = len(arms[0].n)
    cells = Cells(
        arms[0],
        arms[1],
        np.full(size, is_share),
        np.zeros(size, dtype=np.int64),
        np.full(size, np.nan),
    )
    return make_scorecard(cells)


def _shown(covered: NDArray[np.bool_]) -> str:
    mean, error = covered.mean(), np.sqrt(0.95 * 0.05 / len(covered))
    return f"{100 * mean:6.2f}{'*' if mean < 0.95 - 3 * error else ' '}"


def _differences(rng: np.random.Generator, runs: int) -> None:
    print("difference of shares, +20 %: ours | Wald")
    print(f"{'users':>20} " + " ".join(f"{'rate ' + format(r, 'g'):>15}" for r in _RATES))
    for users in _USERS:
        shown = []
        for rate in _RATES:
            rates = (rate, min(1.2 * rate, 0.6))
            arms = [
                proportion_sample(np.full(runs, n), rng.binomial(n, p, runs))
                for n, p in zip(users, rates, strict=True)
            ]
            truth = rates[1] - rates[0]
            fixed = _card(arms, is_share=True).fixed
            wald = compare_proportions(*arms)
            low, high = wald.interval(wald.fixed_multiplier(0.05))
            shown.append(
                _shown((fixed.lower <= truth) & (truth <= fixed.upper))
                + "|"
                + _shown((low <= truth) & (truth <= high))
            )
        print(f"{users[0]:>10,}:{users[1]:<9,} " + " ".join(f"{text:>15}" for text in shown))


def _relative(rng: np.random.Generator, runs: int) -> None:
    print("relative difference of means, n = 200: Fieller | delta method")
    for noise in (0.5, 3.0, 6.0):  # standard deviations in units of the baseline's mean
        for lift in (0.1, 1.0):
            values = [rng.normal(m, noise, (runs, 200)) for m in (1.0, 1.0 + lift)]
            arms = [mean_sample(200, v.mean(axis=1), v.var(axis=1, ddof=1)) for v in values]
            comparison = compare_means(*arms)
            z = comparison.fixed_multiplier(0.05)
            low, high = comparison.relative_interval(z)
            delta = relative_lift(comparison, z, "delta")
            plain = ~delta.is_fieller
            print(
                f"  baseline {np.sqrt(200) / noise:5.1f} errors off zero, lift {lift:4.0%}: "
                f"{_shown((low <= lift) & (lift <= high))}| "
                + (_shown((delta.lower <= lift) & (lift <= delta.upper)) if plain.any() else "-")
            )


def _skewed(rng: np.random.Generator, runs: int) -> None:
    print("mean spend (one user in ten buys, lognormal): 95 % interval of the difference")
    for n in (200, 2000, 20_000):
        kept = min(runs, 20_000_000 // n)
        arms = []
        for _ in range(2):
            spend = rng.lognormal(3, 1, (kept, n)) * (rng.random((kept, n)) < 0.1)
            arms.append(mean_sample(n, spend.mean(axis=1), spend.var(axis=1, ddof=1)))
        fixed = _card(arms, is_share=False).fixed
        print(f"  n = {n:>6,}: {_shown((fixed.lower <= 0) & (fixed.upper >= 0))} ({kept:,} runs)")


def _looks(rng: np.random.Generator, runs: int) -> None:
    print(f"false alarms in 100 looks at level 5 %, {runs:,} runs, percent: anytime | each look")
    for rate in (0.5, 0.05, 0.002):
        counts = np.zeros((2, runs))
        anytime, naive = np.zeros(runs, bool), np.zeros(runs, bool)
        for look in range(1, 101):
            counts += rng.binomial(200, rate, (2, runs))
            arms = [proportion_sample(np.full(runs, 200.0 * look), x) for x in counts]
            card = _card(arms, is_share=True)
            anytime |= card.anytime_p < 0.05
            naive |= card.p_value < 0.05
        print(f"  rate {rate:5g}: {100 * anytime.mean():5.2f} | {100 * naive.mean():5.1f}")


if __name__ == "__main__":
    main()
