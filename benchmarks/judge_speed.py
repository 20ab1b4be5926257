"""How long 10,000 metrics of 60 points take to be judged, beside scipy's vectorised test.

`python -m benchmarks.judge_speed [--metrics 10000] [--points 60]`. A third of the metrics each are
continuous, counts, and mostly zeros; a tenth are worse in the canary. Timed, in one process, the
better of two passes of each:

- kayenta: `analysis.kayenta.classify.classify_metrics`, labels with interval, effect and reason;
- verdict, series: `analysis.kayenta.paired_values.judge_values`, what `verdict judge --judge
  verdict` runs: three series of excess, their bounds at every look, label and reason of each;
- verdict, requests: `analysis.requests.paired_buckets.pair_buckets`, its `contrast().lower` and
  `.upper` on counts of requests and failures, the core of what `verdict gate` judges by;
- scipy, vectorised: `scipy.stats.mannwhitneyu(axis=1)` of all metrics at once, without an interval
  and a label: the peer;
- scipy, test: `scipy.stats.mannwhitneyu` of one metric after the other, without an interval, which
  scipy doesn't have, so without Kayenta's label;
- scipy, interval: the same test, and beside it Kayenta's interval by its definition: the ranks of
  the shifted values (scipy's rankdata), solved by scipy's brentq. Of the first 200 metrics only,
  and scaled up.

Agreement: p-values; the interval clear of zero where scipy's p-value is below 0.02 (with ties
inside either series they may part, as a shift by less than a step breaks the ties between them);
labels by the definition, in which a search for roots may end on either side of zero where ours is
exactly zero. Alpha of our judge is shared by all metrics, as those of one canary. Writes
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from analysis.kayenta.classify import classify_metrics
from analysis.kayenta.config import MetricConfig, ValuePlan
from analysis.kayenta.judgement import CONFIDENCE, MetricJudgement
from analysis.kayenta.paired_values import judge_values
from analysis.kayenta.value_judgement import ValueJudgement, ValueLabel
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets
from benchmarks.results import Figure, write_results
from tests.analysis.kayenta.definition import label_by_definition

FloatArray = NDArray[np.float64]
Result = TypeVar("Result")

_SEED = 20261124
_BY_DEFINITION = 200
_ALPHA = 0.05


def main() -> None:
    """Prints seconds, ratios to scipy's loop, what agrees, and whether the limits are held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", type=int, default=10_000)
    parser.add_argument("--points", type=int, default=60)
    asked = parser.parse_args()
    rng = np.random.default_rng(_SEED)
    control, experiment, worse = _series(rng, asked.metrics, asked.points)
    configs = [MetricConfig(name=f"metric {row}") for row in range(asked.metrics)]
    pairs = list(zip(control, experiment, strict=True))
    plan = ValuePlan(intervals=asked.points)

    kayenta, judged = _best(lambda: classify_metrics(pairs, configs))
    of_values, ours = _best(lambda: judge_values(pairs, configs, plan))
    counts = _counts(rng, worse, asked.points)
    of_requests, (lower, upper) = _best(lambda: _bounds(*counts))
    vectorised, at_once = _best(lambda: _vectorised_p_values(control, experiment))
    scipy_test, p_values = _best(lambda: _scipy_p_values(control, experiment))
    if not np.allclose(at_once, p_values, rtol=1e-9, equal_nan=True):
        raise AssertionError("scipy's vectorised test and its loop disagree")
    some = pairs[:_BY_DEFINITION]
    part, labels = _timed(lambda: _labels_by_definition(some, configs))
    scipy_interval = part * asked.metrics / len(some)

    print(
        f"{asked.metrics} metrics of {asked.points} points; CPU seconds, and times faster than each"
    )
    print(f"{'':20} {'seconds':>8} {'vectorised':>11} {'test loop':>10} {'interval loop':>14}")
    for name, seconds in (
        ("kayenta", kayenta),
        ("verdict, series", of_values),
        ("verdict, requests", of_requests),
        ("scipy, vectorised", vectorised),
        ("scipy, test", scipy_test),
        ("scipy, interval", scipy_interval),
    ):
        ratios = f"{vectorised / seconds:10.2f}x {scipy_test / seconds:9.1f}x"
        ratios += f" {scipy_interval / seconds:13.1f}x"
        print(f"{name:20} {seconds:8.3f} {ratios}")
    print("\n".join(_agreement(judged, p_values, labels)))
    print(_labels_of("verdict, series", ours, worse))
    print(
        f"verdict, requests: {(lower > 0)[worse].sum()} of {worse.sum()} worse and "
        f"{(lower > 0)[~worse].sum()} of {(~worse).sum()} alike ones proven worse, "
        f"{(upper <= _MARGIN)[~worse].sum()} alike ones proven within 0.5 points"
    )
    n, peer = f"{asked.metrics:,} metrics", "scipy, vectorised"
    write_results(
        [
            Figure(f"{n}: Kayenta's judge, intervals and all", kayenta, "s", "2", vectorised, peer),
            Figure(f"{n}: our judge of series", of_values, "s", "1", vectorised, peer),
            Figure(f"{n}: bounds of requests", of_requests, "s", "", vectorised, peer),
        ],
        at_size_of_goals=asked.metrics >= _METRICS_OF_GOALS,
    )


