"""Latency histograms of one look, laid out on its grid of buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.requests.latency import LatencyCounts
from analysis.requests.outcomes import RequestOutcome
from analysis.requests.unanswered import unended
from flows.look.responses import ResponseCounts

FloatArray = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]
# Total, bad and unknown requests: float64[buckets] each.
Counts = tuple[FloatArray, FloatArray, FloatArray]


def latency_counts(
    rows: Columns, variants: Sequence[str], *, start_ms: int, bucket_ms: int, buckets: int
) -> dict[str, LatencyCounts]:
    """By variant, from the rows of aggregate/look_latency; one without a request is left out."""
    start = rows["bucket_start"].astype("datetime64[ms]").astype(np.int64)
    index = (start - start_ms) // bucket_ms
    le_ms, at_most, cut_off = (
        rows[name].astype(np.float64) for name in ("le_ms", "at_most", "cut_off")
    )
    found = {}
    for variant in variants:
        keep = rows["variant"] == variant
        counts = _laid_out(le_ms[keep], index[keep], at_most[keep], cut_off[keep], buckets)
        if counts.total.sum() > 0:
            found[variant] = counts
    return found


def _laid_out(
    le_ms: FloatArray,
    index: NDArray[np.int64],
    at_most: FloatArray,
    cut_off: FloatArray,
    buckets: int,
) -> LatencyCounts:
    edges, row = np.unique(np.append(le_ms, np.inf), return_inverse=True)
    laid, cut = np.full((edges.size, buckets), np.nan), np.zeros((edges.size, buckets))
    laid[row[:-1], index] = at_most
    cut[row[:-1], index] = cut_off
    # Without its total nothing is known of a bucket; mostly nothing happened in it.
    laid[:, np.isnan(laid[-1])] = 0.0
    return LatencyCounts(edges, laid, cut)


def shared_edges(latency: Mapping[str, LatencyCounts], variants: Sequence[str]) -> FloatArray:
    """The bucket edges that every variant exports: only those can be compared."""
    if set(latency) != set(variants):
        return np.array([])
    return reduce(np.intersect1d, (found.edges_ms for found in latency.values()))


def edge_from(bound_ms: float, edges: FloatArray) -> float | None:
    """The shared edge at a bound, or the next one above it; None without any."""
    usable = edges[np.isfinite(edges) & (edges >= bound_ms)]
    return float(usable.min()) if usable.size else None


def edge_near(quantile: float, counts: LatencyCounts, edges: FloatArray) -> float | None:
    """The finite edge that comes nearest to having 1 - quantile of the requests slower than it.

    Nearest in odds, as at the tail one in a hundred and one in a thousand are far apart.
    """
    usable = edges[np.isfinite(edges)]
    if not usable.size:
        return None
    own = counts.at(np.append(usable, np.inf)).slower_counts()
    slow, total = (np.nan_to_num(x).sum(axis=-1) for x in (own.bad, own.total))
    odds = np.log((slow + 0.5) / (total - slow + 0.5))
    wanted = np.log((1 - quantile) / quantile)
    return float(usable[np.argmin(np.abs(odds - wanted))])


def slow_counts(found: LatencyCounts, edge: float, seen: ResponseCounts) -> Counts:
    """Requests slower than an edge, and those of which that isn't known.

    Unknown is a request that was cut off before the edge, whether its latency stands among the
    others or in no series at all, and a success that has no latency.
    """
    row = found.edges_ms == edge
    at_most = found.at_most[row][0]
    # A rollout can change a version's edges: where one is missing, nothing is known at it.
    known = ~np.isnan(at_most)
    fast = np.where(known, at_most, 0.0)
    told, told_in_all = (
        (np.zeros_like(fast), np.zeros_like(fast))
        if found.cut_off is None
        else (found.cut_off[row][0], found.cut_off[-1])
    )
    without = np.where(known, unended(seen.requests, found.total), 0.0)
    untold = unended(seen.cut_off, told_in_all)
    hidden = np.maximum(untold - without, 0.0)
    # What was refused, or failed at once, never had one: it is no slow request.
    outside = np.minimum(untold + unexplained(found, seen), without)
    unknown = np.minimum(np.where(known, told + hidden, 0.0), fast) + outside
    total = np.where(known, found.total, 0.0)
    return total + outside, total - fast, unknown


def unexplained(found: LatencyCounts | None, seen: ResponseCounts) -> FloatArray:
    """Requests without a latency that no outcome explains: float64[buckets].

    One that was refused, failed or left may never have had one, and is compared as such.
    """
    succeeded = seen.ended(RequestOutcome.SUCCESS, RequestOutcome.UNKNOWN)
    if found is None:
        return succeeded
    return unended(succeeded, found.total)
