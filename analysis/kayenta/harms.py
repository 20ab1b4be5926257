"""The harms that our judge looks for in two series, beyond what is allowed of each.

- increase: experiment - control - margin |control| - absolute
- decrease: control - experiment - margin |control| - absolute
- spread: distance of the experiment from its median, towards harm, minus (1 + spread_growth) times
  the control's from its own, minus a tenth of margin |the control's median|, minus absolute
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.kayenta.config import EffectMeasure, MetricConfig
from analysis.kayenta.series_means import known_or_0

# Of the margin; so a control without any spread allows some.
_SPREAD_SLACK = 0.1
_ROUNDING = 1e-12


class Harm(StrEnum):
    """What is tested, in the order of the axis `harms`."""

    INCREASE = "increase"
    DECREASE = "decrease"
    SPREAD = "spread"


def harm_margins(config: MetricConfig, default: float) -> tuple[float, float]:
    """The allowed relative increase and decrease; the default where the config allows none.

    Limits of cles are no ratios, so the default holds there too.
    """
    is_ratio = config.measure is EffectMeasure.MEAN_RATIO
    if not is_ratio or (config.allowed_increase is None and config.allowed_decrease is None):
        return default, default
    up = config.limit(config.allowed_increase) - 1
    down = 1 - config.limit(config.allowed_decrease)
    return (up if up > 0 else default), (down if down > 0 else default)


def harm_excesses(
    control: FloatArray,
    experiment: FloatArray,
    margins: FloatArray,
    absolute: FloatArray,
    tested: BoolArray,
    spread_growth: float,
    *,
    harms: Collection[Harm],
) -> dict[Harm, FloatArray]:
    """Harm beyond what is allowed, of each of the harms.

    control, experiment, and each of the answer: float64[metrics, intervals], NaN at the same
    places. margins: float64[metrics, 2], see harm_margins; absolute: float64[metrics], allowed
    beside them. tested: bool[harms, metrics].
    """
    size = np.abs(control)
    # At the margin to the last digit, rounding decides nothing.
    least = _ROUNDING * (size + np.abs(experiment))
    found = {}
    for side, (harm, worse, better) in enumerate(
        ((Harm.INCREASE, experiment, control), (Harm.DECREASE, control, experiment))
    ):
        if harm in harms:
            excess = worse - better - (margins[:, side, None] * size + absolute[:, None])
            excess[np.abs(excess) < least] = 0.0
            found[harm] = excess
    center = medians(control)
    slack = _SPREAD_SLACK * (tested[:2].T * margins).max(axis=1) * np.abs(center) + absolute
    theirs = (1 + spread_growth) * _distance(control, center, tested)
    found[Harm.SPREAD] = _distance(experiment, medians(experiment), tested) - theirs
    found[Harm.SPREAD] -= slack[:, None]
    return found


def _distance(values: FloatArray, center: FloatArray, tested: BoolArray) -> FloatArray:
    """How far values lie from each row's center on the sides of harm: float64[rows, intervals]."""
    off = values - center[:, None]
    up, down = tested[:2]
    if not down.any():
        return np.asarray(np.maximum(off, 0))
    above = np.where(up[:, None], np.maximum(off, 0), 0)
    below = np.where(down[:, None], np.maximum(-off, 0), 0)
    return np.asarray(above + below)


def harm_noise(
    excesses: Mapping[Harm, FloatArray], control: FloatArray, margins: FloatArray
) -> dict[Harm, FloatArray]:
    """What the errors of the mean excesses are of: float64[metrics, intervals] each.

    A margin that follows a swing of the control is no doubt about a change that is less: of it only
    as much is noise as the change itself follows (the residual of a ratio of means). Where harm is
    seen that is all, so nothing fails by this.
    """
    size = np.abs(control)
    known = ~np.isnan(size)
    whole = known_or_0(size, known).sum(axis=1)
    noise = dict(excesses)
    for side, harm in enumerate((Harm.INCREASE, Harm.DECREASE)):
        if harm in excesses:
            excess, margin = excesses[harm], margins[:, side]
            change = known_or_0(excess, known).sum(axis=1) + margin * whole
            with np.errstate(over="ignore"):  # of values next to 0 infinite, which is the margin
                follows = np.divide(change, whole, out=np.zeros_like(whole), where=whole > 0)
            left = margin - np.clip(follows, 0.0, margin)
            noise[harm] = excess + left[:, None] * size
    return noise


def medians(rows: FloatArray) -> FloatArray:
    """Median of each row's known values; NaN where there is none."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = (~np.isnan(rows)).sum(axis=1)
    at = np.arange(len(rows))
    low = ordered[at, np.maximum(count - 1, 0) // 2]
    high = ordered[at, np.minimum(count // 2, rows.shape[1] - 1)]
    return np.asarray(low + (high - low) / 2)
