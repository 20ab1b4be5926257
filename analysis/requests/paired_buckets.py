"""Request metrics: versions compared within the same bucket, so that common load cancels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from analysis.arrays import FloatArray
from analysis.requests.bounds import (
    BetweenPods,
    Estimator,
    accepted_ratios,
    degrees_left,
)
from analysis.requests.bucket_counts import BucketCounts, pair_weights
from analysis.requests.long_run_variance import (
    LaggedProducts,
    lagged_products,
    most_inflation,
    of_what_persists,
)
from analysis.requests.started_windows import merged, merged_terms, summed

_TINY = 1e-300  # keeps a division finite where a metric has no data; its result is masked
# More buckets than these are merged, so that a look's cost doesn't grow with the plan: the variance
# is then that of batch means (Conway 1963); but never to fewer effective ones than Student's tail
# forgives, as where a last stage with much traffic weighs more than all hours before it.
_MOST_BUCKETS, _LEAST_LEFT = 512, 128
# So many failures of a version say as much of its bursts as the other version's do.
_FAILURES_TO_KNOW_BURSTS = 40.0


@dataclass(frozen=True, slots=True)
class PairedBuckets:
    """Both versions' mean shares over the buckets, with what their differences vary.

    All float64[metrics]. The spread over buckets holds bursts and shocks; what persists from bucket
    to bucket inflates it (products). It misleads where few bursts were seen: their number and
    their spread are low together. So a bound believes no less than sampling gives, and on the side
    where a version's bursts may still be to come (harm's upper bound: the candidate's; its lower
    bound: the baseline's) no less than bursts give.
    cumulants_*: second and third that bursts give each mean.
    overdispersion_*: variance of failures over the binomial one, shared shocks taken off: the
    baseline's by itself alone, the candidate's by both versions.
    buckets: their effective number, each of which is so many (width) of the plan's.
    pods: what pods add, where they are known.
    """

    baseline: FloatArray
    candidate: FloatArray
    var_baseline: FloatArray
    var_candidate: FloatArray
    covariance: FloatArray
    sampling_baseline: FloatArray
    sampling_candidate: FloatArray
    burst_baseline: FloatArray
    burst_candidate: FloatArray
    cumulants_baseline: tuple[FloatArray, FloatArray]
    cumulants_candidate: tuple[FloatArray, FloatArray]
    overdispersion_baseline: FloatArray
    overdispersion_candidate: FloatArray
    buckets: FloatArray
    width: int
    products: LaggedProducts
    pods: BetweenPods | None = None

    def with_pods(self, pods: BetweenPods) -> PairedBuckets:
        """The same, but a version's share may also depend on the pods that it happens to have."""
        return replace(self, pods=pods)

    def mirrored(self) -> PairedBuckets:
        """The same with the candidate as the baseline, for its contrasts; without pods."""
        return replace(
            self,
            baseline=self.candidate,
            candidate=self.baseline,
            var_baseline=self.var_candidate,
            var_candidate=self.var_baseline,
            sampling_baseline=self.sampling_candidate,
            sampling_candidate=self.sampling_baseline,
            burst_baseline=self.burst_candidate,
            burst_candidate=self.burst_baseline,
            cumulants_baseline=self.cumulants_candidate,
            cumulants_candidate=self.cumulants_baseline,
            products=replace(
                self.products, baseline=self.products.candidate, candidate=self.products.baseline
            ),
            pods=None,
        )

    def contrast(self, factor: FloatArray | float = 1.0) -> Estimator:
        """The candidate's share minus factor times the baseline's.

        factor: float64[..., metrics]; the answer has its shape.
        """
        f = np.asarray(factor)
        plain = self.var_candidate - 2 * f * self.covariance + f**2 * self.var_baseline
        sampling = self.sampling_candidate + f**2 * self.sampling_baseline
        inflation = of_what_persists(self.products.inflation(f), plain, sampling, self.buckets)
        inflation = np.minimum(inflation, most_inflation(self.buckets))
        spread = inflation * plain
        down = self.sampling_candidate + f**2 * self.burst_baseline
        up = self.burst_candidate + f**2 * self.sampling_baseline
        degrees = degrees_left(self.buckets, inflation, spread, np.minimum(down, up))
        lower, upper = (
            np.where(self.buckets > 0, np.maximum(spread, least), np.inf) for least in (down, up)
        )
        between = None if self.pods is None else self.pods.of_contrast(f, self.baseline)
        estimate = self.candidate - f * self.baseline
        errors = np.sqrt(lower), np.sqrt(upper)
        skew = _skew(self.cumulants_candidate, self.cumulants_baseline, f)
        return Estimator(estimate, errors, self.buckets * self.width, degrees, skew, between)

    def relative_bounds(
        self,
        *,
        lower_alpha: FloatArray,
        upper_alpha: float,
        lower_n_opt: float,
        upper_n_opt: float,
        factor: FloatArray | float = 1.0,
    ) -> tuple[FloatArray, FloatArray]:
        """Bounds of candidate / baseline - 1: the ratios that the test by contrast() accepts.

        They agree with it exactly at ratio 1 and at factor. -inf and inf where nothing is known.
        """
        point = self.candidate / np.where(self.baseline > 0, self.baseline, np.nan)
        anchors = np.stack([np.ones_like(point), np.broadcast_to(factor, point.shape)])

        def beyond(ratios: FloatArray) -> FloatArray:
            excess = self.contrast(ratios)
            # Student's quantiles cost the most: each bound only where it is asked for.
            lower = excess.of_test(0).lower(alpha=lower_alpha, n_opt=lower_n_opt)
            upper = excess.of_test(1).upper(alpha=upper_alpha, n_opt=upper_n_opt)
            return np.stack([lower, -upper], axis=-2)

        low, high = accepted_ratios(beyond, point, anchors)
        known = np.isfinite(self.contrast().lower(alpha=lower_alpha, n_opt=lower_n_opt))
        nothing = ~known | ((low == 0) & ~np.isfinite(point))
        return np.where(nothing, -np.inf, low - 1), np.where(known, high - 1, np.inf)


