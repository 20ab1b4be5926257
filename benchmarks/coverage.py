"""Do intervals hold what they promise? Coverage and false alarms, by simulation.

`python -m benchmarks.coverage [--runs 20000] [--quick]`: 95 % intervals of the difference of shares
for n from 20 to 1e6 and rates from 1e-4 to 0.5 (ours beside Wald's), relative ones (Fieller beside
the delta method); then values of every kind in equal and unequal arms: coverage at one look, false
alarms in a hundred looks, and what the judge does in them without an effect and with harm that is
exactly the margin. A figure that lies more than three Monte Carlo errors on the wrong side is
marked.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.fixed.comparison import Sample, compare_means, mean_sample, proportion_sample
from analysis.fixed.relative import relative_lift
from analysis.judge.user_harm import bound_harm
from analysis.plan import Margin, MetricPlan, Plan, Role, Stage, Unit
from analysis.scorecard.scorecard import Cells, Scorecard, make_scorecard
from tests.builders.user_streams import Values, arrivals

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
_STREAMS = (
    Values("spend", 3.0),
    Values("count", 0.1),
    Values("share", 0.1),
    Values("ratio", 0.05),
    Values("normal", 1.0),
)
_SPLITS = ((50, 50), (90, 10), (95, 5), (99, 1), (5, 95))
_LOOKS, _MARGIN = 100, 0.2


def main() -> None:
    """Prints five tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="2000 runs")
    options = parser.parse_args()
    runs = 2000 if options.quick else options.runs
    rng = np.random.default_rng(1)
    print(f"coverage of 95 % intervals, {runs:,} runs, percent; * below by three errors")
    _differences(rng, runs)
    _relative(rng, runs)
    _one_look(rng, runs)
    _looks(rng, runs // 20)
    _judge(rng, runs // 20)


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
            low, high = _wald(*arms)
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


def _one_look(rng: np.random.Generator, runs: int) -> None:
    sizes = ((20, 20), (190, 20), (950, 50), (9500, 500), (5000, 5000))
    print("values in unequal arms: coverage of the fixed interval at one look")
    print(f"{'users':>12}" + "".join(f"{f'{b:,}:{c:,}':>12}" for b, c in sizes))
    for values in _STREAMS:
        shown = []
        for users in sizes:
            kept = min(runs, 20_000_000 // sum(users))
            arms = [_flat(arrivals(rng, values, n, runs=kept, looks=1)) for n in users]
            fixed = _card(arms, is_share=values.kind == "share").fixed
            shown.append(_shown((fixed.lower <= 0) & (fixed.upper >= 0)))
        print(f"{values.kind:>12}" + "".join(f"{text:>12}" for text in shown))


def _looks(rng: np.random.Generator, runs: int) -> None:
    print(f"false alarms in {_LOOKS} looks at level 5 %, {runs:,} runs, percent: anytime|each look")
    print(f"{'split':>12}" + "".join(f"{f'{b}:{c}':>12}" for b, c in _SPLITS))
    for values in _STREAMS:
        shown = []
        for split in _SPLITS:
            arms = [_flat(arrivals(rng, values, n, runs=runs, looks=_LOOKS)) for n in split]
            card = _card(arms, is_share=values.kind == "share")
            anytime, naive = (
                (p < 0.05).reshape(runs, _LOOKS).any(axis=1) for p in (card.anytime_p, card.p_value)
            )
            shown.append(f"{_alarms(anytime, 0.05)}|{100 * naive.mean():.0f}")
        print(f"{values.kind:>12}" + "".join(f"{text:>12}" for text in shown))


def _judge(rng: np.random.Generator, runs: int) -> None:
    print(
        f"judge, {_LOOKS} looks, {runs:,} runs, percent at level 2.5 %: rollbacks without an "
        f"effect, then rollbacks|promotes with harm that is the margin ({_MARGIN:.0%})"
    )
    print(f"{'split':>16}" + "".join(f"{f'{b}:{c}':>18}" for b, c in _SPLITS))
    for values in _STREAMS:
        for higher_is_better in (True, False):
            sign = -1 if higher_is_better else 1
            harmed = Values(values.kind, (1 + sign * _MARGIN) * values.mean, values.spread)
            shown = []
            for split in _SPLITS:
                base, same, worse = (
                    arrivals(rng, each, n, runs=runs, looks=_LOOKS)
                    for each, n in zip(
                        (values, values, harmed), (split[0], split[1], split[1]), strict=True
                    )
                )
                metric = _guardrail(0.0, higher_is_better)
                rollback, _ = _decisions((base, same), metric, values)
                rates = _decisions((base, worse), _guardrail(_MARGIN, higher_is_better), values)
                shown.append(" ".join([rollback, "|".join(rates)]))
            name = f"{values.kind}, {'higher' if higher_is_better else 'lower'}"
            print(f"{name:>16}" + "".join(f"{text:>18}" for text in shown))


def _guardrail(margin: float, higher_is_better: bool) -> MetricPlan:
    return MetricPlan("m", Unit.USER, Role.GUARDRAIL, Margin(relative=margin), higher_is_better)


def _decisions(arms: tuple[Sample, Sample], metric: MetricPlan, values: Values) -> tuple[str, str]:
    """Shares of runs that are ever rolled back, and ever promoted."""
    plan = Plan("e", "a", ("b",), (metric,), (Stage(0, 1, {}),), 1, 0.05, 0, 1, 1)
    users = float((arms[0].n + arms[1].n).max())
    harm = bound_harm(
        plan, metric, arms, is_share=values.kind == "share", n_opt=users, at_end=False
    )
    with np.errstate(invalid="ignore"):
        ever = (harm.lower > 0).any(axis=1), (harm.upper <= 0).any(axis=1)
    return _alarms(ever[0], 0.025), _alarms(ever[1], 0.025)


def _alarms(ever: ArrayLike, level: float) -> str:
    alarmed = np.asarray(ever, dtype=np.bool_)
    mean, error = alarmed.mean(), np.sqrt(level * (1 - level) / len(alarmed))
    return f"{100 * mean:.1f}{'*' if mean > level + 3 * error else ''}"


def _flat(sample: Sample) -> Sample:
    """Runs and looks as cells of one scorecard."""
    return Sample(sample.n.ravel(), sample.mean.ravel(), sample.variance.ravel())


def _wald(baseline: Sample, candidate: Sample) -> tuple[FloatArray, FloatArray]:
    """Wald's interval as others have it: without width where no user differs from another."""
    difference = candidate.mean - baseline.mean
    error = np.sqrt(baseline.variance_of_mean + candidate.variance_of_mean)
    return difference - 1.959964 * error, difference + 1.959964 * error


if __name__ == "__main__":
    main()
