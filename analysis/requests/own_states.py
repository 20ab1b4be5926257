"""How far a version's own states may slow or fail its requests, as the baseline's are seen to.

In standard deviations of a normal quantile of the share of bad requests: if all requests take so
many times as long, the quantiles of shares at any edge shift alike, and in a bell-shaped logarithm
of latency by the same, whether half of the requests are slow or one in a hundred.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from analysis.arrays import BoolArray, FloatArray
from analysis.requests.bucket_counts import BucketCounts

# So many standard deviations of two versions' states apart.
_DEVIATIONS = 4.0
# And no further: a total failure, which takes all requests five times as long or more (2.0 by a
# log-sd of 0.8), stays beyond. Of errors: where 1 % fail it is 10 points, which is gross anyway.
FURTHEST_SLOW, FURTHEST_FAILED = 1.4, 1.1
# Few states were seen at first: so many buckets add as much to the variance as was seen in them.
_BUCKETS_TO_KNOW = 40.0
# The last two minutes of the difference may be the failure that is looked for.
_LATEST = 8


def reach_of_states(
    baseline: BucketCounts, candidate: BucketCounts, *, furthest: FloatArray | float
) -> FloatArray:
    """By how much two healthy versions may differ at a time: float64[rows].

    baseline, candidate: [rows, buckets]; furthest: of each row, or of all. What persists from
    bucket to bucket is a state: neither sampling nor bursts, which are independent, enter the
    covariance of neighbours. Of the baseline's it is what is in the difference of both too, which
    shocks of both are not.
    """
    seen = (baseline.total > 0) & (candidate.total > 0)
    own, other = (ndtri((one.bad + 0.5) / (one.total + 1)) for one in (baseline, candidate))
    variance = 2 * _of_neighbours(own, seen)
    if seen.shape[1] > 2 * _LATEST:
        apart = _of_neighbours((other - own)[:, :-_LATEST], seen[:, :-_LATEST])
        variance = np.minimum(variance, apart)
    raised = variance * (1 + _BUCKETS_TO_KNOW / np.maximum(seen.sum(-1), 1))
    return np.asarray(np.minimum(_DEVIATIONS * np.sqrt(np.maximum(raised, 0.0)), furthest))


def _of_neighbours(values: FloatArray, seen: BoolArray) -> FloatArray:
    """Covariance of neighbouring buckets: float64[rows]."""
    n = np.maximum(seen.sum(-1), 1)
    off = np.where(seen, values - (np.where(seen, values, 0).sum(-1) / n)[:, None], 0.0)
    return np.asarray((off[:, 1:] * off[:, :-1]).sum(-1) / np.maximum(n - 1, 1))
