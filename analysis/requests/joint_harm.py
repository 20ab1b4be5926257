"""Several metrics as one stream: the harm of each in units of its margin, summed bucket by bucket.

Metrics share their requests, so evidence of each can't be multiplied, and a mean of e-values finds
nothing that the strongest doesn't find. The sum's variance is that of its buckets, so whatever the
metrics have in common is in it. A version's own states of minutes look like harm in all metrics at
once; the baseline, which is known better, shows them first, so the difference is taken to persist
for as long. Each metric weighs by its margin: what a person allows says how much of one harm counts
as much as another.
"""

from __future__ import annotations

import numpy as np

from analysis.arrays import FloatArray
from analysis.requests.bounds import Estimator, PodError, degrees_left
from analysis.requests.bucket_counts import BucketCounts, information
from analysis.requests.long_run_variance import (
    lagged_products,
    most_inflation,
    of_what_persists,
)
from analysis.requests.paired_buckets import PairedBuckets

_TINY = 1e-300


def joint_harm(
    baseline: BucketCounts,
    candidate: BucketCounts,
    margin: FloatArray,
    pairs: PairedBuckets,
    all_baseline: BucketCounts,
) -> Estimator:
    """The sum over metrics of (candidate - baseline) / margin: one row.

    baseline, candidate: [metrics, buckets]. margin: float64[metrics], above 0. pairs: of the same
    metrics, for their bursts and pods. all_baseline: the baseline's from the start, for how long
    its states last. A bucket weighs by the metrics' mean information; one that
    lacks a metric weighs nothing.
    """
    each = information(baseline, candidate)
    weight = np.where((each > 0).all(axis=0), each.mean(axis=0), 0.0)
    total = weight.sum()
    weight = weight / max(total, _TINY)
    scaled = margin[:, None]
    values = ((candidate.share - baseline.share) / scaled).sum(axis=0)
    mean = (weight * values).sum()
    off = (weight * (values - mean))[None]
    n = np.array([1 / max((weight**2).sum(), _TINY) if total > 0 else 0.0])
    plain = (off**2).sum(axis=1) * n / np.maximum(n - 1, _TINY)
    bursts = pairs.overdispersion_baseline
    variance = baseline.burst_variance(bursts) + candidate.burst_variance(bursts)
    least = np.array([(weight**2 * variance / scaled**2).sum()])
    inflation = np.maximum(
        lagged_products(np.zeros_like(off), off, n).inflation(), _lasting(all_baseline, margin)
    )
    inflation = np.minimum(of_what_persists(inflation, plain, least, n), most_inflation(n))
    spread = inflation * plain
    error = np.where(n > 0, np.sqrt(np.maximum(spread, least)), np.inf)
    return Estimator(
        estimate=np.array([mean if total > 0 else np.nan]),
        over_time=(error, error),
        buckets=n,
        degrees=degrees_left(n, inflation, spread, least),
        skew=np.zeros(1),
        between=_pods(pairs, margin),
    )


def _lasting(baseline: BucketCounts, margin: FloatArray) -> FloatArray:
    """By how much states inflate the variance of the baseline's own sum: float64[1]."""
    values = (baseline.share / margin[:, None]).sum(axis=0)
    seen = (baseline.total > 0).all(axis=0)
    n = np.array([float(max(seen.sum(), 1))])
    off = np.where(seen, values - values[seen].mean() if seen.any() else 0.0, 0.0)[None] / n
    found = lagged_products(np.zeros_like(off), off, n).inflation()
    return np.asarray(np.minimum(found, most_inflation(n)))


def _pods(pairs: PairedBuckets, margin: FloatArray) -> PodError | None:
    """What pods add to the sum, as if they were bad in all metrics at once."""
    if pairs.pods is None:
        return None
    each = pairs.pods.of_contrast(np.ones(len(margin)), np.nan_to_num(pairs.baseline))
    return PodError(
        error=np.array([(each.error / margin).sum()]),
        degrees=np.array([each.degrees.min()]),
        baseline=np.array([(each.baseline / margin).sum()]),
        relative_baseline=np.array([each.relative_baseline.max()]),
        relative_candidate=np.array([each.relative_candidate.max()]),
    )