def pair_buckets(baseline: BucketCounts, candidate: BucketCounts) -> PairedBuckets:
    """Pairs two versions bucket by bucket.

    A bucket weighs n_b n_c / (n_b + n_c), the information it has about a difference. So stages
    with another split are strata; pooled over a ramp, a drifting base rate would pass for an
    effect. Buckets in which one version had no request weigh nothing. Of many buckets neighbours
    are merged (_width), with the same means; the time that a sequence has run for stays that of the
    plan's buckets.
    """
    width = 1
    if baseline.total.shape[1] > _MOST_BUCKETS:
        terms = summed(baseline, candidate)
        width = _width(terms[0])
        baseline, candidate = merged_terms(terms, width) if width > 1 else (baseline, candidate)
    weights = pair_weights(baseline.total, candidate.total)
    mean_b, mean_c = (weights * baseline.share).sum(-1), (weights * candidate.share).sum(-1)
    off_b = weights * (baseline.share - mean_b[..., None])
    off_c = weights * (candidate.share - mean_c[..., None])
    seen = weights.sum(-1) > 0
    buckets = np.where(seen, 1 / np.maximum((weights**2).sum(-1), _TINY), 0.0)
    unbiased = buckets / np.maximum(buckets - 1, _TINY)
    var_b, var_c = (off_b**2).sum(-1) * unbiased, (off_c**2).sum(-1) * unbiased
    covariance = (off_b * off_c).sum(-1) * unbiased
    sampling_b = (weights**2 * baseline.sampling_variance).sum(-1)
    sampling_c = (weights**2 * candidate.sampling_variance).sum(-1)
    # Shocks that both versions share are no bursts; only what surely is shared is taken off.
    doubt = np.sqrt(var_b * var_c / np.maximum(buckets, 1))
    shared = np.maximum(covariance - doubt, 0.0)
    both = (var_b + var_c - 2 * covariance) / np.maximum(sampling_b + sampling_c, _TINY)
    alone_b = np.maximum((var_b - shared) / np.maximum(sampling_b, _TINY), 1.0)
    alone_c = np.maximum((var_c - shared) / np.maximum(sampling_c, _TINY), 1.0)
    phi_b = _overdispersion(both, baseline, alone_c)
    phi_c = _overdispersion(both, candidate, alone_b)
    return PairedBuckets(
        baseline=np.where(seen, mean_b, np.nan),
        candidate=np.where(seen, mean_c, np.nan),
        var_baseline=var_b,
        var_candidate=var_c,
        covariance=covariance,
        sampling_baseline=sampling_b,
        sampling_candidate=sampling_c,
        burst_baseline=(weights**2 * baseline.burst_variance(phi_b)).sum(-1),
        burst_candidate=(weights**2 * candidate.burst_variance(phi_c)).sum(-1),
        cumulants_baseline=baseline.burst_cumulants(weights, phi_b),
        cumulants_candidate=candidate.burst_cumulants(weights, phi_c),
        overdispersion_baseline=alone_b,
        overdispersion_candidate=phi_c,
        buckets=buckets,
        width=width,
        products=lagged_products(off_b, off_c, buckets),
    )


