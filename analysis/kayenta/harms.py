"""The harms that our judge looks for in two series, beyond what is allowed of each.

- increase: experiment - control - margin |control| - absolute
- decrease: control - experiment - margin |control| - absolute
- spread: distance of the experiment from its median, towards harm, minus (1 + spread_growth) times
  the control's from its own, minus a tenth of margin |the control's median|, minus absolute
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.kayenta.config import EffectMeasure, MetricConfig

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
) -> FloatArray:
    """Harm beyond what is allowed: float64[harms, metrics, intervals].

    control, experiment: float64[metrics, intervals], NaN at the same places. margins:
    float64[metrics, 2], see harm_margins; absolute: float64[metrics], allowed beside them.
    tested: bool[harms, metrics].
    """
    rise = experiment - control
    up, down = (margins[:, side, None] * np.abs(control) + absolute[:, None] for side in (0, 1))
    center = medians(control)[:, None]
    harmed_up, harmed_down = tested[0][:, None], tested[1][:, None]

    def distance(values: FloatArray, center: FloatArray) -> FloatArray:
        above = np.where(harmed_up, np.maximum(values - center, 0), 0)
        below = np.where(harmed_down, np.maximum(center - values, 0), 0)
        return np.asarray(above + below)

    theirs = (1 + spread_growth) * distance(control, center)
    slack = _SPREAD_SLACK * (tested[:2].T * margins).max(axis=1)[:, None] * np.abs(center)
    slack = slack + absolute[:, None]
    spread = distance(experiment, medians(experiment)[:, None]) - theirs - slack
    # At the margin to the last digit, rounding decides nothing.
    least = _ROUNDING * (np.abs(control) + np.abs(experiment))
    sides = (np.where(np.abs(one) < least, 0.0, one) for one in (rise - up, -rise - down))
    return np.stack([*sides, spread])


def harm_noise(excess: FloatArray, control: FloatArray, margins: FloatArray) -> FloatArray:
    """What the errors of the mean excesses are of: float64[harms, metrics, intervals].

    A margin that follows a swing of the control is no doubt about a change that is less: of it only
    as much is noise as the change itself follows (the residual of a ratio of means). Where harm is
    seen that is all, so nothing fails by this.
    """
    size = np.abs(control)
    known = ~np.isnan(size)
    whole = np.where(known, size, 0.0).sum(axis=1)
    noise = excess.copy()
    for side in (0, 1):
        change = np.where(known, excess[side] + margins[:, side, None] * size, 0.0).sum(axis=1)
        follows = np.divide(change, whole, out=np.zeros_like(whole), where=whole > 0)
        left = margins[:, side] - np.clip(follows, 0.0, margins[:, side])
        noise[side] += left[:, None] * size
    return noise


def medians(rows: FloatArray) -> FloatArray:
    """Median of each row's known values; NaN where there is none."""
    ordered = np.sort(rows, axis=1)  # NaN last
    count = (~np.isnan(rows)).sum(axis=1)
    at = np.arange(len(rows))
    low = ordered[at, np.maximum(count - 1, 0) // 2]
    high = ordered[at, np.minimum(count // 2, rows.shape[1] - 1)]
    return np.asarray(low + (high - low) / 2)
