"""Users compared under the same split: a ramp's stages are strata.

Where the split changes and the outcome drifts, variants pooled over the whole plan have users of
different times: with rates that fall, an identical candidate that got its users late looks worse.
So users are compared among those first exposed under the same split, and the differences are
combined with the information that each has, n_b n_c / (n_b + n_c), as requests are. That is of one
candidate: another that had few users under a split takes nothing away. So the baseline's estimate
is another for each candidate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.arrays import FloatArray
from analysis.fixed.comparison import Pair, Sample
from analysis.users.estimates import Quantity
from analysis.users.post_stratification import sum_of, weighted_estimates
from analysis.users.sums import Sums

# With fewer users of a variant a stratum's variance is a guess; it would weigh next to nothing.
_LEAST_USERS = 10
_TINY = 1e-300


def compare_within_splits(
    baseline: Sequence[Sums],
    candidate: Sequence[Sums],
    outcome: Quantity,
    covariates: Sequence[Quantity] = (),
) -> Pair:
    """Both variants' estimates of one metric.

    baseline, candidate: the sums of the users under each split (and of each stratum there), in the
    same order. A sample's n is the number of users that its weights are worth, so that its
    variance is that of one user; strata in which a variant has few users weigh nothing. nan where
    none is left.
    """
    variants = baseline, candidate
    n = np.array([[float(part.n) for part in variant] for variant in variants])
    weights = information_weights(n)
    kept = np.flatnonzero(weights)
    if not kept.size:
        nan = np.array(np.nan)
        return Sample(np.array(n[0].sum()), nan, nan), Sample(np.array(n[1].sum()), nan, nan)
    groups = [[variant[i] for i in kept.tolist()] for variant in variants]
    whole = [sum_of(variant).moments for variant in groups]
    found = weighted_estimates(groups, weights[kept], whole, outcome, covariates)
    worth = effective_sample_size(n[:, kept], weights[kept])
    left, right = (
        Sample(np.array(users), np.array(each.value), np.array(each.variance * users))
        for users, each in zip(worth, found, strict=True)
    )
    return left, right


def combine_within_splits(baseline: Sample, candidate: Sample) -> Pair:
    """The same of estimates that were made split by split, each variant's: float64[..., splits].

    A split weighs nothing where a variance isn't known.
    """
    variants = baseline, candidate
    known = np.all(
        [np.isfinite(variant.variance) & np.isfinite(variant.mean) for variant in variants], axis=0
    )
    n = np.stack([np.where(known, variant.n, 0.0) for variant in variants])
    weights = information_weights(n)
    worth = effective_sample_size(n, weights)
    nothing = ~(weights > 0).any(axis=-1)
    samples = []
    for variant, users in zip(variants, worth, strict=True):
        mean = (weights * np.where(known, variant.mean, 0.0)).sum(axis=-1)
        of_mean = weights**2 * np.where(known, variant.variance, 0.0) / np.maximum(variant.n, 1.0)
        variance = of_mean.sum(axis=-1) * users
        samples.append(
            Sample(
                np.where(nothing, variant.n.sum(axis=-1), users),
                np.where(nothing, np.nan, mean),
                np.where(nothing, np.nan, variance),
            )
        )
    return samples[0], samples[1]


def information_weights(n: FloatArray) -> FloatArray:
    """What each stratum's difference is worth, summing to 1: float64[..., strata].

    n: float64[2, ..., strata], users of the baseline and of one candidate. Inverse to the variance
    of a difference where users vary alike; 0 where a variant has few.
    """
    usable = (n >= _LEAST_USERS).all(axis=0)
    weights = np.where(usable, 1 / (1 / np.maximum(n, 1.0)).sum(axis=0), 0.0)
    return np.asarray(weights / np.maximum(weights.sum(axis=-1, keepdims=True), _TINY))


def effective_sample_size(n: FloatArray, weights: FloatArray) -> FloatArray:
    """How many users each variant's weighted mean is as sure as: float64[variants, ...]."""
    return np.asarray(1 / np.maximum((weights**2 / np.maximum(n, 1.0)).sum(axis=-1), _TINY))
