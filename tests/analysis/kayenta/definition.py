"""Kayenta's judge of one metric, word by word as it is defined: slow, and independent of ours."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import norm, rankdata

from analysis.kayenta.config import Direction, EffectMeasure, MetricConfig, NanStrategy

FloatArray = NDArray[np.float64]


def z_of_shift(d: float, x: FloatArray, y: FloatArray) -> float:
    """The corrected statistic of the shift d, from ranks."""
    m, n = len(x), len(y)
    ranks = rankdata(np.concatenate([x - d, y]))
    w = ranks[:m].sum() - m * (m + 1) / 2 - m * n / 2
    ties = np.unique(ranks, return_counts=True)[1].astype(float)
    total = m + n
    variance = m * n / 12 * (total + 1 - (ties**3 - ties).sum() / (total * (total - 1)))
    return float((w - np.sign(w) / 2) / math.sqrt(variance))


def shift_interval(x: FloatArray, y: FloatArray, confidence: float) -> tuple[float, float]:
    """Where z(d) crosses plus and minus the normal quantile, by Brent's method.

    Two constants have one difference only; Kayenta adds noise, here it is that difference.
    """
    quantile = float(norm.ppf(0.5 + confidence / 2))
    low, high = float(x.min() - y.max()), float(x.max() - y.min())

    if low == high:
        return low, high

    def root(target: float) -> float:
        if z_of_shift(low, x, y) - target <= 0:
            return low
        if z_of_shift(high, x, y) - target >= 0:
            return high
        return float(brentq(lambda d: z_of_shift(d, x, y) - target, low, high, xtol=1e-13))

    return root(quantile), root(-quantile)


def label_by_definition(control: FloatArray, experiment: FloatArray, config: MetricConfig) -> str:
    """Pass, High, Low, Nodata or NodataFailMetric, with " critical" for a critical failure."""
    y, x = (_cleaned(values, config) for values in (control, experiment))
    if len(x) == 0 or len(y) == 0:
        return _no_data(config)
    if sorted(x) == sorted(y) or len({*x, *y}) == 1:
        return "Pass"
    lower, upper = shift_interval(x, y, 0.98)
    differences = np.subtract.outer(x, y)
    bound = 0.25 * abs(float(np.median(differences)))
    if config.measure is EffectMeasure.CLES:
        ranks = rankdata(np.concatenate([x, y]))
        m, n = len(x), len(y)
        effect, neutral = (2 * ranks[:m].sum() - m * (m + 1)) / (2 * m * n), 0.5
    else:
        zero = x.mean() == 0 or y.mean() == 0
        effect, neutral = (math.nan if zero else x.mean() / y.mean()), 1.0

    def limit(written: float | None) -> float:
        return neutral if written is None else written

    unknown = math.isnan(effect)
    if (
        config.direction in (Direction.INCREASE, Direction.EITHER)
        and lower > bound
        and (unknown or effect >= limit(config.allowed_increase))
    ):
        critical = config.critical and (unknown or effect >= limit(config.critical_increase))
        return "High critical" if critical else "High"
    if (
        config.direction in (Direction.DECREASE, Direction.EITHER)
        and upper < -bound
        and (unknown or effect <= limit(config.allowed_decrease))
    ):
        critical = config.critical and (unknown or effect <= limit(config.critical_decrease))
        return "Low critical" if critical else "Low"
    return "Pass"


def _cleaned(values: FloatArray, config: MetricConfig) -> FloatArray:
    if config.nan_strategy is NanStrategy.REPLACE:
        values = np.nan_to_num(values, nan=0.0)
    values = values[~np.isnan(values)]
    if config.outliers.value == "keep" or len(values) == 0:
        return values
    ordered = sorted(values)

    def percentile(share: float) -> float:  # R's type 7
        at = share * (len(ordered) - 1)
        below = math.floor(at)
        above = min(below + 1, len(ordered) - 1)
        return float(ordered[below] + (at - below) * (ordered[above] - ordered[below]))

    reach = config.outlier_factor * (percentile(0.75) - percentile(0.25))
    low = min(percentile(0.01), percentile(0.25) - reach)
    high = max(percentile(0.99), percentile(0.75) + reach)
    return np.array([value for value in values if low <= value <= high])


def _no_data(config: MetricConfig) -> str:
    if config.nan_strategy is NanStrategy.REPLACE:
        return "Pass"
    if config.critical:
        return "Nodata critical"
    return "NodataFailMetric" if config.must_have_data else "Nodata"
