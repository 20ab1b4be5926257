"""Why two series that show no harm may hide some: what no comparison of their values sees."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.arrays import FloatArray
from analysis.counting.growth import only_grows
from analysis.kayenta.config import MetricConfig, NanStrategy, ValuePlan
from analysis.kayenta.harms import harm_margins
from analysis.kayenta.known_limitations import KnownLimitation, Limitation
from analysis.kayenta.value_judgement import ValueJudgement, ValueLabel

# No change of a version makes values so much smaller or larger; another unit does.
_OTHER_UNIT = 100.0


def series_doubts(
    control: FloatArray, experiment: FloatArray, *, are_finite: bool
) -> Iterator[KnownLimitation]:
    """What the series themselves give reason to doubt: float64[intervals] each, with NaN.

    are_finite: whether no large value stands in an infinite one's place.
    """
    theirs, ours = (values[~np.isnan(values)] for values in (control, experiment))
    if only_grows(theirs) and only_grows(ours):
        message = (
            "both series only ever grow, as counters do, whose level says nothing: "
            "judge their rate, as rate(...[1m])"
        )
        yield KnownLimitation(Limitation.COUNTER, message)
    usual = [float(np.median(np.abs(values))) if values.size else 0.0 for values in (theirs, ours)]
    if are_finite and min(usual) > 0 and max(usual) >= _OTHER_UNIT * min(usual):
        message = (
            f"the experiment's values are around {usual[1]:.4g}, the control's around "
            f"{usual[0]:.4g}: both must have the same unit"
        )
        yield KnownLimitation(Limitation.OTHER_UNIT, message)


def dead_zero(control: FloatArray, experiment: FloatArray) -> Iterator[KnownLimitation]:
    """An experiment that is 0 throughout, whose control mostly isn't."""
    theirs, ours = (values[~np.isnan(values)] for values in (control, experiment))
    if ours.size and not ours.any() and theirs.size and np.median(np.abs(theirs)) > 0:
        message = (
            f"the experiment is 0 throughout, the control around {np.median(theirs):.4g}: "
            "a version without traffic looks the same"
        )
        yield KnownLimitation(Limitation.DEAD_EXPERIMENT, message)


def unpaired_harm(
    control: FloatArray, experiment: FloatArray, config: MetricConfig, plan: ValuePlan
) -> Iterator[KnownLimitation]:
    """An experiment that is worse where the control has no value, so that no pair shows it."""
    alone = np.isnan(control) & ~np.isnan(experiment)
    if config.nan_strategy is NanStrategy.REPLACE or not alone.any() or np.isnan(control).all():
        return
    theirs, ours = float(np.nanmean(control)), float(np.nanmean(experiment))
    absolute = plan.absolute_of(config.name)
    up, down = (each * abs(theirs) + absolute for each in harm_margins(config, plan.margin))
    rises = config.direction.harmed_by_increase and ours - theirs > up
    falls = config.direction.harmed_by_decrease and theirs - ours > down
    if rises or falls:
        message = (
            f"the control has no value in {int(alone.sum())} intervals in which the experiment "
            f"has one; with these the experiment's mean is {ours:.4g}, the control's {theirs:.4g}"
        )
        yield KnownLimitation(Limitation.UNPAIRED, message)


def allowed_harm(judged: ValueJudgement) -> Iterator[KnownLimitation]:
    """Harm that is sure, and passes by the margin that holds where the config allows none."""
    config, found = judged.config, judged.difference
    is_own = not (config.allowed_increase is None and config.allowed_decrease is None)
    rises = config.direction.harmed_by_increase and found.lower > 0
    falls = config.direction.harmed_by_decrease and found.upper < 0
    if judged.label is ValueLabel.PASS and judged.few is None and not is_own and (rises or falls):
        message = (
            f"the experiment is surely worse, by {abs(found.value):.4g} on average; it passes as "
            f"the config allows nothing, for which --margin allows {100 * judged.margin:g} %"
        )
        yield KnownLimitation(Limitation.ALLOWED, message)
