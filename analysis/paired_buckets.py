"""Request metrics: versions compared within the same bucket, so that common load cancels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.comparison import ratio_interval
from analysis.confidence import one_sided_multiplier, student_adjusted

FloatArray = NDArray[np.float64]

_TINY = 1e-300  # keeps a division finite where a metric has no data; its result is masked


@dataclass(frozen=True, slots=True)
class BucketCounts:
    """Requests of one variant: float64[metrics, buckets] each, on one common grid of buckets.

    total: requests that the metric looks at; bad: those of them that count as bad.
    """

    total: FloatArray
    bad: FloatArray

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
        p = (self.bad.sum(axis=-1) + 1) / (self.total.sum(axis=-1) + 2)
        return np.asarray((p * (1 - p))[..., None] / np.maximum(self.total, 1))


@dataclass(frozen=True, slots=True)
class Estimator:
    """An estimate with its standard error and effective number of buckets: float64[metrics]."""

    estimate: FloatArray
    standard_error: FloatArray
    buckets: FloatArray

    def half_width(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """How far a one-sided bound lies off the estimate, at every look at once.

        alpha: the level, float64[metrics] or one for all; n_opt: buckets at which it is tightest.
        """
        return np.asarray(bound_multiplier(self.buckets, alpha, n_opt) * self.standard_error)


def bound_multiplier(buckets: FloatArray, alpha: FloatArray | float, n_opt: float) -> FloatArray:
    """Standard errors between an estimate from so many buckets and its one-sided bound."""
    normal = one_sided_multiplier(buckets, alpha=alpha, n_opt=n_opt)
    return student_adjusted(normal, buckets - 1)


@dataclass(frozen=True, slots=True)
class PairedBuckets:
    """Both versions' mean shares over the buckets, with what their differences vary.

    All float64[metrics]. The spread over buckets holds bursts and shocks; sampling is the part
    that independent requests alone would give, and the least that is believed: a run of
    error-free buckets is not certainty.
    """

    baseline: FloatArray
    candidate: FloatArray
    var_baseline: FloatArray
    var_candidate: FloatArray
    covariance: FloatArray
    sampling_baseline: FloatArray
    sampling_candidate: FloatArray
    buckets: FloatArray

    def contrast(self, factor: FloatArray | float = 1.0) -> Estimator:
        """The candidate's share minus factor times the baseline's."""
        f = np.asarray(factor)
        spread = self.var_candidate - 2 * f * self.covariance + f**2 * self.var_baseline
        sampling = self.sampling_candidate + f**2 * self.sampling_baseline
        error = np.where(self.buckets > 0, np.sqrt(np.maximum(spread, sampling)), np.inf)
        return Estimator(self.candidate - f * self.baseline, error, self.buckets)

    def relative_bounds(
        self, *, lower_alpha: FloatArray, upper_alpha: float, n_opt: float
    ) -> tuple[FloatArray, FloatArray]:
        """Bounds of candidate / baseline - 1, by the same test as the bounds of the difference."""
        low_z = bound_multiplier(self.buckets, lower_alpha, n_opt)
        high_z = bound_multiplier(self.buckets, upper_alpha, n_opt)
        means = (self.candidate, self.baseline)
        zero = np.zeros_like(self.covariance)
        spread = ratio_interval(
            *means, self.var_candidate, self.covariance, self.var_baseline, low_z, high_z
        )
        sampling = ratio_interval(
            *means, self.sampling_candidate, zero, self.sampling_baseline, low_z, high_z
        )
        # The larger variance rules at each ratio, so the accepted set is the union.
        return np.minimum(spread[0], sampling[0]) - 1, np.maximum(spread[1], sampling[1]) - 1


def pair_buckets(baseline: BucketCounts, candidate: BucketCounts) -> PairedBuckets:
    """Pairs two versions bucket by bucket.

    A bucket weighs n_b n_c / (n_b + n_c), the information it has about a difference. So stages
    with another split are strata; pooled over a ramp, a drifting base rate would pass for an
    effect. Buckets in which one version had no request weigh nothing.
    """
    n_b, n_c = baseline.total, candidate.total
    weights = n_b * n_c / np.maximum(n_b + n_c, 1)
    weights /= np.maximum(weights.sum(axis=-1, keepdims=True), _TINY)
    mean_b, mean_c = (weights * baseline.share).sum(-1), (weights * candidate.share).sum(-1)
    off_b = weights * (baseline.share - mean_b[..., None])
    off_c = weights * (candidate.share - mean_c[..., None])
    seen = weights.sum(-1) > 0
    buckets = np.where(seen, 1 / np.maximum((weights**2).sum(-1), _TINY), 0.0)
    unbiased = buckets / np.maximum(buckets - 1, _TINY)
    return PairedBuckets(
        baseline=np.where(seen, mean_b, np.nan),
        candidate=np.where(seen, mean_c, np.nan),
        var_baseline=(off_b**2).sum(-1) * unbiased,
        var_candidate=(off_c**2).sum(-1) * unbiased,
        covariance=(off_b * off_c).sum(-1) * unbiased,
        sampling_baseline=(weights**2 * baseline.sampling_variance).sum(-1),
        sampling_candidate=(weights**2 * candidate.sampling_variance).sum(-1),
        buckets=buckets,
    )


def estimate_share(counts: BucketCounts) -> Estimator:
    """One version's share of bad requests over the buckets, weighted by requests."""
    weights = counts.total / np.maximum(counts.total.sum(axis=-1, keepdims=True), _TINY)
    mean = (weights * counts.share).sum(-1)
    seen = weights.sum(-1) > 0
    buckets = np.where(seen, 1 / np.maximum((weights**2).sum(-1), _TINY), 0.0)
    spread = (weights**2 * (counts.share - mean[..., None]) ** 2).sum(-1)
    spread *= buckets / np.maximum(buckets - 1, _TINY)
    sampling = (weights**2 * counts.sampling_variance).sum(-1)
    error = np.where(seen, np.sqrt(np.maximum(spread, sampling)), np.inf)
    return Estimator(np.where(seen, mean, np.nan), error, buckets)
