"""Two versions' latency histograms: shares slower than edges, ranges of quantiles, and order.

Everything is said on the edges that both versions export; edges of one version alone are named and
dropped, so versions with other bucket bounds stay comparable. Requests are taken as independent
here: this describes one look, it doesn't decide.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, ndtr, ndtri

from analysis.latency import Histogram, QuantileRange, quantile_range

FloatArray = NDArray[np.float64]

QUANTILES = (0.5, 0.9, 0.95, 0.99)
# Requests of a version at which the bounds for every look are sharpest; fixed before any data.
_SHARPEST_AT = 10_000.0
# Below so many requests on one side of an edge the normal approximation alarms too often.
_FEW = 100.0


@dataclass(frozen=True, slots=True)
class CommonEdges:
    """Both histograms on the edges that both have; dropped: the edges of one version alone."""

    baseline: Histogram
    candidate: Histogram
    dropped_baseline: tuple[float, ...]
    dropped_candidate: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class QuantileDifference:
    """Candidate's quantile minus baseline's in milliseconds, with each version's range.

    It lies between lower_ms and upper_ms with the given confidence; the bounds are infinite where
    a range is open. interpolated_ms: a label only.
    """

    quantile: float
    baseline: QuantileRange
    candidate: QuantileRange
    lower_ms: float
    upper_ms: float
    interpolated_ms: float


@dataclass(frozen=True, slots=True)
class SlowerShare:
    """Share of requests slower than an edge; difference: candidate minus baseline, with bounds."""

    edge_ms: float
    baseline: float
    candidate: float
    difference: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class LatencyOrder:
    """Whether one version is slower over the whole distribution, at one look.

    p_slower: of "the candidate is slower at no edge"; p_faster: of "faster at no edge".
    slower: the candidate is surely slower somewhere and surely faster nowhere; faster: the
        reverse. crossing: surely slower at one edge and faster at another.
    slower_at_ms, faster_at_ms: the edges with the most evidence.
    """

    p_slower: float
    p_faster: float
    slower: bool
    faster: bool
    crossing: bool
    slower_at_ms: float
    faster_at_ms: float


_NO_ORDER = LatencyOrder(
    1.0, 1.0, slower=False, faster=False, crossing=False, slower_at_ms=np.nan, faster_at_ms=np.nan
)


@dataclass(frozen=True, slots=True)
class HistogramComparison:
    """All that two histograms say of each other."""

    edges: CommonEdges
    quantiles: tuple[QuantileDifference, ...]
    slower_than: tuple[SlowerShare, ...]
    order: LatencyOrder


def common_edges(baseline: Histogram, candidate: Histogram) -> CommonEdges:
    """Both on their shared edges: cumulative counts stay exact when edges are left out.

    Raises ValueError if either lacks the infinite edge: then its total isn't known.
    """
    for histogram in (baseline, candidate):
        if not histogram.edges_ms.size or np.isfinite(histogram.edges_ms[-1]):
            raise ValueError("a histogram's last edge must be infinite")
    shared = np.intersect1d(baseline.edges_ms, candidate.edges_ms)
    kept = [
        Histogram(shared, h.at_most[np.isin(h.edges_ms, shared)]) for h in (baseline, candidate)
    ]
    dropped = [
        tuple(h.edges_ms[~np.isin(h.edges_ms, shared)].tolist()) for h in (baseline, candidate)
    ]
    return CommonEdges(kept[0], kept[1], dropped[0], dropped[1])


def quantile_difference(
    baseline: Histogram, candidate: Histogram, quantile: float, *, alpha: float
) -> QuantileDifference | None:
    """The difference of one quantile, alpha / 2 for each version; None where one has no request.

    Each version's own edges serve: no edge need be shared.
    """
    ours = quantile_range(candidate, quantile, alpha=alpha / 2)
    theirs = quantile_range(baseline, quantile, alpha=alpha / 2)
    if ours is None or theirs is None:
        return None
    return QuantileDifference(
        quantile,
        theirs,
        ours,
        lower_ms=ours.lower_ms - theirs.upper_ms,
        upper_ms=ours.upper_ms - theirs.lower_ms,
        interpolated_ms=ours.interpolated_ms - theirs.interpolated_ms,
    )


def slower_shares(edges: CommonEdges, *, alpha: float) -> tuple[SlowerShare, ...]:
    """Difference at each finite edge; each interval by itself has confidence 1 - alpha.

    Newcombe's hybrid of Wilson's intervals (1998, method 10): it stays within [-1, 1] and holds
    with no slow request at all.
    """
    finite = np.isfinite(edges.baseline.edges_ms)
    arms = []
    for histogram in (edges.baseline, edges.candidate):
        slow, n = histogram.total - histogram.at_most[finite], histogram.total
        arms.append((slow / max(n, 1.0), *_wilson(slow, n, alpha)))
    (b, low_b, high_b), (c, low_c, high_c) = arms
    lower = c - b - np.hypot(c - low_c, high_b - b)
    upper = c - b + np.hypot(high_c - c, b - low_b)
    rows = zip(edges.baseline.edges_ms[finite], b, c, c - b, lower, upper, strict=True)
    return tuple(SlowerShare(*map(float, row)) for row in rows)


def _wilson(x: FloatArray, n: float, alpha: float) -> tuple[FloatArray, FloatArray]:
    """Wilson's interval of a share; [0, 1] without requests."""
    if n <= 0:
        return np.zeros_like(x), np.ones_like(x)
    z2 = float(ndtri(1 - alpha / 2)) ** 2
    centre = (x + z2 / 2) / (n + z2)
    half = np.sqrt(z2) / (n + z2) * np.sqrt(np.maximum(x * (n - x) / n, 0) + z2 / 4)
    return np.clip(centre - half, 0, x / n), np.clip(centre + half, x / n, 1)


