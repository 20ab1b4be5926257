"""Our own judge on plain series of values: paired by interval, valid at every look.

Of each metric up to three harms are tested (harms.py), each a series of excesses: harm beyond what
is allowed, one value an interval.

The mean of a series of excesses gets bounds from the asymptotic confidence sequence (Waudby-Smith
et al. 2024), Student-adjusted for the number of intervals. Where neighbours are alike by more
than one standard error of their autocorrelation r, n intervals count as n (1 - r) / (1 + r).
A lower bound above 0 fails the metric. Upper bounds at or below 0 pass it; of the spread only the
estimate must lie there, as an hour of minutes can't bound it so sharply: it is watched for harm,
not proven. Anything else is uncertain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from analysis.kayenta.classify import without_outliers
from analysis.kayenta.config import MetricConfig, NanStrategy, OutlierStrategy
from analysis.kayenta.harms import Harm, harm_excesses, harm_margins, tested_harms
from analysis.kayenta.series_means import FEWEST_TO_PASS, SeriesMeans, bounded_means
from analysis.metric_result import Estimate

FloatArray = NDArray[np.float64]


class ValueLabel(StrEnum):
    """high, low: harm beyond the margin is proven; pass: it is excluded."""

    PASS = "pass"
    HIGH = "high"
    LOW = "low"
    UNCERTAIN = "uncertain"
    NO_DATA = "no_data"


@dataclass(frozen=True, slots=True)
class ValuePlan:
    """What holds for all metrics.

    alpha: probability that any metric fails although no harm exceeds its margin, at any look.
    margin: allowed relative change of a metric whose config allows none, or has no ratio.
    spread_growth: allowed relative growth of the mean distance from the median.
    intervals: the number of intervals at which bounds are to be tightest; None: those at hand,
        which suits a single look.
    """

    alpha: float = 0.05
    margin: float = 0.1
    spread_growth: float = 0.5
    intervals: int | None = None


DEFAULT_PLAN = ValuePlan()


@dataclass(frozen=True, slots=True)
class ValueJudgement:
    """What our judge says of one metric.

    difference: mean of experiment - control over pairs, with bounds. excess: of the harm that
    decided, beyond what is allowed. pairs: intervals that both have values in.
    independent_pairs: how many independent ones tell as much.
    """

    name: str
    label: ValueLabel
    reason: str
    critical_failure: bool
    harm: Harm
    difference: Estimate
    excess: Estimate
    margin: float
    probability_within_margin: float
    pairs: int
    independent_pairs: float


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
    control, experiment = _paired(series, configs)
    margins = np.array([harm_margins(config, plan.margin) for config in configs])
    tested = np.array([tested_harms(config) for config in configs]).T
    excess = harm_excesses(control, experiment, margins, tested, plan.spread_growth)
    metrics = max(1, sum(not config.muted for config in configs))
    alphas = plan.alpha / metrics / np.maximum(tested.sum(axis=0), 1)

    def bounded(rows: FloatArray) -> SeriesMeans:
        return bounded_means(
            rows, lower_alpha=alphas, upper_alpha=plan.alpha, intervals=plan.intervals
        )

    bounds = [bounded(rows) for rows in excess]
    difference = bounded(experiment - control)
    return tuple(
        _judgement(config, index, tested[:, index], bounds, difference, margins[index])
        for index, config in enumerate(configs)
    )


def _paired(
    series: Sequence[tuple[FloatArray, FloatArray]], configs: Sequence[MetricConfig]
) -> tuple[FloatArray, FloatArray]:
    """Both sides: float64[metrics, intervals]; NaN on both where either has no value."""
    longest = max(1, *(control.size for control, _ in series))
    sides = np.full((2, len(series), longest), np.nan)
    for row, (pair, config) in enumerate(zip(series, configs, strict=True)):
        if pair[0].size != pair[1].size:
            raise ValueError(
                f"metric {config.name!r} has {pair[0].size} control and {pair[1].size} experiment "
                "values; pairing needs one of each an interval, NaN where nothing was measured"
            )
        for side, values in enumerate(pair):
            sides[side, row, : values.size] = _kept(values, config)
    sides[:, np.isnan(sides).any(axis=0)] = np.nan
    return sides[0], sides[1]


def _kept(values: FloatArray, config: MetricConfig) -> FloatArray:
    """The values in their places, NaN where they aren't judged."""
    if config.nan_strategy is NanStrategy.REPLACE:
        values = np.where(np.isnan(values), 0.0, values)
    if config.outliers is not OutlierStrategy.REMOVE:
        return values
    inner = without_outliers(values[~np.isnan(values)], factor=config.outlier_factor)
    return np.where(np.isin(values, inner), values, np.nan)


