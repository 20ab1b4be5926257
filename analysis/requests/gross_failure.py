"""Exact sequential test for gross failures: a total outage of a candidate within a minute.

The asymptotic sequences need about ten buckets before they may speak. This test counts requests,
so two buckets are enough. Counts are fooled by bursts near the margin; its null hypothesis lies
far beyond the margin, and no single bucket can decide alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, xlog1py, xlogy

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts

_MOST_STEPS, _NEAR = 60, 1e-14
# Beyond it an outage under heavy shocks would be found minutes late.
_LARGEST_BURST = 5.0
_SMALLEST_SHARE = 1e-16  # keeps a division finite at the edge of the interval


@dataclass(frozen=True, slots=True)
class GrossNull:
    """The hypothesis "in no bucket is the candidate grossly worse", of each metric, and its level.

    Grossly worse: its share is above factor times the baseline's, plus gap.
    gap, alpha: float64[metrics], as factor and overdispersion may be. overdispersion: at least 1,
        so many failures in a burst say as much as one, up to a limit.
    """

    gap: FloatArray
    alpha: FloatArray
    planned_buckets: int
    factor: FloatArray | float = 1.0
    overdispersion: FloatArray | float = 1.0

    def allowed(self, baseline: BucketCounts) -> FloatArray:
        """The largest share of the candidate in each bucket: float64[metrics, buckets]."""
        return np.asarray(self.factors[:, None] * baseline.share + self.gap[:, None])

    @property
    def factors(self) -> FloatArray:
        """factor as float64[metrics]."""
        return np.broadcast_to(self.factor, self.gap.shape)

    def only(self, rows: IntArray) -> GrossNull:
        """Of some metrics."""
        overdispersion = np.broadcast_to(self.overdispersion, self.gap.shape)
        return GrossNull(
            self.gap[rows],
            self.alpha[rows],
            self.planned_buckets,
            self.factors[rows],
            overdispersion[rows],
        )


def gross_failure_path(
    baseline: BucketCounts, candidate: BucketCounts, null: GrossNull
) -> FloatArray:
    """Log e-value after each bucket against the hypothesis.

    baseline, candidate: counts [metrics, buckets].
    Returns float64[metrics, buckets], at most the planned ones; the hypothesis is refuted at level
    alpha where it reaches log(1 / alpha), at whatever look.

    Per bucket, the e-value is the universal-inference ratio (Wasserman, Ramdas, Balakrishnan
    2020): a Beta(1/2, 1/2) mixture over each version's share, divided by the largest likelihood
    under the null hypothesis in that bucket. So base rates may change from bucket to bucket.
    A failure can begin in any bucket in which both versions are seen: the process averages over
    that bucket (uniform over the planned ones). One bucket's e-value is capped so that at least
    two are needed; capping keeps an e-value.
    """
    planned = null.planned_buckets
    baseline, candidate = (
        BucketCounts(c.total[:, :planned], c.bad[:, :planned]) for c in (baseline, candidate)
    )
    seen = (baseline.total > 0) & (candidate.total > 0)
    log_e = _bucket_log_e(baseline, candidate, null.gap[:, None], null.factors[:, None])
    burst = _burst(null.overdispersion, null.gap)
    return _from_any_bucket(log_e / burst, seen, null.alpha, planned)


def ever_gross(baseline: BucketCounts, candidate: BucketCounts, null: GrossNull) -> BoolArray:
    """Whether gross_failure_path ever reaches its level: bool[metrics].

    No likelihood is above the largest one, so a bucket in which the candidate isn't grossly worse
    has a log e-value of 0 at most: where no other bucket is, nothing need be worked out.
    """
    rows = np.flatnonzero((candidate.share > null.allowed(baseline)).any(axis=1))
    found = np.zeros(len(null.gap), dtype=np.bool_)
    if rows.size:
        path = gross_failure_path(
            BucketCounts(baseline.total[rows], baseline.bad[rows]),
            BucketCounts(candidate.total[rows], candidate.bad[rows]),
            null.only(rows),
        )
        found[rows] = path.max(axis=-1, initial=0.0) >= -np.log(null.alpha[rows])
    return found


def gross_share_log_e(
    candidate: BucketCounts,
    *,
    limit: FloatArray,
    alone: BoolArray,
    alpha: FloatArray,
    planned_buckets: int,
    overdispersion: FloatArray | float = 1.0,
) -> FloatArray:
    """Largest log e-value so far against "where it is alone, its share is at most the limit".

    The same test for a candidate with all the traffic, which nothing can be compared with.
    limit, alpha: float64[metrics]. alone: bool[buckets].
    """
    counts = BucketCounts(candidate.total[:, :planned_buckets], candidate.bad[:, :planned_buckets])
    seen = (counts.total > 0) & alone[:planned_buckets]
    fitted = np.minimum(counts.share, limit[:, None])
    log_e = _log_mixture(counts) - _log_likelihood(counts, fitted)
    path = _from_any_bucket(log_e / _burst(overdispersion, limit), seen, alpha, planned_buckets)
    return np.asarray(path.max(axis=-1, initial=0.0))


def _burst(overdispersion: FloatArray | float, like: FloatArray) -> FloatArray:
    """What log e-values are divided by: a power below 1 of an e-value is an e-value (Jensen)."""
    return np.asarray(
        np.minimum(np.broadcast_to(overdispersion, like.shape), _LARGEST_BURST)[:, None]
    )


def _from_any_bucket(
    log_e: FloatArray, seen: BoolArray, alpha: FloatArray, planned_buckets: int
) -> FloatArray:
    """The process that averages over the bucket in which a failure begins, each capped."""
    log_cap = (np.log(planned_buckets) - np.log(alpha))[:, None] / 2
    totals = np.cumsum(np.where(seen, np.minimum(log_e, log_cap), 0.0), axis=-1)
    before = np.concatenate([np.zeros_like(totals[:, :1]), totals[:, :-1]], axis=-1)
    starts = np.where(seen, -before, -np.inf)
    started = totals + np.logaddexp.accumulate(starts, axis=-1) - np.log(planned_buckets)
    # Starts that lie ahead, or that found no traffic, stay at 1 each.
    waiting = 1 - np.cumsum(seen, axis=-1) / planned_buckets
    with np.errstate(divide="ignore"):
        return np.asarray(np.logaddexp(started, np.log(np.maximum(waiting, 0.0))))


def worse_log_e(baseline: BucketCounts, candidate: BucketCounts, *, gap: float) -> FloatArray:
    """Log e-value against "the candidate's share is at most the baseline's plus gap".

    float64[metrics, buckets], of each bucket's counts alone; exact at every look while they grow.
    """
    edges = np.full((len(baseline.total), 1), gap)
    return _bucket_log_e(baseline, candidate, edges, np.ones_like(edges))


def likelihood_ratio(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray, factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How much likelier the counts are than under "candidate at most factor baseline + gap".

    All of one shape. First the log of the ratio of the largest likelihoods, then the same by the
    squared distance of root counts (Anscombe 1948), which is what bursts of random sizes allow.
    """
    fitted_b, fitted_c = _fit_null(baseline, candidate, gap, factor)
    free = _log_likelihood(baseline, baseline.share) + _log_likelihood(candidate, candidate.share)
    fitted = _log_likelihood(baseline, fitted_b) + _log_likelihood(candidate, fitted_c)
    roots = sum(
        (np.sqrt(counts.bad) - np.sqrt(counts.total * share)) ** 2
        for counts, share in ((baseline, fitted_b), (candidate, fitted_c))
    )
    return np.asarray(free - fitted), np.asarray(2 * roots)


