"""Our own judge on plain series of values: paired by interval, valid at every look.

Of each metric up to three harms are tested (harms.py), each a series of excesses: harm beyond what
is allowed, one value an interval.

Two to ten values are judged by an exact test instead (few_values.py), series whose mean one value
decides by ranks (heavy_tails.py); both at a single look.

The mean of a series of excesses gets bounds from the asymptotic confidence sequence (Waudby-Smith
et al. 2024), Student-adjusted for the number of intervals. Where neighbours are alike by more
than one standard error of their autocorrelation r, n intervals count as n (1 - r) / (1 + r).
A lower bound above 0 fails the metric. Upper bounds at or below 0 pass it; of the spread only the
estimate must lie there, as an hour of minutes can't bound it so sharply: it is watched for harm,
not proven. Anything else is uncertain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.kayenta.classify import without_outliers
from analysis.kayenta.config import Direction, MetricConfig, NanStrategy, OutlierStrategy, ValuePlan
from analysis.kayenta.few_values_judge import PART_OF_ALPHA, FewValues, judge_few_values
from analysis.kayenta.harm_bounds import harm_bounds
from analysis.kayenta.harms import Harm, harm_margins
from analysis.kayenta.series_means import FEWEST_TO_PASS, SeriesMeans
from analysis.kayenta.value_judgement import BoundedMean, ValueJudgement, ValueLabel

DEFAULT_PLAN = ValuePlan()
_PASS, _HIGH, _LOW, _UNCERTAIN, _NO_DATA = range(len(ValueLabel))


def judge_values(
    series: Sequence[tuple[FloatArray, FloatArray]],
    configs: Sequence[MetricConfig],
    plan: ValuePlan = DEFAULT_PLAN,
) -> tuple[ValueJudgement, ...]:
    """Judges metrics; series: control and experiment of each, float64[intervals] with NaN.

    alpha is divided equally over the metrics that aren't muted, and over a metric's harms.
    Raises ValueError where a control and its experiment differ in length.
    """
    if not configs:
        return ()
    sides = _sides(series, configs)
    control, experiment = _paired(sides)
    margins = _margins(configs, plan.margin)
    ways = [config.direction for config in configs]
    rises = [way is not Direction.DECREASE for way in ways]
    falls = [way is not Direction.INCREASE for way in ways]
    tested = np.array([rises, falls, [True] * len(ways)])
    absolute = np.zeros(len(configs))
    if plan.absolute:
        absolute[:] = [plan.absolute_of(config.name) for config in configs]
    metrics = max(1, sum([not config.muted for config in configs]))
    few = judge_few_values(sides, configs, margins, absolute, plan)
    level = np.full(len(configs), plan.alpha)
    level[[*few]] *= 1 - PART_OF_ALPHA
    alphas = level / metrics / np.maximum(tested.sum(axis=0), 1)

    bounds, difference = harm_bounds(
        control, experiment, margins, absolute, tested, alphas=alphas, plan=plan
    )
    judged = _judgements(configs, tested, bounds, difference, margins, absolute)
    for row, each in few.items():
        judged[row] = _with_few(judged[row], each)
    return tuple(judged)


def _margins(configs: Sequence[MetricConfig], default: float) -> FloatArray:
    """harm_margins of each: float64[metrics, 2]. Most metrics allow the same."""
    known: dict[tuple[object, ...], tuple[float, float]] = {}
    found = []
    for each in configs:
        allowed = each.measure, each.allowed_increase, each.allowed_decrease
        if allowed not in known:
            known[allowed] = harm_margins(each, default)
        found.append(known[allowed])
    return np.array(found)


def _sides(
    series: Sequence[tuple[FloatArray, FloatArray]], configs: Sequence[MetricConfig]
) -> FloatArray:
    """Control and experiment: float64[2, metrics, intervals], NaN where nothing is judged."""
    sizes = np.array([[values.size for values in pair] for pair in series])
    for row in np.flatnonzero(sizes[:, 0] != sizes[:, 1])[:1].tolist():
        raise ValueError(
            f"metric {configs[row].name!r} has {sizes[row, 0]} control and {sizes[row, 1]} "
            "experiment values; pairing needs one of each an interval, NaN where nothing was "
            "measured"
        )
    sides = np.full((2, len(series), max(1, int(sizes.max()))), np.nan)
    filled = np.arange(sides.shape[2]) < sizes[:, :1]
    changed = [row for row, config in enumerate(configs) if _is_changed(config)]
    for side, found in enumerate(sides):
        found[filled] = np.concatenate([pair[side] for pair in series])
        for row in changed:
            found[row, : sizes[row, 0]] = _kept(series[row][side], configs[row])
    return sides


def _is_changed(config: MetricConfig) -> bool:
    """Whether some values may not be judged as they are."""
    return config.nan_strategy is NanStrategy.REPLACE or config.outliers is OutlierStrategy.REMOVE


def _paired(sides: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both sides: float64[metrics, intervals]; NaN on both where either has no value."""
    both = np.where(np.isnan(sides).any(axis=0), np.nan, sides)
    return both[0], both[1]


