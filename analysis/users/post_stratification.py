"""Post-stratification: variants compared within strata of users, then weighed alike.

Strata are known before the exposure (country, device). Where they explain a part of the outcome,
chance differences of the variants' make-up no longer add noise. The estimate of every variant is
that of users distributed over the strata as all users are; ratios and covariates go along, as every
estimate is a function of means (Miratrix, Sekhon, Yu 2013; Deng, Knoblich, Lu 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtr

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Sample
from analysis.users.estimates import Quantity, influences, least_squares, sample_of, value_of
from analysis.users.sums import Moments, Sums

# A stratum's variance is a guess below so many users of a variant.
_LEAST_USERS = 10
# How unlikely so few must be, were the stratum's users divided as all are, to be no chance.
_NO_CHANCE = 1e-6
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Stratified:
    """Every variant's estimate, in the order given, and what strata and covariates took away.

    variance_removed: share of the variance of the estimates, over all variants. strata: how many
    were compared.
    """

    samples: tuple[Sample, ...]
    variance_removed: float
    strata: int


def post_stratify(
    variants: Sequence[Sequence[Sums]], outcome: Quantity, covariates: Sequence[Quantity] = ()
) -> Stratified:
    """Post-stratified estimates of one metric, adjusted by covariates if there are any.

    variants: for each variant, baseline first, the sums of every stratum in the same order.
    Strata in which a variant has few users are taken together, so that every user counts. The
    effect may differ between strata: that their shares are estimated is part of the variance.
    """
    strata = large_enough(variants)
    whole = [sum_of(variant).moments for variant in strata]
    if min(float(m.n) for m in whole) < 2:
        return Stratified(tuple(sample_of(m, outcome) for m in whole), 0.0, 1)
    users = np.sum([[float(part.n) for part in variant] for variant in strata], axis=0)
    share = users / users.sum()
    found = weighted_estimates(strata, share, whole, outcome, covariates)
    samples = [
        Sample(np.array(n), np.array(each.value), np.array(each.variance * n))
        for each, n in zip(found, (float(m.n) for m in whole), strict=True)
    ]
    removed = _removed(whole, outcome, samples)
    uneven = _with_uneven_effects(samples, found, share, float(users.sum()))
    return Stratified(tuple(uneven), removed, len(share))


@dataclass(frozen=True, slots=True)
class WeightedEstimate:
    """One variant's estimate over strata, and the variance of that.

    linear: float64[strata], what the estimate is of in each stratum, to first order; rounding: how
    far it may be off by rounding alone.
    """

    value: float
    variance: float
    linear: FloatArray
    rounding: float


def weighted_estimates(
    strata: Sequence[Sequence[Sums]],
    share: FloatArray,
    whole: Sequence[Moments],
    outcome: Quantity,
    covariates: Sequence[Quantity],
) -> list[WeightedEstimate]:
    """Every variant's estimate, were its users distributed over the strata by the given shares.

    strata: for each variant, the sums of every stratum; whole: each variant's moments of them all.
    A covariate that a variant has no value of is left out.
    """
    covariates = [x for x in covariates if all(np.isfinite(value_of(m, x)) for m in whole)]
    cells = [_stacked(variant) for variant in strata]
    quantities = (outcome, *covariates)
    means = [_weighted(variant, share) for variant in cells]
    rows = [np.stack([influences(m, q) for q in quantities]) for m in means]
    theta = _coefficients(cells, rows)
    contrast = np.concatenate([[1.0], -theta])
    centre = _centre(means, whole, covariates)
    found = []
    for variant, mean, row in zip(cells, means, rows, strict=True):
        direction = contrast @ row
        spread = variant.variance_along(np.broadcast_to(direction, (len(share), 1, len(direction))))
        variance = float((share**2 * spread[:, 0] / variant.n).sum())
        values = np.array([float(value_of(mean, x)) for x in covariates])
        estimate = float(value_of(mean, outcome)) - float(theta @ (values - centre))
        largest = np.max(np.maximum(variant.n, 16.0))
        size = np.max(np.abs(variant.mean) @ np.abs(direction)) * largest
        linear = variant.mean @ direction
        found.append(WeightedEstimate(estimate, variance, linear, float(4 * _EPSILON * size)))
    return found


def large_enough(variants: Sequence[Sequence[Sums]]) -> list[list[Sums]]:
    """The strata, those in which any variant has few users put together; by counts alone."""
    least = np.min([[float(s.n) for s in variant] for variant in variants], axis=0)
    order = np.argsort(-least, kind="stable")
    kept = [int(i) for i in order if least[i] >= _LEAST_USERS]
    rest = [int(i) for i in order if least[i] < _LEAST_USERS]
    groups = [[i] for i in kept]
    if rest:
        fewest = np.min([sum(float(variant[i].n) for i in rest) for variant in variants])
        enough = fewest >= _LEAST_USERS
        if enough or not groups:
            groups.append(rest)
        else:
            groups[-1] = [*groups[-1], *rest]
    return [[sum_of([variant[i] for i in group]) for group in groups] for variant in variants]


def one_sided(variants: Sequence[FloatArray]) -> FloatArray:
    """Users of strata that are put together with others, though hardly any there is no chance.

    variants: users of two variants, float64[strata]. Of such strata all users, of others 0:
    float64[strata]. They would be compared with users of another kind.
    """
    users = np.array(variants)
    total = users.sum(axis=0)
    share = users.sum(axis=1, keepdims=True) / max(float(total.sum()), 1.0)
    is_no_chance = bdtr(users, total.astype(np.int64), share).min(axis=0) < _NO_CHANCE
    return np.where(is_no_chance & (users.min(axis=0) < _LEAST_USERS), total, 0.0)


def sum_of(parts: Sequence[Sums]) -> Sums:
    """The sums of all their users."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _stacked(variant: Sequence[Sums]) -> Moments:
    """One variant's strata on the first axis."""
    found = [part.moments for part in variant]
    return Moments(
        np.array([float(m.n) for m in found]),
        np.stack([m.mean for m in found]),
        np.stack([m.covariance for m in found]),
        noise=np.stack([m.noise for m in found]),
    )


