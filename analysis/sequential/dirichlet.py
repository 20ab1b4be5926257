"""The Dirichlet mixture: one e-value for counts, shares, rates and quantiles.

Counts x of categories with shares theta, against the null shares theta0:
    e = B(k theta0 + x) / B(k theta0) / prod theta0_i^x_i
(Robbins 1970; Lindon, Malek 2022). With two categories it is the beta-binomial mixture of Howard,
Ramdas 2022. Differences of log-gammas lose all digits at n = 1e12, so the terms that cancel are
taken out by hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, xlogy

from analysis.arrays import FloatArray
from analysis.sequential.confidence_sequence import tuning

_STIRLING_FROM = 20.0  # from here on five terms of Stirling's series are exact to 1e-15
_LEAST_CONCENTRATION = 0.001


def planned_concentration(alpha: float, n_opt: ArrayLike) -> FloatArray:
    """The concentration k with which a sequence of level alpha is tightest at n_opt counts.

    The normal limit of the mixture has the variance 1 / k in units of one count's, so this is the
    tuning of analysis.sequential.confidence_sequence; Howard, Ramdas 2022, section 3.3, take 1 off.
    """
    scale = tuning(alpha, 1.0) ** 2
    return np.maximum(np.asarray(n_opt, dtype=np.float64) / scale - 1, _LEAST_CONCENTRATION)


def mixture_log_e(counts: ArrayLike, null: ArrayLike, concentration: ArrayLike) -> FloatArray:
    """Log e-value against "the shares are the null's": float64[...].

    counts: float64[..., categories]. null: float64[..., categories], above 0, summing to 1.
    concentration: float64[...], see planned_concentration; any is valid.
    """
    x, theta = (np.asarray(a, dtype=np.float64) for a in (counts, null))
    k = np.asarray(concentration, dtype=np.float64)
    n = x.sum(axis=-1)
    prior = k[..., None] * theta
    posterior, total = prior + x, k + n
    deviation = (x - n[..., None] * theta) / (total[..., None] * theta)
    ratio = posterior / (total[..., None] * theta)
    fit = total * (theta * _convex(deviation, ratio)).sum(axis=-1)
    width = (np.log(total / k) - np.log(posterior / prior).sum(axis=-1)) / 2
    ends = (_stirling(posterior) - _stirling(prior)).sum(axis=-1)
    return np.asarray(fit + width + ends - _stirling(total) + _stirling(k))


def divergence(counts: ArrayLike, null: ArrayLike) -> FloatArray:
    """Log likelihood of the observed shares over that of the null's: n KL, float64[...]."""
    x, theta = (np.asarray(a, dtype=np.float64) for a in (counts, null))
    n = np.maximum(x.sum(axis=-1, keepdims=True), 1e-300)
    ratio = x / (n * theta)
    deviation = (x - n * theta) / (n * theta)
    return np.asarray((n * theta * _convex(deviation, ratio)).sum(axis=-1))


def _convex(deviation: FloatArray, ratio: FloatArray) -> FloatArray:
    """(1 + u) log(1 + u) - u; ratio is 1 + u, computed without loss where u is near -1."""
    near = np.abs(deviation) < 0.5
    log = np.log1p(np.where(near, deviation, 0.0))
    return np.asarray(np.where(near, ratio * log, xlogy(ratio, ratio)) - deviation)


def _stirling(z: FloatArray) -> FloatArray:
    """What Stirling's formula leaves out of log-gamma: 1 / (12 z) - 1 / (360 z^3) + ..."""
    large = z >= _STIRLING_FROM
    inverse = 1 / np.where(large, z, 1.0)
    s = inverse**2
    series = inverse * (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188))))
    small = np.where(large, 1.0, z)
    formula = (small - 0.5) * np.log(small) - small + np.log(2 * np.pi) / 2
    return np.where(large, series, gammaln(small) - formula)