def _bucket_log_e(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray, factor: FloatArray
) -> FloatArray:
    """Log e-value of each bucket alone: float64[metrics, buckets]."""
    mixture = _log_mixture(baseline) + _log_mixture(candidate)
    return mixture - _largest_null_likelihood(baseline, candidate, gap, factor)


def _log_mixture(counts: BucketCounts) -> FloatArray:
    good = counts.total - counts.bad
    return np.asarray(betaln(counts.bad + 0.5, good + 0.5) - betaln(0.5, 0.5))


def _largest_null_likelihood(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray, factor: FloatArray
) -> FloatArray:
    """Log of the largest likelihood with candidate's share at most factor baseline's + gap."""
    fitted_b, fitted_c = _fit_null(baseline, candidate, gap, factor)
    return _log_likelihood(baseline, fitted_b) + _log_likelihood(candidate, fitted_c)


def _fit_null(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray, factor: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Both shares at which the counts are likeliest under that hypothesis."""
    fitted_b, fitted_c = baseline.share, candidate.share
    beyond = fitted_c > factor * fitted_b + gap
    gap, factor = (np.broadcast_to(x, beyond.shape)[beyond] for x in (gap, factor))
    b, c = (BucketCounts(x.total[beyond], x.bad[beyond]) for x in (baseline, candidate))
    on_edge = _constrained_baseline_share(b, c, gap, factor)
    fitted_b[beyond], fitted_c[beyond] = on_edge, np.minimum(factor * on_edge + gap, 1.0)
    return fitted_b, fitted_c


def _log_likelihood(counts: BucketCounts, share: FloatArray) -> FloatArray:
    good = counts.total - counts.bad
    return np.asarray(xlogy(counts.bad, share) + xlog1py(good, -share))


def _constrained_baseline_share(
    baseline: BucketCounts, candidate: BucketCounts, gap: FloatArray, factor: FloatArray
) -> FloatArray:
    """The baseline's share p that makes (p, factor p + gap) likeliest; the likelihood is concave.

    All float64[cases], each with a candidate beyond the edge, so the likeliest p lies between the
    baseline's share and the one that has the candidate's on the edge. Newton's steps; where one
    leaves the bracket, half of it.
    """

    def slope(p: FloatArray) -> tuple[FloatArray, FloatArray]:
        of_b, falls_b = _score(baseline, p)
        of_c, falls_c = _score(candidate, factor * p + gap)
        return of_b + factor * of_c, falls_b + factor**2 * falls_c

    low = np.maximum(baseline.share, -gap / factor)
    high = np.maximum(np.minimum((candidate.share - gap) / factor, (1 - gap) / factor), low)
    # Without a failure of one version, or a success, the likeliest may be an end itself.
    at_low, at_high = slope(low)[0] <= 0, slope(high)[0] >= 0
    low, high = np.where(at_high & ~at_low, high, low), np.where(at_low, low, high)
    failures = baseline.bad + candidate.bad - gap * candidate.total
    p = np.clip(failures / (baseline.total + factor * candidate.total), low, high)
    for _ in range(_MOST_STEPS):
        value, falls = slope(p)
        low, high = np.where(value > 0, p, low), np.where(value > 0, high, p)
        after = p + value / falls
        after = np.where((after >= low) & (after <= high), after, (low + high) / 2)
        is_found = np.abs(after - p) <= _NEAR * (p + gap / factor)
        p = after
        if is_found.all():
            break
    return np.asarray(p)


def _score(counts: BucketCounts, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The slope of the log-likelihood at a share, and how fast it falls."""
    good, rest = counts.total - counts.bad, np.maximum(1 - share, _SMALLEST_SHARE)
    share = np.maximum(share, _SMALLEST_SHARE)
    failed, answered = counts.bad / share, good / rest
    return failed - answered, failed / share + answered / rest