def _weighted(variant: Moments, share: FloatArray) -> Moments:
    """The means that the variant's users would have if they were distributed as all users are."""
    q = variant.mean.shape[-1]
    return Moments(variant.n.sum(), share @ variant.mean, np.zeros((q, q)))


def _coefficients(cells: Sequence[Moments], rows: Sequence[FloatArray]) -> FloatArray:
    """Least squares of the outcome on the covariates within variants and strata."""
    pooled = np.zeros((len(rows[0]), len(rows[0])))
    for variant, row in zip(cells, rows, strict=True):
        spread = np.nan_to_num(row @ variant.covariance @ row.T)
        pooled += np.einsum("s,sij->ij", np.maximum(variant.n - 1, 0.0), spread)
    return least_squares(pooled) if len(pooled) > 1 else np.empty(0)


def _centre(
    means: Sequence[Moments], whole: Sequence[Moments], covariates: Sequence[Quantity]
) -> FloatArray:
    """The covariates of all users: one number for all variants, so the effect doesn't move."""
    n = np.array([float(m.n) for m in whole])
    values = np.array([[float(value_of(m, x)) for x in covariates] for m in means])
    return np.asarray(n @ values / n.sum() if covariates else np.empty(0))


@np.errstate(over="ignore", invalid="ignore")
def _with_uneven_effects(
    samples: Sequence[Sample], by: Sequence[WeightedEstimate], share: FloatArray, users: float
) -> list[Sample]:
    """Adds to each candidate what the strata's estimated shares add to its comparison's variance.

    Of the difference it is the spread of the effect over the strata, by the number of all users; of
    a relative difference r, that of the effect less r times the baseline.
    """
    baseline = by[0]
    below = baseline.linear - share @ baseline.linear
    found = [samples[0]]
    for sample, own in zip(samples[1:], by[1:], strict=True):
        effect = own.linear - baseline.linear
        alike = np.ptp(effect) <= own.rounding + baseline.rounding
        effect = np.where(alike, 0.0, effect - share @ effect)
        of_effect, of_both, of_baseline = (
            float(share @ product) / users for product in (effect**2, effect * below, below**2)
        )
        if not np.isfinite([of_effect, of_both, of_baseline]).all():
            of_effect, of_both, of_baseline = np.inf, 0.0, 0.0
        found.append(
            replace(
                sample,
                variance=sample.variance + of_effect * sample.n,
                mix_variance=np.array(of_baseline),
                mix_covariance=np.array(of_both),
            )
        )
    return found


def _removed(whole: Sequence[Moments], outcome: Quantity, samples: Sequence[Sample]) -> float:
    before = sum(float(sample_of(m, outcome).variance_of_mean) for m in whole)
    after = sum(float(s.variance_of_mean) for s in samples)
    return (before - after) / before if np.isfinite(before) and before > 0 else 0.0