def _kept(values: FloatArray, config: MetricConfig) -> FloatArray:
    """The values in their places, NaN where they aren't judged."""
    is_dead = config.must_have_data and np.isnan(values).all()
    if config.nan_strategy is NanStrategy.REPLACE and not is_dead:
        values = np.where(np.isnan(values), 0.0, values)
    if config.outliers is not OutlierStrategy.REMOVE:
        return values
    inner = without_outliers(values[~np.isnan(values)], factor=config.outlier_factor)
    return np.where(np.isin(values, inner), values, np.nan)


def _judgements(
    configs: Sequence[MetricConfig],
    tested: BoolArray,
    bounds: Sequence[SeriesMeans],
    difference: SeriesMeans,
    margins: FloatArray,
    absolute: FloatArray,
) -> list[ValueJudgement]:
    """The labels by the bounds of the harms. tested: bool[harms, metrics]."""
    below = np.stack([each.probability_below_zero for each in bounds])
    failed = tested & np.stack([each.lower > 0 for each in bounds])
    undecided = tested & ~np.stack([_is_excluded(*each) for each in zip(Harm, bounds, strict=True)])
    fails, doubts = np.any(failed, axis=0), np.any(undecided, axis=0)
    no_spread = tested & (np.array([*Harm]) != Harm.SPREAD)[:, None]
    deciding = np.where(fails, failed, np.where(doubts, undecided, no_spread))
    worst = np.where(deciding, below, np.inf).argmin(axis=0)
    rows = np.arange(worst.size)
    falls = (worst == 1).astype(np.int64)
    label = np.select(
        [difference.count == 0, fails & ((falls == 1) | ~tested[0]), fails, doubts],
        [_NO_DATA, _LOW, _HIGH, _UNCERTAIN],
        _PASS,
    )

    def of_worst(name: str) -> FloatArray:
        of_harms = np.stack([getattr(each, name) for each in bounds])
        return np.asarray(of_harms[worst, rows], dtype=np.float64)

    numbers = zip(
        configs,
        map([*ValueLabel].__getitem__, label.tolist()),
        map([*Harm].__getitem__, worst.tolist()),
        _means(of_worst),
        _means(partial(getattr, difference)),
        margins[rows, falls].tolist(),
        absolute.tolist(),
        below[worst, rows].tolist(),
        difference.count.astype(np.int64).tolist(),
        difference.independent.tolist(),
        repeat(None),
        strict=False,
    )
    return list(map(ValueJudgement._make, numbers))


def _means(of: Callable[[str], FloatArray]) -> Iterator[BoundedMean]:
    return map(
        BoundedMean._make,
        zip(of("mean").tolist(), of("lower").tolist(), of("upper").tolist(), strict=True),
    )


def _with_few(paired: ValueJudgement, few: FewValues) -> ValueJudgement:
    """The judgement by the exact test of few values, unless the pairs prove harm."""
    if paired.fails:
        return paired
    spread = paired.harm is Harm.SPREAD and paired.excess.value > 0
    if few.failed:
        label = ValueLabel.LOW if few.harm is Harm.DECREASE else ValueLabel.HIGH
    elif few.leaning:
        label = ValueLabel.UNCERTAIN
    elif spread and paired.probability_within_margin <= few.alpha:
        return paired
    else:
        label = ValueLabel.PASS
    return paired._replace(
        label=label,
        harm=few.harm,
        excess=BoundedMean(few.sides.shift, -np.inf, np.inf),
        probability_within_margin=few.test.p_value,
        few=few,
    )


def _is_excluded(harm: Harm, found: SeriesMeans) -> BoolArray:
    """Whether this harm doesn't stand in the way of a pass: bool[metrics]."""
    largest = found.mean if harm is Harm.SPREAD else found.upper
    return np.asarray((found.count >= FEWEST_TO_PASS) & (largest <= 0))
