"""Several variants at once: is any of them different?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample


@dataclass(frozen=True, slots=True)
class Heterogeneity:
    """A test of "all variants are alike", for one look: float64[...] each.

    degrees_within: of the denominator of F; infinite for a chi-square.
    """

    statistic: FloatArray
    degrees: FloatArray
    degrees_within: FloatArray
    p_value: FloatArray


def compare_shares(users: FloatArray, successes: FloatArray) -> Heterogeneity:
    """Pearson's chi-square over k variants (1900): users, successes float64[..., k].

    Variants without users don't count; nan where nothing can be compared.
    """
    n, x = np.broadcast_arrays(users, successes)
    seen = n > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        p = (x.sum(axis=-1) / n.sum(axis=-1))[..., None]
        terms = np.where(seen, (x - n * p) ** 2 / (n * p * (1 - p)), 0.0)
    statistic = terms.sum(axis=-1)
    degrees = np.maximum(seen.sum(axis=-1) - 1.0, 0.0)
    p_value = np.where(degrees > 0, chdtrc(np.maximum(degrees, 1.0), statistic), np.nan)
    return Heterogeneity(statistic, degrees, np.full_like(degrees, np.inf), p_value)


def compare_means(sample: Sample) -> Heterogeneity:
    """Welch's analysis of variance (1951): n, mean, variance float64[..., k].

    nan where a variant has fewer than two users, or values that are all equal.
    """
    n, mean, variance = sample.n, sample.mean, sample.variance
    k = n.shape[-1]
    known = np.all((n > 1) & (variance > 0), axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = n / variance
        total = weight.sum(axis=-1, keepdims=True)
        centre = (weight * mean).sum(axis=-1, keepdims=True) / total
        between = (weight * (mean - centre) ** 2).sum(axis=-1) / (k - 1)
        lack = ((1 - weight / total) ** 2 / (n - 1)).sum(axis=-1)
        statistic = np.where(known, between / (1 + 2 * (k - 2) / (k**2 - 1) * lack), np.nan)
        within = np.where(known, (k**2 - 1) / (3 * lack), np.nan)
    degrees = np.full_like(statistic, k - 1.0)
    p_value = np.asarray(fdtrc(degrees, within, statistic), dtype=np.float64)
    return Heterogeneity(statistic, degrees, within, p_value)


def compare_split(users: FloatArray, share: FloatArray) -> Heterogeneity:
    """Pearson's chi-square of users against configured shares: float64[..., k] each.

    Shares are weights above 0; nan where nobody was seen.
    """
    total, weights = users.sum(axis=-1, keepdims=True), share.sum(axis=-1, keepdims=True)
    expected = np.where(total > 0, total, np.nan) * share / weights
    statistic = ((users - expected) ** 2 / expected).sum(axis=-1)
    degrees = np.full_like(statistic, users.shape[-1] - 1.0)
    p_value = np.asarray(chdtrc(degrees, statistic))
    within: FloatArray = np.full(statistic.shape, np.inf)
    return Heterogeneity(statistic, degrees, within, p_value)
