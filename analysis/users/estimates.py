"""From moments to one estimate per variant: means, ratios, adjusted by covariates or by strata.

Every estimate is linear in the users' values to first order (delta method), so each becomes a
Sample: users, an estimate, and the variance of one user's influence on it. Samples are then
compared by one function (analysis/fixed/comparison.py), whatever they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample
from analysis.users.sums import Moments, two_sum

# Of the largest eigenvalue of covariates' correlations: a smaller one is none.
_REPEATS = 1e-9


@dataclass(frozen=True, slots=True)
class Quantity:
    """A mean per user, or a ratio of two means: positions among the moments' quantities."""

    numerator: int
    denominator: int | None = None


def sample_of(moments: Moments, quantity: Quantity) -> Sample:
    """The estimate of a mean, or of a ratio of means, with the variance of one user's influence.

    A ratio's variance is (Vm + R^2 Vd - 2 R Cmd) / d^2 (Deng, Knoblich, Lu 2018, section 3); it
    is nan where the denominator's mean is zero.
    """
    variance = moments.variance_along(influences(moments, quantity)[..., None, :])[..., 0]
    value, rest = value_of(moments, quantity), _rest_of(moments, quantity)
    return Sample(moments.n, value, variance, rest)


def value_of(moments: Moments, quantity: Quantity) -> FloatArray:
    """The estimate itself: float64[...]; nan where a ratio's denominator has the mean zero."""
    mean = moments.mean[..., quantity.numerator]
    if quantity.denominator is None:
        return mean
    below = moments.mean[..., quantity.denominator]
    return np.divide(mean, below, out=np.full_like(mean, np.nan), where=below != 0)


def _rest_of(moments: Moments, quantity: Quantity) -> FloatArray:
    """What the last digit of the estimate leaves out; 0 for a ratio, where it isn't known."""
    if quantity.denominator is not None:
        return np.zeros_like(moments.n)
    return moments.rest[..., quantity.numerator]


