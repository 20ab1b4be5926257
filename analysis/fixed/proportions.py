"""Two proportions: the z-tests, and bounds that hold for tiny n and rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from analysis.arrays import BoolArray, FloatArray
from analysis.fixed.comparison import Bounds, Sample
from analysis.sequential.roots import bracket_root

# Beyond so many standard errors every p-value is 0 in floating point.
_LARGEST_Z = 60.0


@dataclass(frozen=True, slots=True)
class ZTest:
    """Candidate's share minus baseline's in standard errors, and its p-values: float64[...].

    p_greater: of "the candidate's share isn't larger"; p_less: "isn't smaller".
    """

    statistic: FloatArray
    p_value: FloatArray
    p_greater: FloatArray
    p_less: FloatArray


def z_test(
    users: tuple[ArrayLike, ArrayLike], successes: tuple[ArrayLike, ArrayLike], *, pooled: bool
) -> ZTest:
    """The z-test of equal shares; users and successes of baseline and candidate.

    pooled: the variance under the hypothesis (score test, Pearson 1900), else each variant's own
    (Wald). nan where no variance is known: all users of both variants alike, or by Wald all users
    of each.
    """
    n_b, n_c, x_b, x_c = (np.asarray(a, dtype=np.float64) for a in (*users, *successes))
    with np.errstate(divide="ignore", invalid="ignore"):
        p_b, p_c = x_b / n_b, x_c / n_c
        if pooled:
            p = (x_b + x_c) / (n_b + n_c)
            variance = p * (1 - p) * (1 / n_b + 1 / n_c)
        else:
            variance = p_b * (1 - p_b) / n_b + p_c * (1 - p_c) / n_c
        z = np.asarray((p_c - p_b) / np.sqrt(np.where(variance > 0, variance, np.nan)))
    return ZTest(z, np.asarray(2 * ndtr(-np.abs(z))), np.asarray(ndtr(-z)), np.asarray(ndtr(z)))


@np.errstate(over="ignore", invalid="ignore")  # a mean of 1e300 is no share, and has no such bounds
def share_bounds(baseline: Sample, candidate: Sample, multiplier: ArrayLike) -> Bounds:
    """Bounds of candidate - baseline, and of candidate / baseline - 1.

    They cover from 20 users on, for any two sizes of variants, down to rates of 1e-4.

    Newcombe 1998, method 11: each variant's own limits by Wilson with continuity correction,
    combined by squares; the ratio from the same limits (Donner, Zou 2012). Both exclude "no
    difference" together. Wald's bounds cover 1 % of cases at tiny rates, and those with one success
    and failure added 93.7 % for very unequal sizes (benchmarks/coverage.py).
    """
    z = np.asarray(multiplier, dtype=np.float64)
    (low_b, high_b), (low_c, high_c) = (_wilson(variant, z) for variant in (baseline, candidate))
    b, c = baseline.mean, candidate.mean
    lower = c - b - np.hypot(c - low_c, high_b - b)
    upper = c - b + np.hypot(high_c - c, b - low_b)
    return Bounds(
        lower, upper, _ratio(c, b, low_c, high_b, -1.0) - 1, _ratio(c, b, high_c, low_b, 1.0) - 1
    )


def share_statistic(baseline: Sample, candidate: Sample) -> FloatArray:
    """The multiplier at which share_bounds touch "no difference", with the difference's sign.

    So a p-value or an e-value from it agrees with the bounds. 0 where even a multiplier of 0
    doesn't exclude it; nan where a variant has no users.
    """
    difference = candidate.mean - baseline.mean
    known = np.isfinite(difference)
    swapped = difference < 0
    upper_arm = _chosen(swapped, baseline, candidate)
    lower_arm = _chosen(swapped, candidate, baseline)

    def too_wide(z: FloatArray) -> FloatArray:
        with np.errstate(invalid="ignore"):
            bounds = share_bounds(lower_arm, upper_arm, z)
        return np.where(known, -bounds.lower, 1.0)

    _, touching = bracket_root(too_wide, np.zeros(difference.shape), _LARGEST_Z)
    return np.where(known, np.where(swapped, -touching, touching), np.nan)


def _chosen(swap: BoolArray, first: Sample, second: Sample) -> Sample:
    return Sample(
        np.where(swap, first.n, second.n),
        np.where(swap, first.mean, second.mean),
        np.where(swap, first.variance, second.variance),
    )


def _wilson(sample: Sample, z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Limits of one share (Wilson 1927), with continuity correction; nan without users.

    0 and 1 for an infinite multiplier.
    """
    n = np.where(sample.n > 0, sample.n, np.nan)
    p, unbounded, z = sample.mean, np.isinf(z), np.where(np.isinf(z), 0.0, z)
    scale = 2 * (n + z**2)
    below = z * np.sqrt(np.maximum(z**2 - 2 - 1 / n + 4 * p * (n * (1 - p) + 1), 0.0))
    above = z * np.sqrt(np.maximum(z**2 + 2 - 1 / n + 4 * p * (n * (1 - p) - 1), 0.0))
    low = np.where(
        (p > 0) & ~unbounded, np.clip((2 * n * p + z**2 - 1 - below) / scale, 0.0, p), 0.0
    )
    high = np.where(
        (p < 1) & ~unbounded, np.clip((2 * n * p + z**2 + 1 + above) / scale, p, 1.0), 1.0
    )
    return np.where(np.isnan(n), np.nan, low), np.where(np.isnan(n), np.nan, high)


def _ratio(
    c: FloatArray, b: FloatArray, of_c: FloatArray, of_b: FloatArray, sign: float
) -> FloatArray:
    """One bound of c / b from c's limit on that side and b's on the other."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        divisor = of_b * (2 * b - of_b)
        inside = (c * b) ** 2 - of_c * of_b * (2 * c - of_c) * (2 * b - of_b)
        root = np.sqrt(np.maximum(inside, 0.0))
        if sign > 0:
            return np.where(divisor > 0, (c * b + root) / divisor, np.inf)
        # The lower root in a form that a divisor of zero or below allows.
        bound = of_c * (2 * c - of_c) / (c * b + root)
    return np.where(c > 0, np.maximum(bound, 0.0), 0.0)
