"""Latency from bucket counts: what is known exactly, and no more.

The distribution is known exactly at the bucket edges and nowhere else. So a quantile is a range
of edges that it provably lies in; an interpolated value is a label, never evidence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from analysis.arrays import FloatArray
from analysis.requests.bucket_counts import BucketCounts, merged


@dataclass(frozen=True, slots=True)
class Histogram:
    """Requests by latency: edges_ms float64[edges], ascending, the last one infinite;
    at_most float64[edges], requests at most so slow (cumulative)."""

    edges_ms: FloatArray
    at_most: FloatArray

    @property
    def total(self) -> float:
        """All requests."""
        return float(self.at_most[-1]) if self.at_most.size else 0.0


@dataclass(frozen=True, slots=True)
class LatencyCounts:
    """One variant's requests by latency, bucket by bucket.

    edges_ms: float64[edges], ascending, the last one infinite. at_most: float64[edges, buckets],
    requests at most so slow (cumulative); NaN where the variant didn't have the edge. cut_off: of
    these, the ones that somebody stopped waiting for; None where that isn't told.
    """

    edges_ms: FloatArray
    at_most: FloatArray
    cut_off: FloatArray | None = None

    @property
    def total(self) -> FloatArray:
        """All requests with a known latency: float64[buckets]."""
        return np.asarray(self.at_most[-1])

    def merged(self, width: int) -> LatencyCounts:
        """So many buckets as one; NaN where the variant lacked an edge in one of them."""
        cut_off = None if self.cut_off is None else merged(self.cut_off, width)
        return LatencyCounts(self.edges_ms, merged(self.at_most, width), cut_off)

    def at(self, edges_ms: FloatArray) -> LatencyCounts:
        """The same on some of the edges: cumulative counts stay exact when edges are left out."""
        kept = np.isin(self.edges_ms, edges_ms)
        return LatencyCounts(edges_ms, self.at_most if kept.all() else self.at_most[kept])

    def steady(self) -> LatencyCounts:
        """The same on the edges that were there all the time."""
        return self.at(self.edges_ms[~np.isnan(self.at_most).any(axis=-1)])

    def slower_counts(self) -> BucketCounts:
        """Requests slower than each finite edge, of all: [edges, buckets]."""
        at_most = self.at_most[:-1]
        return BucketCounts(np.broadcast_to(self.total, at_most.shape), self.total - at_most)


@dataclass(frozen=True, slots=True)
class QuantileRange:
    """Where a latency quantile lies: above lower_ms, at most upper_ms, at the given confidence.

    interpolated_ms: the linear interpolation that dashboards show; a label only.
    """

    quantile: float
    lower_ms: float
    upper_ms: float
    interpolated_ms: float


def quantile_range(histogram: Histogram, quantile: float, *, alpha: float) -> QuantileRange | None:
    """The range of edges that holds the quantile with confidence 1 - alpha; None without requests.

    The quantile exceeds an edge only if the true share at or below the edge is less than
    `quantile`. Each edge's share has an exact interval (Clopper, Pearson 1934); only the one edge
    next to the quantile can be wrong on each side, so no correction over edges is needed.
    Requests are taken as independent here: the range describes, it does not decide.
    """
    n = histogram.total
    if n <= 0:
        return None
    low, high = _exact_share_bounds(histogram.at_most, n, alpha)
    surely_below = histogram.edges_ms[high < quantile]
    surely_at_or_above = histogram.edges_ms[low >= quantile]
    return QuantileRange(
        quantile,
        float(surely_below.max(initial=0.0)),
        float(surely_at_or_above.min(initial=np.inf)),
        interpolated_quantile(histogram, quantile),
    )


def _exact_share_bounds(x: FloatArray, n: float, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Clopper-Pearson bounds of x out of n, alpha / 2 in each tail."""
    with np.errstate(invalid="ignore"):
        low = np.where(x > 0, betaincinv(np.maximum(x, 1), n - np.maximum(x, 1) + 1, alpha / 2), 0)
        rest = np.maximum(n - x, 1)
        high = np.where(x < n, betaincinv(n - rest + 1, rest, 1 - alpha / 2), 1)
    return np.asarray(low), np.asarray(high)


def interpolated_quantile(histogram: Histogram, quantile: float) -> float:
    """The quantile as if requests were spread evenly inside their bucket, in milliseconds.

    As Prometheus' histogram_quantile; in the last, open bucket the answer is its lower edge.
    """
    rank = quantile * histogram.total
    index = int(np.searchsorted(histogram.at_most, rank))
    index = min(index, histogram.edges_ms.size - 1)
    lower = float(histogram.edges_ms[index - 1]) if index else 0.0
    upper = float(histogram.edges_ms[index])
    if not np.isfinite(upper):
        return lower
    below = float(histogram.at_most[index - 1]) if index else 0.0
    inside = float(histogram.at_most[index]) - below
    return lower + (upper - lower) * ((rank - below) / inside if inside else 0.0)
