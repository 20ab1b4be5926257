"""Values of two versions (rates, what a query says), compared within the same bucket.

Like counts of requests (paired_buckets.py), but a value may be of any size and sign, and has its
noise from its own spread. Counted events have at least that of independent events, so that a
counter which stood still is not taken for certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.requests.bucket_counts import merged, pair_weights
from analysis.requests.long_run_variance import lagged_products
from analysis.requests.paired_buckets import PairedBuckets

# A query that never changes is known to so much of its size, not for certain.
_ROUNDING = 1e-6
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class BucketValues:
    """One version's values: float64[buckets] each.

    weight: what a value is of (seconds, requests; 1 of a query's); 0 where it is not known.
    amount: events over that; of a query the value itself.
    is_counted: whether amounts are counted events, which vary at least as independent ones.
    of_plan: how many of the plan's buckets are known, where these are several as one.
    """

    weight: FloatArray
    amount: FloatArray
    is_counted: bool
    of_plan: int | None = None

    @property
    def known(self) -> int:
        """How many of the plan's buckets have a value."""
        return int((self.weight > 0).sum()) if self.of_plan is None else self.of_plan

    def between(self, begin: int, end: int) -> BucketValues:
        """The buckets from one on, up to another."""
        return BucketValues(self.weight[begin:end], self.amount[begin:end], self.is_counted)

    def merged(self, width: int) -> BucketValues:
        """So many buckets as one, whose value is their mean by weight."""
        weight, amount = merged(self.weight, width), merged(self.amount, width)
        return BucketValues(weight, amount, self.is_counted, of_plan=self.known)

    def only(self, known: BoolArray) -> BucketValues:
        """The same where only some buckets are known."""
        return BucketValues(
            np.where(known, self.weight, 0.0), np.where(known, self.amount, 0.0), self.is_counted
        )

    @property
    def value(self) -> FloatArray:
        """The value of each bucket; 0 where it is not known."""
        known = self.weight > 0
        return np.divide(self.amount, self.weight, out=np.zeros_like(self.amount), where=known)

    def least_variance(self, weights: FloatArray) -> float:
        """What the weighted mean of the values varies by at least.

        One event more than were seen is added, as Laplace's rule of succession does.
        """
        if not self.is_counted:
            return float((_ROUNDING * (weights * self.value).sum()) ** 2 + _TINY)
        rate = (self.amount.sum() + 1) / max(float(self.weight.sum()), _TINY)
        known = self.weight > 0
        per_bucket = np.divide(rate, self.weight, out=np.zeros_like(self.weight), where=known)
        return float((weights**2 * per_bucket).sum())


def pair_values(baseline: BucketValues, candidate: BucketValues) -> PairedBuckets:
    """Pairs two versions of one metric, as float64[1]; a bucket that one lacks weighs nothing."""
    weights = pair_weights(baseline.weight, candidate.weight)
    seen = bool(weights.any())
    both = (baseline, candidate)
    means = [float((weights * one.value).sum()) for one in both]
    off = [(weights * (one.value - mean))[None, :] for one, mean in zip(both, means, strict=True)]
    buckets = np.array([1 / (weights**2).sum() if seen else 0.0])
    unbiased = buckets / np.maximum(buckets - 1, _TINY)
    least = [np.array([one.least_variance(weights)]) for one in both]
    nothing = (np.zeros(1), np.zeros(1))
    return PairedBuckets(
        baseline=np.array([means[0] if seen else np.nan]),
        candidate=np.array([means[1] if seen else np.nan]),
        var_baseline=(off[0] ** 2).sum(-1) * unbiased,
        var_candidate=(off[1] ** 2).sum(-1) * unbiased,
        covariance=(off[0] * off[1]).sum(-1) * unbiased,
        sampling_baseline=least[0],
        sampling_candidate=least[1],
        burst_baseline=least[0],
        burst_candidate=least[1],
        cumulants_baseline=nothing,
        cumulants_candidate=nothing,
        overdispersion_baseline=np.ones(1),
        overdispersion_candidate=np.ones(1),
        buckets=buckets,
        width=1,
        products=lagged_products(off[0], off[1], buckets),
    )
