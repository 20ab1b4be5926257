"""A quantile's difference between two variants, requests of one user depending on each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QuantileEstimate:
    """A quantile, its standard error, and the interval of level 1 - alpha that gave it."""

    value: float
    standard_error: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class QuantileContrast:
    """Candidate minus baseline."""

    baseline: QuantileEstimate
    candidate: QuantileEstimate
    difference: float
    standard_error: float
    lower: float
    upper: float
    p_value: float


def estimate_quantile(
    values: ArrayLike, share: float, *, clusters: ArrayLike | None = None, alpha: float = 0.05
) -> QuantileEstimate:
    """A quantile of values float64[n]; clusters[n] says whose (a user's requests).

    The outer interval of Deng, Knoblich, Lu 2018 (section 4): the ranks of an interval of the
    share of values at or below the quantile, whose variance is that of a ratio of sums over
    clusters. Without clusters each value stands alone. Raises ValueError for too few values.
    """
    y = np.asarray(values, dtype=np.float64)
    if not 0 < share < 1 or len(y) < 2 or not np.isfinite(y).all():
        raise ValueError("a quantile needs a share between 0 and 1 and two or more finite values")
    ordered = np.sort(y)
    value = ordered[int(np.ceil(share * len(y))) - 1]
    if clusters is None:
        error = np.sqrt(share * (1 - share) / len(y))
    else:
        error = _clustered_error(y <= value, np.asarray(clusters))
    z = -ndtri(alpha / 2)
    below = int(np.floor(len(y) * (share - z * error))) - 1
    above = int(np.ceil(len(y) * (share + z * error)))
    # A bound beyond all values is not known: too few of them for this quantile.
    lower = ordered[below] if below >= 0 else -np.inf
    upper = ordered[above] if above < len(y) else np.inf
    return QuantileEstimate(
        float(value), float((upper - lower) / (2 * z)), float(lower), float(upper)
    )


def _clustered_error(below: NDArray[np.bool_], clusters: NDArray[np.generic]) -> float:
    """Standard error of the share of values below, as a ratio of sums over clusters."""
    _, index = np.unique(clusters, return_inverse=True)
    size = np.bincount(index).astype(np.float64)
    if len(size) < 2:
        raise ValueError("one cluster says nothing of how clusters vary")
    count = np.bincount(index, weights=below)
    residual = count - count.sum() / size.sum() * size
    return float(np.sqrt(np.var(residual, ddof=1) / len(size)) / size.mean())


def compare_quantiles(
    baseline: ArrayLike,
    candidate: ArrayLike,
    share: float,
    *,
    clusters: tuple[ArrayLike, ArrayLike] | None = None,
    alpha: float = 0.05,
) -> QuantileContrast:
    """The difference of a quantile, with an interval of level 1 - alpha; two-sided p-value."""
    of_baseline, of_candidate = clusters or (None, None)
    b = estimate_quantile(baseline, share, clusters=of_baseline, alpha=alpha)
    c = estimate_quantile(candidate, share, clusters=of_candidate, alpha=alpha)
    difference = c.value - b.value
    error = float(np.hypot(b.standard_error, c.standard_error))
    z = float(-ndtri(alpha / 2))
    p_value = float(2 * ndtr(-abs(difference) / error)) if error > 0 else float(difference == 0)
    return QuantileContrast(
        b, c, difference, error, difference - z * error, difference + z * error, p_value
    )