def latency_order(edges: CommonEdges, *, alpha: float) -> LatencyOrder:
    """Ordered-buckets test at one look: at which edges is the candidate slower, or faster?

    At each edge one-sided tests of two proportions; the strongest counts, with Bonferroni over the
    edges that can tell (Lindon, Sanden, Shirikian 2022 test the same order at all looks). The two
    directions have alpha / 2 each.
    """
    finite = np.isfinite(edges.baseline.edges_ms)
    sizes = edges.baseline.total, edges.candidate.total
    slow = [h.total - h.at_most[finite] for h in (edges.baseline, edges.candidate)]
    both = slow[0] + slow[1]
    telling = (both > 0) & (both < sum(sizes)) & (min(sizes) > 0)
    if not telling.any():
        return _NO_ORDER
    slow_b, slow_c = (x[telling] for x in slow)
    n_b, n_c = sizes
    tails = (
        _tail(slow_b, slow_c, n_b, n_c),
        _tail(n_b - slow_b, n_c - slow_c, n_b, n_c),
    )
    p_values = [min(1.0, float(tail.min()) * tail.size) for tail in tails]
    at = edges.baseline.edges_ms[finite][telling]
    return _order((p_values[0], p_values[1]), alpha, at[[tail.argmin() for tail in tails]])


def _tail(x_b: FloatArray, x_c: FloatArray, n_b: float, n_c: float) -> FloatArray:
    """p-value of "the candidate's share isn't above the baseline's" at each edge.

    The pooled z-test; where few requests lie on one side of the edge, how they fall on the versions
    is binomial given their number, which is exact or cautious.
    """
    n, both = n_b + n_c, x_b + x_c
    pooled = both / n
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_b + 1 / n_c))
    normal = ndtr(-(x_c / n_c - x_b / n_b) / error)
    # Above the edge at least so many of the candidate's, or below it at most so many.
    at_least, at_most = np.maximum(x_c, 1), np.minimum(n_c - x_c, n - both)
    above = np.where(x_c > 0, betainc(at_least, np.maximum(both - at_least, 0) + 1, n_c / n), 1.0)
    left = n - both - at_most
    below = np.where(left > 0, betainc(np.maximum(left, 1), at_most + 1, n_b / n), 1.0)
    exact = np.where(both <= n - both, above, below)
    return np.where(np.minimum(both, n - both) < _FEW, exact, normal)


def _order(p_values: tuple[float, float], alpha: float, at_ms: FloatArray) -> LatencyOrder:
    slower, faster = (p < alpha / 2 for p in p_values)
    return LatencyOrder(
        p_slower=p_values[0],
        p_faster=p_values[1],
        slower=slower and not faster,
        faster=faster and not slower,
        crossing=slower and faster,
        slower_at_ms=float(at_ms[0]),
        faster_at_ms=float(at_ms[1]),
    )


def quantile_at_every_look(
    baseline: Histogram, candidate: Histogram, quantile: float, *, alpha: float
) -> tuple[float, float]:
    """Bounds of the difference of a quantile, in milliseconds, that hold at every look at once.

    Howard, Ramdas 2022; each version on its own edges, alpha / 2 each. (-inf, inf) where nothing
    is known.
    """
    # Imported here: a gate without latency metrics doesn't need it.
    from analysis.sequential.quantiles import quantile_of_buckets  # noqa: PLC0415

    if baseline.total <= 0 or candidate.total <= 0:
        return -np.inf, np.inf
    ends = []
    for histogram in (baseline, candidate):
        found = quantile_of_buckets(
            histogram.edges_ms, histogram.at_most, quantile, alpha=alpha / 2, n_opt=_SHARPEST_AT
        )
        # No latency is below 0.
        ends.append((max(0.0, float(found.lower)), float(found.upper)))
    return ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]


def order_at_every_look(edges: CommonEdges, *, alpha: float) -> LatencyOrder:
    """As latency_order, but valid at every look; the two directions have alpha / 2 each."""
    from analysis.sequential.stochastic_order import order_of_buckets  # noqa: PLC0415

    if edges.baseline.edges_ms.size < 2 or edges.baseline.total <= 0 or edges.candidate.total <= 0:
        return _NO_ORDER
    found = order_of_buckets(edges.baseline.at_most, edges.candidate.at_most, alpha=alpha)
    difference = found.difference[:-1]
    return _order(
        (float(found.p_slower), float(found.p_faster)),
        alpha,
        edges.baseline.edges_ms[[difference.argmax(), difference.argmin()]],
    )


def compare_histograms(
    baseline: Histogram,
    candidate: Histogram,
    *,
    alpha: float,
    quantiles: tuple[float, ...] = QUANTILES,
) -> HistogramComparison:
    """Both versions' histograms at one look. Raises ValueError as common_edges does."""
    edges = common_edges(baseline, candidate)
    differences = (quantile_difference(baseline, candidate, q, alpha=alpha) for q in quantiles)
    return HistogramComparison(
        edges,
        tuple(found for found in differences if found is not None),
        slower_shares(edges, alpha=alpha),
        latency_order(edges, alpha=alpha),
    )
