"""Requests of a variant by bucket, and what a bucket of two variants can tell of a difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray

# Bursts that are taken to have been missed; chosen by benchmarks/decision_quality.py.
_BURSTS_MISSED = 2.0
_TINY = 1e-300  # keeps a division finite where a metric has no data; its result is masked


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """Requests of one variant: float64[metrics, buckets] each, on one common grid of buckets.

    total: requests that the metric looks at; bad: those of them that count as bad.
    """

    total: FloatArray
    bad: FloatArray

    def merged(self, width: int) -> BucketCounts:
        """So many buckets as one: [metrics, buckets / width, rounded up]."""
        return BucketCounts(merged(self.total, width), merged(self.bad, width))

    @property
    def share(self) -> FloatArray:
        """Share of bad requests in each bucket; 0 where there is no request."""
        return np.divide(self.bad, self.total, out=np.zeros_like(self.bad), where=self.total > 0)

    @property
    def sampling_variance(self) -> FloatArray:
        """Variance that sampling alone gives each bucket's share, by the share over all buckets.

        One bad and one good request are added (Laplace's rule of succession), so that a variant
        without an error so far is not taken to be free of errors for sure.
        """
        return self._variance(1.0, 1.0)

    def burst_variance(self, overdispersion: FloatArray) -> FloatArray:
        """As sampling_variance, but for failures that come in bursts, and from few bursts.

        overdispersion: float64[metrics], variance of failures over the binomial one, at least 1:
        about the size of a burst. Two bursts are added (as Agresti, Coull 1998 add two successes):
        that few were seen doesn't mean that few are to come. Sizes vary, so a sum of bursts is up
        to twice as skewed as one of equal parts (negative binomial: by 2 - 1 / overdispersion),
        and that much more is added.
        """
        return self._variance(_BURSTS_MISSED * (2 * overdispersion - 1), overdispersion)

    def burst_cumulants(
        self, weights: FloatArray, overdispersion: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Variance and third cumulant that bursts give a weighted mean of the shares.

        Of a negative binomial count the third is 2 overdispersion - 1 times the variance; that of
        single failures, whose skewness the sequences bear, is left out.
        """
        variance = self._variance(1.0, overdispersion)
        third = variance * 2 * (overdispersion - 1)[..., None] / np.maximum(self.total, 1)
        squared = weights * weights  # numpy takes a cube by logarithms
        return (squared * variance).sum(-1), (squared * weights * third).sum(-1)

    def _variance(
        self, added: FloatArray | float, overdispersion: FloatArray | float
    ) -> FloatArray:
        p = (self.bad.sum(axis=-1) + added) / (self.total.sum(axis=-1) + 2 * np.asarray(added))
        return np.asarray((overdispersion * p * (1 - p))[..., None] / np.maximum(self.total, 1))


def stacked(parts: Sequence[BucketCounts]) -> BucketCounts:
    """Metrics of several on the same buckets, one below the other."""
    return BucketCounts(
        np.concatenate([part.total for part in parts]), np.concatenate([part.bad for part in parts])
    )


def merged(values: FloatArray, width: int) -> FloatArray:
    """Sums of so many neighbouring buckets, the last one of those that there are: [..., blocks]."""
    starts = np.arange(0, values.shape[-1], width)
    return np.asarray(np.add.reduceat(values, starts, axis=-1)) if starts.size else values


def pair_weights(n_b: FloatArray, n_c: FloatArray) -> FloatArray:
    """What each bucket weighs, summing to 1; all 0 where no bucket has requests of both."""
    weights = _information(n_b, n_c)
    return np.asarray(weights / np.maximum(weights.sum(axis=-1, keepdims=True), _TINY))


def information(baseline: BucketCounts, candidate: BucketCounts) -> FloatArray:
    """What each bucket can tell of a difference: float64[metrics, buckets], n_b n_c / (n_b + n_c).

    0 where a version has no request.
    """
    return _information(baseline.total, candidate.total)


def _information(n_b: FloatArray, n_c: FloatArray) -> FloatArray:
    return np.asarray(n_b * n_c / np.maximum(n_b + n_c, 1))
