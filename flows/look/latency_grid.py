"""Latency histograms of one look, laid out on its grid of buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from analysis.arrays import FloatArray
from analysis.requests.latency import LatencyCounts
from analysis.requests.outcomes import RequestOutcome
from analysis.requests.unanswered import unended
from flows.formats.time import milliseconds
from flows.look.on_grid import GridCells, distinct
from flows.look.responses import ResponseCounts
from flows.spec.metrics import SlowShare
from flows.spec.signals import BaselineEdge, Watched
from flows.warehouse.statements import Columns

# Total, bad and unknown requests: float64[buckets] each.
Counts = tuple[FloatArray, FloatArray, FloatArray]
# A request may be in flight for so long; of one that began earlier and never ended, nobody waits,
# unless more than a share of the baseline's last longer, as streams do.
_IN_FLIGHT_MS, _STREAMS = 30_000, 0.25


def latency_counts(
    rows: Columns, variants: Sequence[str], buckets: int
) -> dict[str, LatencyCounts]:
    """By variant, from the rows of aggregate/look_latency with their bucket; one without a request
    is left out."""
    edges, edge = distinct(rows["le_ms"])
    if not edges.size or np.isfinite(edges[-1]):
        edges = np.append(edges, np.inf)
    cells = GridCells.of(
        (rows["variant"], edge, rows["bucket"]), (1 + len(variants), edges.size, buckets)
    )
    lacks, at_most, cut_off = (
        cells.rows == 0,
        cells.sums(rows["at_most"]),
        cells.sums(rows["cut_off"]),
    )
    at_most[lacks] = np.nan
    found = {}
    for place, variant in enumerate(variants, 1):
        own = ~lacks[place].all(axis=1)
        own[-1] = True
        laid = at_most[place] if own.all() else at_most[place][own]
        # Without its total nothing is known of a bucket; mostly nothing happened in it.
        laid[:, lacks[place, -1]] = 0.0
        counts = LatencyCounts(edges[own], laid, cut_off[place][own])
        if counts.total.sum() > 0:
            found[variant] = counts
    return found


def shared_edges(latency: Mapping[str, LatencyCounts], variants: Sequence[str]) -> FloatArray:
    """The edges that every variant with latencies exports: only those can be compared."""
    if not _are_comparable(latency, variants):
        return np.array([])
    return reduce(np.intersect1d, (found.edges_ms for found in latency.values()))


def edge_from(
    bound_ms: float, latency: Mapping[str, LatencyCounts], variants: Sequence[str]
) -> float | None:
    """The baseline's edge at a bound, or its next one above it; None without any.

    variants: the baseline first. An edge that a candidate doesn't have is not left for a higher one
    that both have: what was slow there would be fast here.
    """
    if not _are_comparable(latency, variants):
        return None
    edges = latency[variants[0]].edges_ms
    usable = edges[np.isfinite(edges) & (edges >= bound_ms)]
    return float(usable.min()) if usable.size else None


def _are_comparable(latency: Mapping[str, LatencyCounts], variants: Sequence[str]) -> bool:
    """Whether the baseline and a candidate have latencies; others have none of their own."""
    return variants[0] in latency and len(latency) > 1


def edges_near(
    quantiles: Sequence[float], counts: LatencyCounts, edges: FloatArray
) -> dict[float, float]:
    """By quantile, the finite edge that comes nearest to having 1 - quantile slower than it.

    Nearest in odds, as at the tail one in a hundred and one in a thousand are far apart. Empty
    without a finite edge.
    """
    usable = edges[np.isfinite(edges)]
    if not usable.size:
        return {}
    own = counts.at(np.append(usable, np.inf)).slower_counts()
    slow, total = (np.nan_to_num(x).sum(axis=-1) for x in (own.bad, own.total))
    odds = np.log((slow + 0.5) / (total - slow + 0.5))
    wanted = {quantile: np.log((1 - quantile) / quantile) for quantile in quantiles}
    return {q: float(usable[np.argmin(np.abs(odds - at))]) for q, at in wanted.items()}


def slow_counts(found: LatencyCounts, edge: float, seen: ResponseCounts) -> Counts:
    """Requests slower than an edge, and those of which that isn't known.

    Unknown is a request that was cut off before the edge, whether its latency stands among the
    others or in no series at all, and a success that has no latency. Where the edge itself is
    missing (a rollout changed a version's edges, a native histogram became coarser), unknown are
    the requests between the nearest edges around it: left out, they could have been the slow ones.
    """
    row = np.flatnonzero(found.edges_ms == edge)
    missing = np.full(found.total.shape, np.nan)
    at_most = found.at_most[row[0]] if row.size else missing
    known, nothing = ~np.isnan(at_most), np.zeros(found.total.shape)
    fast, between = at_most, nothing
    if not known.all():
        fast, around = np.where(known, at_most, _below(found, edge)), _above(found, edge)
        between = np.where(known, 0.0, np.maximum(around - fast, 0.0))
        fast = fast + between
    told_in_all = nothing if found.cut_off is None else found.cut_off[-1]
    told = nothing if found.cut_off is None or not row.size else found.cut_off[row[0]]
    without = unended(seen.requests, found.total)
    untold = unended(seen.cut_off, told_in_all)
    hidden = np.maximum(untold - without, 0.0)
    # What was refused, or failed at once, never had one: it is no slow request.
    outside = np.minimum(untold + unexplained(found, seen), without)
    unknown = np.minimum(between + told + hidden, fast) + outside
    return found.total + outside, found.total - fast, unknown


def _below(found: LatencyCounts, edge: float) -> FloatArray:
    """Requests at most as slow as the greatest edge below that is known; 0 where none is."""
    lower = np.nan_to_num(found.at_most[found.edges_ms < edge])
    return np.asarray(lower.max(axis=0, initial=0.0))


def _above(found: LatencyCounts, edge: float) -> FloatArray:
    """Requests at most as slow as the least edge above that is known; the last is infinity."""
    upper = found.at_most[found.edges_ms > edge]
    return np.asarray(np.where(np.isnan(upper), np.inf, upper).min(axis=0, initial=np.inf))


def unexplained(found: LatencyCounts | None, seen: ResponseCounts) -> FloatArray:
    """Requests without a latency that no outcome explains: float64[buckets].

    One that was refused, failed or left may never have had one, and is compared as such.
    """
    succeeded = seen.ended(RequestOutcome.SUCCESS, RequestOutcome.UNKNOWN)
    if found is None:
        return succeeded
    return unended(succeeded, found.total)


def watched_edges(
    metrics: Mapping[str, Watched],
    latency: Mapping[str, LatencyCounts],
    variants: Sequence[str],
    shared: FloatArray,
) -> dict[str, float | None]:
    """By metric that counts slow requests, the edge at which it does; None without any.

    variants: the baseline first. A signal at an edge that the spec watches itself has none.
    """
    found = {
        name: edge_from(milliseconds(metric.above), latency, variants)
        for name, metric in metrics.items()
        if isinstance(metric, SlowShare)
    }
    said = set(found.values())
    signals = {n: m.quantile for n, m in metrics.items() if isinstance(m, BaselineEdge)}
    baseline = latency.get(variants[0])
    near = edges_near([*signals.values()], baseline, shared) if baseline else {}
    for name, quantile in signals.items():
        edge = near.get(quantile)
        found[name] = None if edge in said else edge
    return found


def in_flight_ms(baseline: LatencyCounts | None) -> float:
    """How long a request may be in flight, by the baseline's latencies, if there are any.

    Infinite where streams last longer than any edge.
    """
    if baseline is None:
        return _IN_FLIGHT_MS
    steady = baseline.steady()
    slower = steady.slower_counts()
    few = slower.bad.sum(axis=-1) <= _STREAMS * slower.total.sum(axis=-1)
    return max(_IN_FLIGHT_MS, float(steady.edges_ms[np.append(few, True).argmax()]))
