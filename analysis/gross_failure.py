"""Exact sequential test for gross failures: a total outage of a candidate within a minute.

The asymptotic sequences need about ten buckets before they may speak. This test counts requests,
so two buckets are enough. Counts are fooled by bursts near the margin; its null hypothesis lies
far beyond the margin, and no single bucket can decide alone.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, xlog1py, xlogy

from analysis.paired_buckets import BucketCounts

FloatArray = NDArray[np.float64]

_BISECTIONS = 50


def gross_failure_log_e(
    baseline: BucketCounts,
    candidate: BucketCounts,
    *,
    gap: FloatArray,
    alpha: FloatArray,
    planned_buckets: int,
) -> FloatArray:
    """Largest log e-value so far against "in no bucket is the candidate worse by more than gap".

    baseline, candidate: counts [metrics, buckets]. gap, alpha: float64[metrics].
    Returns float64[metrics]; the hypothesis is refuted at level alpha where it reaches
    log(1 / alpha), at whatever look.

    Per bucket, the e-value is the universal-inference ratio (Wasserman, Ramdas, Balakrishnan
    2020): a Beta(1/2, 1/2) mixture over each version's share, divided by the largest likelihood
    under the null hypothesis in that bucket. So base rates may change from bucket to bucket.
    A failure can begin at any time: the process averages over the bucket in which it starts
    (uniform over the planned buckets). A factor is capped so that at least two buckets are
    needed; capping keeps an e-value.
    """
    log_cap = (np.log(planned_buckets) - np.log(alpha))[:, None] / 2
    factors = np.minimum(_bucket_log_e(baseline, candidate, gap[:, None]), log_cap)
    totals = np.cumsum(factors, axis=-1)
    before = np.concatenate([np.zeros_like(totals[:, :1]), totals[:, :-1]], axis=-1)
    started = totals + np.logaddexp.accumulate(-before, axis=-1) - np.log(planned_buckets)
    # Starts that lie ahead count 1 each; past the plan's end no weight is left for them.
    ahead = np.maximum(planned_buckets - np.arange(1, totals.shape[-1] + 1), 0) / planned_buckets
    with np.errstate(divide="ignore"):
        process = np.logaddexp(started, np.log(ahead))
    within_plan = process[:, :planned_buckets] if planned_buckets else process
    return np.asarray(within_plan.max(axis=-1, initial=0.0))


def _bucket_log_e(baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray) -> FloatArray:
    """Log e-value of each bucket alone: float64[metrics, buckets]; 0 where a version is unseen."""
    mixture = _log_mixture(baseline) + _log_mixture(candidate)
    log_e = mixture - _largest_null_likelihood(baseline, candidate, gap)
    return np.where((baseline.total > 0) & (candidate.total > 0), log_e, 0.0)


def _log_mixture(counts: BucketCounts) -> FloatArray:
    good = counts.total - counts.bad
    return np.asarray(betaln(counts.bad + 0.5, good + 0.5) - betaln(0.5, 0.5))


def _largest_null_likelihood(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray
) -> FloatArray:
    """Log of the largest likelihood with candidate's share at most the baseline's plus gap."""
    share_b = baseline.bad / np.maximum(baseline.total, 1)
    share_c = candidate.bad / np.maximum(candidate.total, 1)
    on_edge = _constrained_baseline_share(baseline, candidate, gap)
    inside = share_c <= share_b + gap
    fitted_b = np.where(inside, share_b, on_edge)
    fitted_c = np.where(inside, share_c, on_edge + gap)
    return _log_likelihood(baseline, fitted_b) + _log_likelihood(candidate, fitted_c)


def _log_likelihood(counts: BucketCounts, share: FloatArray) -> FloatArray:
    good = counts.total - counts.bad
    return np.asarray(xlogy(counts.bad, share) + xlog1py(good, -share))


def _constrained_baseline_share(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray
) -> FloatArray:
    """The baseline's share p that makes (p, p + gap) likeliest; the log likelihood is concave."""
    low = np.zeros_like(baseline.total)
    high = np.broadcast_to(1 - gap, low.shape).copy()
    good_b, good_c = baseline.total - baseline.bad, candidate.total - candidate.bad
    for _ in range(_BISECTIONS):
        p = (low + high) / 2
        slope = (
            baseline.bad / p - good_b / (1 - p) + candidate.bad / (p + gap) - good_c / (1 - p - gap)
        )
        low, high = np.where(slope > 0, p, low), np.where(slope > 0, high, p)
    return np.asarray((low + high) / 2)
