"""Where Kayenta's judge is known not to see what a person would: said beside its label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.arrays import FloatArray
from analysis.kayenta.classify import cleaned_values
from analysis.kayenta.config import Direction, EffectMeasure, MetricConfig, NanStrategy
from analysis.kayenta.judgement import CONFIDENCE, TOLERANCE, MetricJudgement, MetricLabel
from analysis.kayenta.mann_whitney import location_shifts
from analysis.kayenta.series_means import lag_one_autocorrelation

FEWEST_VALUES = 50  # Kayenta's own advice
_SPREAD_P_VALUE = 0.01  # one-sided; as rare as the judge's own interval on one side
_SPREAD_GROWTH = 1.5
_FEWEST_BEYOND = 3
_SHARE_BEYOND = 0.1
_MOST_ZEROS = 0.5
_ALIKE = 0.3  # lag-one autocorrelation from which independence is far off
_LARGE_RATIO = 2.0
# Kayenta's search stops within 1e-4 on either side of a root, in the metric's unit.
_SEARCH_ERROR = 2e-4


class Limitation(StrEnum):
    """What a judge doesn't see; those from DEAD_CONTROL on are of the values."""

    FEW_VALUES = "few_values"
    DEAD_BASELINE = "dead_baseline"
    SPREAD = "spread"
    SPARSE = "sparse"
    AUTOCORRELATION = "autocorrelation"
    LARGE_RATIO = "large_ratio"
    SEARCH_ERROR = "search_error"
    DEAD_CONTROL = "dead_control"
    DEAD_EXPERIMENT = "dead_experiment"
    UNPAIRED = "unpaired"
    INFINITE = "infinite"
    COUNTER = "counter"
    OTHER_UNIT = "other_unit"
    ALLOWED = "allowed"


@dataclass(frozen=True, slots=True)
class KnownLimitation:
    """One such place in one metric, in a sentence."""

    kind: Limitation
    message: str


def known_limitations(
    control: FloatArray, experiment: FloatArray, config: MetricConfig, judged: MetricJudgement
) -> tuple[KnownLimitation, ...]:
    """Where the label of one metric says less than it seems to.

    control, experiment: float64[intervals] as measured, with NaN; judged: what classify_metric
    says of them.
    """
    dead = _dead_baseline(control, experiment, config)
    if dead:
        return (KnownLimitation(Limitation.DEAD_BASELINE, dead),)
    gone = _dead_experiment(control, experiment, config)
    if gone:
        return (KnownLimitation(Limitation.DEAD_EXPERIMENT, gone),)
    values = cleaned_values(control, config), cleaned_values(experiment, config)
    if min(values[0].size, values[1].size) == 0:
        return ()
    passed = judged.label is MetricLabel.PASS
    sparse = _sparse(*values) if passed else None
    found = {
        Limitation.FEW_VALUES: _few_values(*values),
        Limitation.SPREAD: _spread(*values, config, judged) if passed and not sparse else None,
        Limitation.SPARSE: sparse,
        Limitation.AUTOCORRELATION: _autocorrelation(control, experiment),
        Limitation.LARGE_RATIO: _large_ratio(judged, config) if passed else None,
        Limitation.SEARCH_ERROR: _search_error(judged, config),
    }
    return tuple(KnownLimitation(kind, message) for kind, message in found.items() if message)


def _few_values(control: FloatArray, experiment: FloatArray) -> str | None:
    """Too few values: only large shifts are found."""
    fewest = min(control.size, experiment.size)
    if fewest >= FEWEST_VALUES:
        return None
    values = "1 value" if fewest == 1 else f"{fewest} values"
    return f"{values}, fewer than {FEWEST_VALUES}: only a large shift would be found"


def _dead_baseline(control: FloatArray, experiment: FloatArray, config: MetricConfig) -> str | None:
    """A baseline without any value, while the experiment has some that aren't zero."""
    ours = experiment[~np.isnan(experiment)]
    nonzero = int((ours != 0).sum())
    if not np.isnan(control).all() or nonzero == 0:
        return None
    treated = (
        "its gaps count as zero, and ties with zero hide the rest"
        if config.nan_strategy is NanStrategy.REPLACE and control.size
        else "so nothing is compared"
    )
    return (
        f"the control has no value at all, {treated}; the experiment has {nonzero} values "
        f"that aren't zero, up to {ours.max():g}"
    )


def _dead_experiment(
    control: FloatArray, experiment: FloatArray, config: MetricConfig
) -> str | None:
    """An experiment without any value, where that counts as zero, while the control has some."""
    theirs = control[~np.isnan(control)]
    nonzero = int((theirs != 0).sum())
    if config.nan_strategy is NanStrategy.REMOVE or not np.isnan(experiment).all() or not nonzero:
        return None
    return (
        "the experiment has no value at all, which counts as zero; the control has "
        f"{nonzero} values that aren't zero, up to {theirs.max():g}"
    )