def influences(moments: Moments, quantity: Quantity) -> FloatArray:
    """Gradient of the estimate by the means: float64[..., q]."""
    gradient = np.zeros_like(moments.mean)
    if quantity.denominator is None:
        gradient[..., quantity.numerator] = 1.0
        return gradient
    below = moments.mean[..., quantity.denominator]
    inverse = np.divide(1.0, below, out=np.full_like(below, np.nan), where=below != 0)
    gradient[..., quantity.numerator] = inverse
    gradient[..., quantity.denominator] = -value_of(moments, quantity) * inverse
    return gradient


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Every variant's estimate after the covariates' part is taken off.

    samples: in the order of the variants. coefficients: float64[..., covariates].
    variance_removed: float64[...], share of the variance of the estimates that is gone, over all
        variants; 0 where the covariates say nothing.
    """

    samples: tuple[Sample, ...]
    coefficients: FloatArray
    variance_removed: FloatArray


def adjust(
    variants: Sequence[Moments], outcome: Quantity, covariates: Sequence[Quantity]
) -> Adjusted:
    """CUPED with one or several covariates (Deng, Xu, Kohavi, Walker 2013), ratios too.

    The covariates must be known before exposure. The coefficients are the pooled within-variant
    least-squares ones of all variants together: the effect itself doesn't enter them, and every
    pair of variants is adjusted alike. A covariate that doesn't vary, or that one variant has no
    value of, gets no weight.
    """
    quantities = (outcome, *covariates)
    rows = [np.stack([influences(m, each) for each in quantities], axis=-2) for m in variants]
    spread = [
        row @ m.covariance @ np.swapaxes(row, -1, -2) for row, m in zip(rows, variants, strict=True)
    ]
    x_means = [np.stack([value_of(m, x) for x in covariates], axis=-1) for m in variants]
    usable = np.all(np.isfinite(x_means), axis=0)
    x_means = [np.where(usable, x, 0.0) for x in x_means]
    kept = np.concatenate([np.ones_like(usable[..., :1]), usable], axis=-1)
    spread = [np.where(kept[..., :, None] & kept[..., None, :], s, 0.0) for s in spread]
    pooled = sum(
        (
            np.maximum(m.n - 1, 0.0)[..., None, None] * np.nan_to_num(s)
            for m, s in zip(variants, spread, strict=True)
        ),
        start=np.zeros_like(spread[0]),
    )
    theta = least_squares(pooled)
    users = sum((m.n for m in variants), start=np.zeros_like(variants[0].n))
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (
            sum(
                (m.n[..., None] * np.nan_to_num(x) for m, x in zip(variants, x_means, strict=True)),
                start=np.zeros_like(x_means[0]),
            )
            / users[..., None]
        )
    contrast = np.concatenate([np.ones_like(theta[..., :1]), -theta], axis=-1)[..., None, :]
    samples: list[Sample] = []
    before, after = np.zeros_like(users), np.zeros_like(users)
    for moments, row, x in zip(variants, rows, x_means, strict=True):
        raw = moments.variance_along(row[..., :1, :])[..., 0]
        of_user = contrast @ np.where(kept[..., :, None], row, 0.0)
        variance = moments.variance_along(of_user)[..., 0]
        part = np.sum(theta * (x - centre), axis=-1)
        mean, rest = two_sum(value_of(moments, outcome), -part)
        rest = rest + _rest_of(moments, outcome)
        samples.append(Sample(moments.n, mean, variance, rest))
        weight = np.divide(1.0, moments.n, out=np.zeros_like(moments.n), where=moments.n > 0)
        before, after = before + weight * raw, after + weight * samples[-1].variance
    known = np.isfinite(before) & (before > 0)
    left = np.divide(after, before, out=np.ones_like(users), where=known)
    return Adjusted(tuple(samples), theta, 1 - left)


def least_squares(pooled: FloatArray) -> FloatArray:
    """Coefficients of the first quantity on the others, from sums of squares float64[..., k, k]."""
    scale = np.sqrt(np.maximum(np.diagonal(pooled, axis1=-2, axis2=-1), 0.0))[..., 1:]
    unit = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    correlation = pooled[..., 1:, 1:] * unit[..., :, None] * unit[..., None, :]
    with_y = pooled[..., 1:, 0] * unit
    if with_y.shape[-1] == 1:  # a correlation of one quantity with itself is 1
        return np.asarray(with_y * unit)
    # The pseudo-inverse gives covariates that repeat each other one weight between them; to the
    # last digits of sums they never do.
    return np.asarray(
        (np.linalg.pinv(correlation, rcond=_REPEATS, hermitian=True) @ with_y[..., None])[..., 0]
        * unit
    )


def stratified_samples(
    strata: Sequence[Sample],
) -> tuple[tuple[Sample, ...], FloatArray]:
    """Post-stratified estimates of every variant, and the share of variance removed.

    strata: one Sample per variant with the strata on the last axis, float64[..., strata]. A
    stratum weighs by its share of all users; one in which a variant has fewer than two users
    can't be compared and is left out of every variant (its users don't count).
    Miratrix, Sekhon, Yu 2013.
    """
    usable = np.all([s.n >= 2 for s in strata], axis=0)
    users = np.where(usable, sum((s.n for s in strata), start=np.zeros_like(strata[0].n)), 0.0)
    total = users.sum(axis=-1, keepdims=True)
    share = np.divide(users, total, out=np.zeros_like(users), where=total > 0)
    samples: list[Sample] = []
    pooled, stratified = np.zeros(total.shape[:-1]), np.zeros(total.shape[:-1])
    for s in strata:
        n = np.where(usable, s.n, 0.0)
        mean = np.where(usable, s.mean, 0.0)
        variance = np.where(usable, s.variance, 0.0)
        of_mean = np.sum(
            share**2 * np.divide(variance, n, out=np.zeros_like(n), where=n > 0), axis=-1
        )
        count = n.sum(axis=-1)
        nothing = count == 0
        samples.append(
            Sample(
                count,
                np.where(nothing, np.nan, (share * mean).sum(axis=-1)),
                np.where(nothing, np.nan, of_mean * count),
            )
        )
        own = np.divide(n, count[..., None], out=np.zeros_like(n), where=count[..., None] > 0)
        centre = (own * mean).sum(axis=-1, keepdims=True)
        overall = (own * (variance + (mean - centre) ** 2)).sum(axis=-1)
        pooled = pooled + np.divide(overall, count, out=np.zeros_like(count), where=count > 0)
        stratified = stratified + of_mean
    known = np.isfinite(pooled) & (pooled > 0)
    left = np.divide(stratified, pooled, out=np.ones_like(pooled), where=known)
    return tuple(samples), 1 - left