_MARGIN = 0.005
_METRICS_OF_GOALS = 10_000


def _timed(run: Callable[[], Result]) -> tuple[float, Result]:
    began = time.process_time()
    found = run()
    return time.process_time() - began, found


def _best(run: Callable[[], Result]) -> tuple[float, Result]:
    """The better of two times: other work on the machine only ever adds to it."""
    first, _ = _timed(run)
    second, found = _timed(run)
    return min(first, second), found


def _series(
    rng: np.random.Generator, metrics: int, points: int
) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Control and experiment, float64[metrics, points] each, and which metrics are worse."""
    worse = np.arange(metrics) % 10 == 0
    kind = np.arange(metrics) % 3
    sides = []
    for harmed in (np.zeros(metrics), worse):
        factor = (1 + 0.5 * harmed)[:, None]
        shape = metrics, points
        continuous = rng.gamma(4, 25 * factor, shape)
        counts = rng.poisson(6 * factor, shape).astype(np.float64)
        zeros = np.where(rng.random(shape) < 0.7, 0.0, counts)
        sides.append(np.choose(kind[:, None], [continuous, counts, zeros]))
    return sides[0], sides[1], worse


def _counts(
    rng: np.random.Generator, worse: NDArray[np.bool_], points: int
) -> tuple[BucketCounts, BucketCounts]:
    """Requests and failures a minute at 100 requests a second, 5 % to the canary."""
    arms = []
    for rate, harm in ((5700.0, 0.0), (300.0, 0.01)):
        total = rng.poisson(rate, (worse.size, points)).astype(np.float64)
        share = 0.005 + harm * worse[:, None]
        arms.append(BucketCounts(total, rng.binomial(total.astype(int), share).astype(np.float64)))
    return arms[0], arms[1]


def _bounds(baseline: BucketCounts, candidate: BucketCounts) -> tuple[FloatArray, FloatArray]:
    """Bounds of the difference of every metric that hold at every look: float64[metrics] each."""
    difference = pair_buckets(baseline, candidate).contrast()
    n_opt = float(baseline.total.shape[1])
    alpha = _ALPHA / 2
    # Tightest at half the plan, as Plan.harm_buckets has it.
    lower = difference.lower(alpha=alpha, n_opt=n_opt / 2)
    return lower, difference.upper(alpha=alpha, n_opt=n_opt)


def _vectorised_p_values(control: FloatArray, experiment: FloatArray) -> FloatArray:
    """Two-sided p-values of all metrics at once."""
    found = mannwhitneyu(experiment, control, axis=1, method="asymptotic", use_continuity=True)
    return np.asarray(found.pvalue, dtype=np.float64)


def _scipy_p_values(control: FloatArray, experiment: FloatArray) -> FloatArray:
    """Two-sided p-values, one metric after the other."""
    found = [
        mannwhitneyu(x, y, method="asymptotic", use_continuity=True).pvalue
        for x, y in zip(experiment, control, strict=True)
    ]
    return np.array(found, dtype=np.float64)


def _labels_by_definition(
    pairs: Sequence[tuple[FloatArray, FloatArray]], configs: Sequence[MetricConfig]
) -> list[str]:
    return [
        label_by_definition(control, experiment, config)
        for (control, experiment), config in zip(pairs, configs, strict=False)
    ]


def _agreement(
    judged: Sequence[MetricJudgement], p_values: FloatArray, labels: Sequence[str]
) -> list[str]:
    """How often kayenta's numbers are those of scipy's loops."""
    mine = np.array([math.nan if item.test is None else item.test.p_value for item in judged])
    known = ~np.isnan(mine)
    worst = float(np.abs(mine - p_values)[known].max())
    clear = np.array([item.test is not None and _is_clear(item) for item in judged])
    same = int((clear == (p_values < 1 - CONFIDENCE))[known].sum())
    by_definition = sum(
        item.label.value == label for item, label in zip(judged, labels, strict=False)
    )
    high = sum(item.label.value == "High" for item in judged)
    return [
        (
            f"kayenta: p-values within {worst:.0e} of scipy's; interval clear of 0 and p below "
            f"{1 - CONFIDENCE:.2f} agree in {same} of {int(known.sum())}"
        ),
        f"kayenta: {high} High; {by_definition} of {len(labels)} labels by the definition",
    ]


def _is_clear(item: MetricJudgement) -> bool:
    """Whether the interval lies on one side of zero."""
    return item.test is not None and (item.test.lower > 0 or item.test.upper < 0)


def _labels_of(name: str, judged: Sequence[ValueJudgement], worse: NDArray[np.bool_]) -> str:
    labels = np.array([item.label for item in judged])
    told = [
        f"{word} {', '.join(f'{(labels[rows] == label).sum()} {label.value}' for label in shown)}"
        for word, rows in (("worse:", worse), ("alike:", ~worse))
        for shown in [[ValueLabel.HIGH, ValueLabel.UNCERTAIN, ValueLabel.PASS]]
    ]
    return f"{name}: {'; '.join(told)}"


if __name__ == "__main__":
    main()