def _skew(
    candidate: tuple[FloatArray, FloatArray],
    baseline: tuple[FloatArray, FloatArray],
    factor: FloatArray | float,
) -> FloatArray:
    """A sixth of the third cumulant of candidate - factor * baseline over its variance, or 0.

    Bursts of both versions alike cancel where they have the same traffic.
    """
    f = np.asarray(factor)
    variance = candidate[0] + f**2 * baseline[0]
    third = candidate[1] - f**3 * baseline[1]
    return np.asarray(np.maximum(third, 0.0) / (6 * np.maximum(variance, _TINY)))


def _overdispersion(both: FloatArray, counts: BucketCounts, other: FloatArray) -> FloatArray:
    """A version's overdispersion: by the other version while it has few failures itself.

    both: of the differences, in which a version with little traffic has most of the variance.
    """
    known = counts.bad.sum(axis=-1) / _FAILURES_TO_KNOW_BURSTS
    return np.asarray(np.maximum((known * both + other) / (known + 1), 1.0))


def estimate_share(counts: BucketCounts, overdispersion: FloatArray) -> Estimator:
    """One version's share of bad requests over the buckets, weighted by requests.

    overdispersion: float64[metrics], of the version's own failures, as PairedBuckets has it.
    """
    width = _width(weights := _by_requests(counts))
    if width > 1:
        # Beside itself a version's buckets weigh as its requests.
        counts, _ = merged(counts, counts, width)
        weights = _by_requests(counts)
    mean = (weights * counts.share).sum(-1)
    seen = weights.sum(-1) > 0
    buckets = np.where(seen, 1 / np.maximum((weights**2).sum(-1), _TINY), 0.0)
    off = weights * (counts.share - mean[..., None])
    plain = (off**2).sum(-1) * buckets / np.maximum(buckets - 1, _TINY)
    least, most = (
        (weights**2 * variance).sum(-1)
        for variance in (counts.sampling_variance, counts.burst_variance(overdispersion))
    )
    inflation = lagged_products(np.zeros_like(off), off, buckets).inflation()
    inflation = of_what_persists(inflation, plain, least, buckets)
    inflation = np.minimum(inflation, most_inflation(buckets))
    spread = inflation * plain
    lower, upper = (np.where(seen, np.sqrt(np.maximum(spread, x)), np.inf) for x in (least, most))
    degrees = degrees_left(buckets, inflation, spread, np.minimum(least, most))
    nobody = (np.zeros_like(mean), np.zeros_like(mean))
    skew = _skew(counts.burst_cumulants(weights, overdispersion), nobody, 1.0)
    return Estimator(np.where(seen, mean, np.nan), (lower, upper), buckets * width, degrees, skew)


def _by_requests(counts: BucketCounts) -> FloatArray:
    return np.asarray(counts.total / np.maximum(counts.total.sum(axis=-1, keepdims=True), _TINY))


def _width(weights: FloatArray) -> int:
    """How many buckets are taken as one, of those that weigh so much: a power of 2."""
    buckets = weights.shape[1]
    if buckets <= _MOST_BUCKETS:
        return 1
    squares = np.einsum("ij,ij->i", weights, weights) / np.maximum(weights.sum(axis=-1) ** 2, _TINY)
    effective = 1 / np.max(squares, initial=_TINY)
    wanted = int(np.ceil(np.log2(buckets / _MOST_BUCKETS)))
    return 1 << max(0, min(wanted, int(np.floor(np.log2(effective / _LEAST_LEFT)))))
