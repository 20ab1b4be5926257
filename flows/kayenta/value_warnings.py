"""What is said of the values beside a judgement, and why a pass isn't believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.kayenta.config import CanaryConfig, MetricConfig, NanStrategy, ValuePlan
from analysis.kayenta.doubtful_pass import series_doubts, unpaired_harm
from analysis.kayenta.few_values import MOST
from analysis.kayenta.known_limitations import KnownLimitation, Limitation
from analysis.kayenta.value_judgement import ValueJudgement, ValueLabel
from flows.formats.text import counted
from flows.kayenta.values_file import MetricSeries

# From this share of intervals without a pair on, it is said.
_MANY_UNPAIRED = 0.2


def doubts_of_a_pass(
    item: MetricSeries, metric: MetricConfig, judged: ValueJudgement, plan: ValuePlan
) -> tuple[KnownLimitation, ...]:
    """Why a metric that passes may hide harm; then nothing passes."""
    if judged.label is not ValueLabel.PASS:
        return ()
    sides = item.control, item.experiment
    hidden = () if judged.few is not None else unpaired_harm(*sides, metric, plan)
    return (*series_doubts(*sides, are_finite=not item.infinite), *hidden)


def lacking_values(config: CanaryConfig, series: Sequence[MetricSeries]) -> str | None:
    """Why nothing passes where an experiment lacks values that its control has: it may be dead."""
    for item, metric in zip(series, config.metrics, strict=True):
        ours, theirs = (int(np.isnan(side).sum()) for side in (item.experiment, item.control))
        total = item.control.size
        counts = not metric.muted and metric.nan_strategy is NanStrategy.REMOVE
        if counts and ours - theirs >= max(1, _MANY_UNPAIRED * total):
            return (
                f"{item.title}: the experiment lacks a value in {ours} of {total} intervals, the "
                f"control in {theirs}"
            )
    return None


def unpaired_values(item: MetricSeries, judged: ValueJudgement) -> tuple[KnownLimitation, ...]:
    """What is missing of either side."""
    total = item.control.size
    sides = {
        "control": (item.control, Limitation.DEAD_CONTROL),
        "experiment": (item.experiment, Limitation.DEAD_EXPERIMENT),
    }
    found = [
        KnownLimitation(dead, f"the {side} has no value at all")
        for side, (values, dead) in sides.items()
        if np.isnan(values).all()
    ]
    alone = total - judged.pairs
    if judged.pairs and alone >= _MANY_UNPAIRED * total:
        message = f"{alone} of {total} intervals lack a value of either and are left out"
        found.append(KnownLimitation(Limitation.UNPAIRED, message))
    return tuple(found)


def few_values(item: MetricSeries) -> tuple[KnownLimitation, ...]:
    """Where the exact test of few values judges, or nothing can."""
    known = [int((~np.isnan(values)).sum()) for values in (item.control, item.experiment)]
    if not 0 < min(known) <= max(known) <= MOST:
        return ()
    said = counted(min(known), "value")
    message = f"{said} a side: only a large shift is found, a pass doesn't exclude a smaller one"
    return (KnownLimitation(Limitation.FEW_VALUES, message),)


def infinite_values(item: MetricSeries) -> tuple[KnownLimitation, ...]:
    """Values that are not as they were measured."""
    if not item.infinite:
        return ()
    message = (
        f"{counted(item.infinite, 'value')} of {item.control.size + item.experiment.size} are "
        "infinite (something was divided by 0), and count as a thousand times the largest one"
    )
    return (KnownLimitation(Limitation.INFINITE, message),)