def _judgement(
    config: MetricConfig,
    row: int,
    tested: NDArray[np.bool_],
    bounds: Sequence[SeriesMeans],
    difference: SeriesMeans,
    margins: FloatArray,
) -> ValueJudgement:
    """One metric's label by the bounds of its harms; row: its place in them."""
    harms = [(harm, bounds[at]) for at, harm in enumerate(Harm) if tested[at]]
    failed = [item for item in harms if item[1].lower[row] > 0]
    undecided = [item for item in harms if not _is_excluded(*item, row)]
    deciding = failed or undecided or [item for item in harms if item[0] is not Harm.SPREAD]
    harm, worst = min(deciding, key=lambda item: item[1].probability_below_zero(row))
    if difference.count[row] == 0:
        label = ValueLabel.NO_DATA
    elif failed:
        decrease = not config.direction.harmed_by_increase or harm is Harm.DECREASE
        label = ValueLabel.LOW if decrease else ValueLabel.HIGH
    else:
        label = ValueLabel.UNCERTAIN if undecided else ValueLabel.PASS
    margin = float(margins[1 if harm is Harm.DECREASE else 0])
    excess = worst.estimate(row)
    return ValueJudgement(
        name=config.name,
        label=label,
        reason=_reason(label, harm, excess, margin, int(difference.count[row])),
        critical_failure=config.critical and bool(failed),
        harm=harm,
        difference=difference.estimate(row),
        excess=excess,
        margin=margin,
        probability_within_margin=worst.probability_below_zero(row),
        pairs=int(difference.count[row]),
        independent_pairs=float(difference.independent[row]),
    )


def _is_excluded(harm: Harm, found: SeriesMeans, row: int) -> bool:
    """Whether this harm doesn't stand in the way of a pass."""
    enough = found.count[row] >= FEWEST_TO_PASS
    return bool(enough and (found.mean if harm is Harm.SPREAD else found.upper)[row] <= 0)


_HARM_WORDS = {
    Harm.INCREASE: "the experiment's rise",
    Harm.DECREASE: "the experiment's fall",
    Harm.SPREAD: "the experiment's spread around its median",
}


def _reason(label: ValueLabel, harm: Harm, excess: Estimate, margin: float, pairs: int) -> str:
    """What decided the label: the worst harm beside what is allowed of it."""
    if label is ValueLabel.NO_DATA:
        return "no interval has a value of both the control and the experiment"
    what, allowed = _HARM_WORDS[harm], f"what is allowed ({100 * margin:g} %)"
    if harm is Harm.SPREAD:
        allowed = "what is allowed"
    if label is ValueLabel.PASS:
        return f"{what} stays below {allowed} by at least {-excess.upper:.4g}"
    if label is ValueLabel.UNCERTAIN and pairs < FEWEST_TO_PASS:
        return f"{pairs} intervals, fewer than {FEWEST_TO_PASS}, can't exclude harm"
    if label is ValueLabel.UNCERTAIN:
        return f"{what} beyond {allowed} lies between {excess.lower:.4g} and {excess.upper:.4g}"
    return f"{what} exceeds {allowed} by at least {excess.lower:.4g}"
