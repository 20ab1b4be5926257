"""Several strata as one pair of versions: within a bucket, each stratum compared by itself.

In stratum k of a bucket the versions have n_bk and n_ck requests. Its difference has the
information w_k = n_bk n_ck / (n_bk + n_ck), and the strata together sum(w_k): each version's share
is the mean of its shares in the strata, weighted by w_k, for both versions alike (Mantel, Haenszel
1959). So a version that has more of the requests of one stratum is no better or worse for it.

A version's mean has the sampling variance p (1 - p) sum(w_k^2 / n_vk) / sum(w_k)^2: it is worth
sum(w_k)^2 / sum(w_k^2 / n_vk) requests, its effective sample size. Two versions with so many
requests have the information sum(w_k) again, so that they can be judged as any two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts, information

_TINY = 1e-300


def stratified_counts(
    strata: Sequence[tuple[BucketCounts, BucketCounts]],
) -> tuple[BucketCounts, BucketCounts]:
    """The baseline and the candidate over all strata, as effective counts.

    strata: both versions' counts in each, [metrics, buckets].
    """
    weights = np.stack([information(*pair) for pair in strata])
    baseline, candidate = (_effective([pair[side] for pair in strata], weights) for side in (0, 1))
    return baseline, candidate


def _effective(counts: Sequence[BucketCounts], weights: FloatArray) -> BucketCounts:
    """One version's. weights: float64[strata, metrics, buckets]."""
    whole = weights.sum(axis=0)
    total, share = np.stack([c.total for c in counts]), np.stack([c.share for c in counts])
    spread = (weights**2 / np.maximum(total, _TINY)).sum(axis=0)
    worth = np.divide(whole**2, spread, out=np.zeros_like(whole), where=whole > 0)
    mean = np.divide(
        (weights * share).sum(axis=0), whole, out=np.zeros_like(whole), where=whole > 0
    )
    return BucketCounts(worth, worth * mean)
