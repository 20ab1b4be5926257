"""Quantiles at every look, from raw values or from counts in buckets.

How many of n values lie below the true p-quantile is binomial(n, p), whatever the distribution; a
mixture test of that count bounds the empirical distribution function at the quantile. Howard,
Ramdas 2022 (Bernoulli), theorem 4, with the two-sided beta-binomial mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma

from analysis.sequential.dirichlet import mixture_log_e, planned_concentration
from analysis.sequential.e_values import always_valid_p, check_level
from analysis.sequential.roots import bracket_root

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class QuantileBounds:
    """Where the quantile lies: float64[...] each.

    lower, upper: of the quantile; from buckets it is above the edge lower and at most upper.
    f_lower, f_upper: the shares between which the empirical distribution function is there.
    concentration: the tuning.
    """

    lower: FloatArray
    upper: FloatArray
    f_lower: FloatArray
    f_upper: FloatArray
    concentration: FloatArray


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """Candidate's quantile minus baseline's, with each version's bounds: float64[...] each.

    log_e: against "the quantiles are equal".
    """

    baseline: QuantileBounds
    candidate: QuantileBounds
    lower: FloatArray
    upper: FloatArray
    log_e: FloatArray

    @property
    def p_value(self) -> FloatArray:
        """Always-valid p-value of equal quantiles."""
        return always_valid_p(self.log_e)


def share_bounds(
    n: ArrayLike, quantile: ArrayLike, *, alpha: float, n_opt: float
) -> tuple[FloatArray, FloatArray]:
    """Shares f_lower and f_upper that hold the empirical distribution at the quantile, at any look.

    n: float64[...], values so far. quantile: float64[...], in (0, 1). 0 or 1 where n is too small
    to say anything on that side.
    """
    check_level(alpha)
    size, p = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (n, quantile)))
    if not np.all((p > 0) & (p < 1)):
        raise ValueError(f"quantile is {quantile!r}, must lie between 0 and 1")
    k = np.broadcast_to(planned_concentration(alpha, n_opt), size.shape)

    def excess(below: FloatArray) -> FloatArray:
        return np.asarray(_log_e(below, size, p, k) + np.log(alpha))

    least = _least_evidence(size, p, k)
    _, low = bracket_root(lambda x: -excess(x), 0.0, least)
    high, _ = bracket_root(excess, least, size)
    some = np.maximum(size, 1.0)
    zero = np.zeros_like(size)
    f_lower = np.where(excess(zero) < 0, 0.0, low / some)
    f_upper = np.where(excess(size + zero) < 0, 1.0, high / some)
    return f_lower, f_upper


def quantile_of_values(
    values: ArrayLike, quantile: float, *, alpha: float, n_opt: float
) -> QuantileBounds:
    """Bounds of the quantile that hold at every look, from values in any order: float64[n].

    Values that are not finite are left out. Infinite on a side where there are too few.
    """
    ordered = _ordered(values)
    n = ordered.size
    f_low, f_high = share_bounds(n, quantile, alpha=alpha, n_opt=n_opt)
    first, last = int(np.ceil(n * f_low)), int(np.floor(n * f_high)) + 1
    lower = ordered[first - 1] if first >= 1 else -np.inf
    upper = ordered[last - 1] if last <= n else np.inf
    k = planned_concentration(alpha, n_opt)
    return QuantileBounds(np.asarray(lower), np.asarray(upper), f_low, f_high, k)


def quantile_of_buckets(
    edges: ArrayLike, at_most: ArrayLike, quantile: ArrayLike, *, alpha: float, n_opt: float
) -> QuantileBounds:
    """The range of edges that holds the quantile at every look: above lower, at most upper.

    edges: float64[edges], ascending; an infinite last one if the last bucket is open.
    at_most: float64[..., edges], counts at or below each edge; the last are all. quantile:
    float64[...]. lower is -inf below the first edge. No correction over edges is needed: both
    sides use the one share at the quantile.
    """
    bounds = np.asarray(edges, np.float64)
    counts = np.asarray(at_most, np.float64)
    n = counts[..., -1]
    f_low, f_high = share_bounds(n, quantile, alpha=alpha, n_opt=n_opt)
    f = counts / np.maximum(n, 1.0)[..., None]
    lower = np.where(f < f_low[..., None], bounds, -np.inf).max(axis=-1)
    upper = np.where(f > f_high[..., None], bounds, np.inf).min(axis=-1)
    k = planned_concentration(alpha, n_opt)
    return QuantileBounds(lower, upper, f_low, f_high, k)


def compare_quantile_of_values(
    baseline: ArrayLike, candidate: ArrayLike, quantile: float, *, alpha: float, n_opt: float
) -> QuantileDifference:
    """The difference of one quantile at every look, from values: float64[n] and float64[m].

    n_opt: values of one version at which it is to be tightest.
    """
    b, c = _ordered(baseline), _ordered(candidate)
    # With ties the count below the quantile is any number from "less" to "at most".
    points = np.unique(np.concatenate([b, c]))
    less, at_most = (
        [np.searchsorted(arm, points, side).astype(np.float64) for arm in (b, c)]
        for side in ("left", "right")
    )
    log_e = _equality_log_e(
        (less[0], less[1]), (at_most[0], at_most[1]), (b.size, c.size), quantile, alpha / 2, n_opt
    )
    bounds = [quantile_of_values(arm, quantile, alpha=alpha / 2, n_opt=n_opt) for arm in (b, c)]
    return _difference(bounds[0], bounds[1], log_e)


def compare_quantile_of_buckets(
    edges: ArrayLike,
    baseline: ArrayLike,
    candidate: ArrayLike,
    quantile: float,
    *,
    alpha: float,
    n_opt: float,
) -> QuantileDifference:
    """The difference of one quantile at every look, from counts on common edges.

    edges: float64[edges]; baseline, candidate: float64[..., edges], counts at or below each edge.
    """
    b, c = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (baseline, candidate)))
    less = [np.concatenate([np.zeros_like(x[..., :1]), x[..., :-1]], axis=-1) for x in (b, c)]
    sizes = (b[..., -1], c[..., -1])
    log_e = _equality_log_e((less[0], less[1]), (b, c), sizes, quantile, alpha / 2, n_opt)
    bounds = [quantile_of_buckets(edges, x, quantile, alpha=alpha / 2, n_opt=n_opt) for x in (b, c)]
    return _difference(bounds[0], bounds[1], log_e)


def _difference(
    baseline: QuantileBounds, candidate: QuantileBounds, log_e: FloatArray
) -> QuantileDifference:
    return QuantileDifference(
        baseline,
        candidate,
        lower=np.asarray(candidate.lower - baseline.upper),
        upper=np.asarray(candidate.upper - baseline.lower),
        log_e=log_e,
    )


def _equality_log_e(
    less: tuple[FloatArray, FloatArray],
    at_most: tuple[FloatArray, FloatArray],
    sizes: tuple[ArrayLike, ArrayLike],
    quantile: float,
    alpha: float,
    n_opt: float,
) -> FloatArray:
    """Least evidence, over all values x, against "x is the quantile of both": float64[...].

    less, at_most: float64[..., points], counts below and up to each place where x may lie.
    """
    totals = []
    for below, up_to, n in zip(less, at_most, sizes, strict=True):
        size = np.asarray(n, np.float64)[..., None]
        k = np.broadcast_to(planned_concentration(alpha, n_opt), size.shape)
        likeliest = np.clip(_least_evidence(size, np.asarray(quantile), k), below, up_to)
        totals.append(_log_e(likeliest, size, np.asarray(quantile), k))
    both = totals[0] + totals[1]
    # Without a value of either version nothing is refuted.
    return np.asarray(both.min(axis=-1) if both.shape[-1] else np.zeros(both.shape[:-1]))


def _log_e(below: FloatArray, n: FloatArray, p: FloatArray, k: FloatArray) -> FloatArray:
    below, n, p, k = np.broadcast_arrays(below, n, p, k)
    counts, null = np.stack([below, n - below], axis=-1), np.stack([p, 1 - p], axis=-1)
    return mixture_log_e(counts, null, k)


def _least_evidence(n: FloatArray, p: FloatArray, k: FloatArray) -> FloatArray:
    """The count with the least evidence against p, near n p; the log e-value is convex in it."""

    def rising(x: FloatArray) -> FloatArray:
        slope = digamma(k * p + x) - digamma(k * (1 - p) + n - x)
        return np.asarray(slope - np.log(p) + np.log1p(-p))

    return bracket_root(rising, np.zeros_like(n), n)[0]


def _ordered(values: ArrayLike) -> FloatArray:
    array = np.asarray(values, np.float64)
    return np.sort(array[np.isfinite(array)])
