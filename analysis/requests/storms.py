"""Stretches in which the baseline fails far more than usual, as when a database is down."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.requests.bucket_counts import BucketCounts

# A storm: so many times the usual failures, and more than chance by so many standard errors.
_TIMES, _ERRORS = 4.0, 6.0
# Buckets on either side that are looked at together.
_BESIDE = 2
# Of the buckets; what is there for longer is no storm.
_LARGEST_PART = 0.25


def stormy_buckets(baseline: BucketCounts) -> NDArray[np.bool_]:
    """Where the baseline is in a storm: bool[rows, buckets]; none where it is for long.

    By the baseline alone, so that a candidate's own failures are never taken for one. Buckets are
    taken with their neighbours, so the ends of a storm belong to it.
    """
    if not baseline.total.shape[1]:
        return np.zeros(baseline.total.shape, dtype=np.bool_)
    seen = np.where(baseline.total > 0, baseline.share, np.nan)
    known = np.isfinite(seen).any(axis=1)
    usual = np.zeros(len(seen))
    # Bursts have a median far below their mean.
    usual[known] = np.maximum(
        np.nanmedian(seen[known], axis=1), np.nanmean(seen[known], axis=1) / 2
    )
    total, bad = (_together(x) for x in (baseline.total, baseline.bad))
    expected = total * usual[:, None]
    storm = bad > _TIMES * expected + _ERRORS * np.sqrt(expected + 1)
    return np.asarray(storm & (storm.mean(axis=1, keepdims=True) <= _LARGEST_PART))


def without_buckets(counts: BucketCounts, left_out: NDArray[np.bool_]) -> BucketCounts:
    """The same without the requests of some buckets: bool[rows, buckets]."""
    return BucketCounts(np.where(left_out, 0.0, counts.total), np.where(left_out, 0.0, counts.bad))


def _together(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over each bucket and its neighbours."""
    buckets = values.shape[1]
    sums = np.concatenate([np.zeros_like(values[:, :1]), values.cumsum(axis=1)], axis=1)
    at = np.arange(buckets)
    first, last = np.maximum(at - _BESIDE, 0), np.minimum(at + _BESIDE + 1, buckets)
    return np.asarray(sums[:, last] - sums[:, first])
