"""How large the difference between two series is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.kayenta.config import EffectMeasure

FloatArray = NDArray[np.float64]


def effect_sizes(
    measure: EffectMeasure, experiment: FloatArray, control: FloatArray, statistic: FloatArray
) -> FloatArray:
    """The effect of each pair of series: float64[pairs].

    experiment: float64[pairs, m]; control: float64[pairs, n]; statistic: float64[pairs], the
    experiment's U.
    meanRatio: mean of the experiment / mean of the control; NaN if either is 0.
    cles: (2 R - m (m + 1)) / (2 m n) with R the experiment's rank sum, which is U / (m n):
    the probability that a value of the experiment exceeds one of the control, ties half.
    """
    if measure is EffectMeasure.CLES:
        return np.asarray(statistic / (experiment.shape[1] * control.shape[1]))
    ours, theirs = experiment.mean(axis=1), control.mean(axis=1)
    known = (ours != 0) & (theirs != 0)
    with np.errstate(over="ignore"):  # beyond the largest float a ratio is infinite, and counts so
        return np.asarray(np.divide(ours, theirs, out=np.full_like(ours, np.nan), where=known))