def _spread(
    control: FloatArray, experiment: FloatArray, config: MetricConfig, judged: MetricJudgement
) -> str | None:
    """Values that stray farther from the control's median than the control's do.

    The same rank test on the distances, so a few stray values of the control don't hide it
    (Levene 1960 with ranks instead of means). Those towards harm must have grown. Where the judge
    saw the shift and allowed it, the experiment's own median is the center, so that only spread
    is left.
    """
    center = np.median(control)
    own = np.median(experiment) if _saw_shift(judged) else center
    theirs = harmful_distance(control, center, config.direction)
    ours = harmful_distance(experiment, own, config.direction)
    sides = np.abs(experiment - own)[None], np.abs(control - center)[None]
    test = location_shifts(*sides, confidence=CONFIDENCE)
    more = test.statistic[0] > ours.size * theirs.size / 2
    grown = ours.mean() >= _SPREAD_GROWTH * theirs.mean()
    beyond = int((ours > theirs.max()).sum())
    many = beyond >= max(_FEWEST_BEYOND, _SHARE_BEYOND * ours.size)
    if not (more and grown and many and test.p_value[0] / 2 < _SPREAD_P_VALUE):
        return None
    return (
        f"values stray farther than the control's: {ours.mean():.4g} on average from the median "
        f"{own:.4g}, the control's {theirs.mean():.4g}; {beyond} of {ours.size} stray farther "
        "than any of them"
    )


def _saw_shift(judged: MetricJudgement) -> bool:
    """Whether the interval clears zero, so that only the allowed effect made it pass."""
    test = judged.test
    if test is None:
        return False
    return max(test.lower, -test.upper) > TOLERANCE * abs(test.estimate)


def harmful_distance(values: FloatArray, center: FloatArray | float, way: Direction) -> FloatArray:
    """How far values lie from a center on the side of harm; 0 on the other side."""
    off = values - center
    if way is Direction.EITHER:
        return np.abs(off)
    return np.asarray(np.maximum(off if way is Direction.INCREASE else -off, 0.0))


def _sparse(control: FloatArray, experiment: FloatArray) -> str | None:
    """Mostly zeros: these ties keep the shift at zero however large the rest is."""
    zeros = (np.sum(control == 0) + np.sum(experiment == 0)) / (control.size + experiment.size)
    ours, theirs = int(np.sum(experiment != 0)), int(np.sum(control != 0))
    if zeros <= _MOST_ZEROS or experiment.sum() == control.sum():
        return None
    return (
        f"{100 * zeros:.0f} % of the values are 0, so the shift is 0 whatever the others are: "
        f"the experiment has {ours} that aren't (sum {experiment.sum():g}), "
        f"the control {theirs} (sum {control.sum():g})"
    )


def _autocorrelation(control: FloatArray, experiment: FloatArray) -> str | None:
    """Neighbours that are alike count as one: the interval is too narrow."""
    rows = [values[None] for values in (control, experiment) if values.size > 2]
    if not rows:
        return None
    alike = max(float(lag_one_autocorrelation(row)[0]) for row in rows)
    count = max(row.size for row in rows)
    if alike < max(_ALIKE, 2 / np.sqrt(count)):
        return None
    return (
        f"neighbouring values are alike (autocorrelation {alike:.2f}): {count} of them tell "
        f"as much as {count * (1 - alike) / (1 + alike):.0f} independent ones, "
        "so the interval is too narrow"
    )


def _large_ratio(judged: MetricJudgement, config: MetricConfig) -> str | None:
    """Means far apart without a clear shift of the bulk."""
    if judged.test is None or config.measure is not EffectMeasure.MEAN_RATIO:
        return None
    up = max(_LARGE_RATIO, config.limit(config.allowed_increase))
    down = min(1 / _LARGE_RATIO, config.limit(config.allowed_decrease))
    harmed_up = config.direction.harmed_by_increase and judged.effect >= up
    harmed_down = config.direction.harmed_by_decrease and 0 <= judged.effect <= down
    if not (harmed_up or harmed_down):
        return None
    return f"passes although the experiment's mean is {judged.effect:.3g} times the control's"


def _search_error(judged: MetricJudgement, config: MetricConfig) -> str | None:
    """An end so near to its limit that Kayenta's coarse search may fall on either side."""
    if judged.test is None:
        return None
    test, ends = judged.test, []
    if config.direction.harmed_by_increase:
        ends.append(test.lower)
    if config.direction.harmed_by_decrease:
        ends.append(-test.upper)
    # Where the shift is 0 and wasn't searched, the search can't stop beyond it.
    gaps = [abs(end - test.bound) for end in ends if test.searched or test.estimate or end]
    if min(gaps, default=np.inf) > _SEARCH_ERROR:
        return None
    if test.searched:
        return (
            "the shift is 0, as most values are tied: the label depends on where Kayenta's search, "
            "to within 1e-4 whatever the unit, stops beside it"
        )
    return (
        "the interval ends so near to its limit that Kayenta, which searches it to within 1e-4 "
        "whatever the unit, may give another label; this one is exact"
    )
