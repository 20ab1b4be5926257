"""Two versions' latencies, compared within the same buckets and only at edges that both have.

A histogram over a whole ramp mixes the stages: where latency drifts (a busy evening, a warm cache)
versions with other shares of the traffic in other stages differ although they are equally fast. So
versions are compared bucket by bucket, and a bucket weighs for both alike, as much as it can tell
(paired_buckets.pair_buckets). All quantiles and shares here are of that common time.

Requests need not be independent: bounds rest on what the differences vary by from bucket to bucket,
and on how long that persists (long_run_variance, with its limits). Assumed is that a version's pods
are alike. Bounds hold at every look at once: with alpha 0.05, none to 1.5 % of simulated runs of
equal versions show a difference at some look and edge, also under a ramp with drift, where both
share a persistent state, or where each has its own with a coefficient of 0.6 from bucket to bucket.
At 0.8 it is 10 to 13 %: one version's state that lasts for minutes is hard to tell from an effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.evidence import RequestEvidence
from analysis.metric_result import Estimate
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.latency import Histogram, LatencyCounts, QuantileRange, interpolated_quantile
from analysis.requests.paired_buckets import PairedBuckets, pair_buckets

QUANTILES = (0.5, 0.9, 0.95, 0.99)
# Nobody waits for proof at an edge that fewer requests are beyond, or within.
_MATTERS = 0.01


@dataclass(frozen=True, slots=True)
class QuantileComparison:
    """A quantile of both versions, and the candidate's minus the baseline's in milliseconds.

    Both ranges and the difference hold together with the table's confidence. The difference's
    value is interpolated: a label only, never evidence.
    """

    quantile: float
    baseline: QuantileRange
    candidate: QuantileRange
    difference: Estimate


@dataclass(frozen=True, slots=True)
class SlowerShare:
    """Share of each version's requests that are slower than an edge: exact, so comparable.

    difference: candidate minus baseline; the bounds of all edges of a table hold together.
    """

    edge_ms: float
    baseline: float
    candidate: float
    difference: Estimate


@dataclass(frozen=True, slots=True)
class LatencyOrder:
    """Whether one version is slower over the whole distribution (stochastic dominance, by edges).

    slower_at_ms, faster_at_ms: edges at which the candidate surely is. everywhere: it is so at
        every edge that matters (1 % of a version's requests are slower, 1 % are not), and at no
        edge the other way.
    """

    slower_at_ms: tuple[float, ...]
    faster_at_ms: tuple[float, ...]
    everywhere: bool

    @property
    def slower(self) -> bool:
        """Surely slower somewhere, surely faster nowhere."""
        return bool(self.slower_at_ms) and not self.faster_at_ms

    @property
    def crossing(self) -> bool:
        """Surely slower at one edge and faster at another: latencies spread more, or less."""
        return bool(self.slower_at_ms) and bool(self.faster_at_ms)


@dataclass(frozen=True, slots=True)
class LatencyTable:
    """One candidate's latencies beside the baseline's, over the buckets in which both had requests.

    confidence: of each quantile's row, and of all edges' rows together; at every look at once.
    requests_*: with a known latency, in those buckets. alone_*: those of other buckets, left out.
    slower_than: at the edges that any request is slower than and any is not.
    dropped_*: edges in milliseconds that the other version lacks, or that a version had only for a
        part of the time; nothing is compared there.
    """

    baseline_variant: str
    candidate_variant: str
    confidence: float
    requests_baseline: float
    requests_candidate: float
    alone_baseline: float
    alone_candidate: float
    quantiles: tuple[QuantileComparison, ...]
    slower_than: tuple[SlowerShare, ...]
    order: LatencyOrder
    dropped_baseline: tuple[float, ...]
    dropped_candidate: tuple[float, ...]


def compare_latencies(plan: Plan, evidence: RequestEvidence | None) -> tuple[LatencyTable, ...]:
    """A table per candidate; none where it and the baseline have no bucket with latency together.

    Quantiles that metrics ask for stand in the tables too.
    """
    if evidence is None or plan.baseline not in evidence.latency:
        return ()
    wanted = {metric.quantile for metric in plan.metrics if metric.quantile is not None}
    found = (
        _table(plan, name, evidence.latency, sorted({*QUANTILES, *wanted}))
        for name in plan.candidates
        if name in evidence.latency
    )
    return tuple(table for table in found if table is not None)


def _table(
    plan: Plan, candidate: str, latency: Mapping[str, LatencyCounts], quantiles: Sequence[float]
) -> LatencyTable | None:
    given = latency[plan.baseline], latency[candidate]
    steady = [counts.steady() for counts in given]
    shared = np.intersect1d(steady[0].edges_ms, steady[1].edges_ms)
    variants = [counts.at(shared) for counts in steady]
    together = (variants[0].total > 0) & (variants[1].total > 0)
    if not together.any():
        return None
    baseline, own = (variant.slower_counts() for variant in variants)
    edges = shared[:-1]
    # Each of a quantile's four ends has a quarter; all edges' differences share alpha equally.
    quarter, part = plan.alpha / 4, plan.alpha / 2 / max(edges.size, 1)
    rarer = _Rarer.of(baseline, own)
    shares = (
        rarer.bounded(0.0, quarter, plan.harm_buckets, mirrored=True),
        rarer.bounded(0.0, quarter, plan.harm_buckets),
    )
    differences = rarer.bounded(1.0, part, plan.harm_buckets)
    rows = _rows(edges, shares, differences)
    seen, alone = (
        [float(variant.total[keep].sum()) for variant in variants] for keep in (together, ~together)
    )
    dropped = [tuple(np.setdiff1d(counts.edges_ms, shared).tolist()) for counts in given]
    return LatencyTable(
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        confidence=1 - plan.alpha,
        requests_baseline=seen[0],
        requests_candidate=seen[1],
        alone_baseline=alone[0],
        alone_candidate=alone[1],
        quantiles=tuple(_compare_quantile(q, shared, shares) for q in quantiles if edges.size),
        slower_than=rows,
        order=_order(rows),
        dropped_baseline=dropped[0],
        dropped_candidate=dropped[1],
    )


@dataclass(frozen=True, slots=True)
class _Shares:
    """Shares of slower requests, or their differences, with bounds: float64[edges] each."""

    value: FloatArray
    lower: FloatArray
    upper: FloatArray


@dataclass(frozen=True, slots=True)
class _Rarer:
    """Two versions' slow requests, or where these are most of all their fast ones: by edge.

    The bounds allow for bursts of what is rare. mostly: bool[edges], where most are slow.
    """

    pairs: PairedBuckets
    mostly: BoolArray

    @classmethod
    def of(cls, baseline: BucketCounts, candidate: BucketCounts) -> _Rarer:
        """From requests slower than each edge, of all: [edges, buckets]."""
        slow, total = (
            x.sum(axis=-1) + y.sum(axis=-1)
            for x, y in ((baseline.bad, candidate.bad), (baseline.total, candidate.total))
        )
        mostly = 2 * slow > total
        rarer = (
            BucketCounts(
                variant.total, np.where(mostly[:, None], variant.total - variant.bad, variant.bad)
            )
            for variant in (baseline, candidate)
        )
        return cls(pair_buckets(*rarer), mostly)

    def bounded(
        self, factor: float, alpha: float, n_opt: float, *, mirrored: bool = False
    ) -> _Shares:
        """The candidate's shares of slower requests minus factor times the baseline's.

        With factor 0 they are the candidate's own, of the time of both. mirrored: of the baseline,
        minus factor times the candidate's.
        """
        pairs = self.pairs.mirrored() if mirrored else self.pairs
        found = pairs.contrast(factor)
        lower, upper = (bound(alpha=alpha, n_opt=n_opt) for bound in (found.lower, found.upper))
        whole = 1 - factor  # slower and faster shares add up to this
        return _Shares(
            np.where(self.mostly, whole - found.estimate, found.estimate),
            np.clip(np.where(self.mostly, whole - upper, lower), -factor, 1.0),
            np.clip(np.where(self.mostly, whole - lower, upper), -factor, 1.0),
        )


def _rows(
    edges: FloatArray, shares: tuple[_Shares, _Shares], differences: _Shares
) -> tuple[SlowerShare, ...]:
    """One per edge that any request is slower than and any is not."""
    b, c = shares[0].value, shares[1].value
    telling = (np.maximum(b, c) > 0) & (np.minimum(b, c) < 1)
    columns = (edges, b, c, differences.value, differences.lower, differences.upper)
    return tuple(
        SlowerShare(edge, theirs, ours, Estimate(*difference))
        for edge, theirs, ours, *difference in np.stack(columns, axis=-1)[telling].tolist()
    )


def _order(rows: Sequence[SlowerShare]) -> LatencyOrder:
    slower = tuple(row.edge_ms for row in rows if row.difference.lower > 0)
    faster = tuple(row.edge_ms for row in rows if row.difference.upper < 0)
    matter = {
        row.edge_ms
        for row in rows
        if max(row.baseline, row.candidate) >= _MATTERS
        and min(row.baseline, row.candidate) <= 1 - _MATTERS
    }
    one_way = not slower or not faster
    return LatencyOrder(slower, faster, bool(matter) and one_way and matter <= {*slower, *faster})


def _compare_quantile(
    quantile: float, edges_ms: FloatArray, shares: tuple[_Shares, _Shares]
) -> QuantileComparison:
    theirs, ours = (_range(quantile, edges_ms, share) for share in shares)
    difference = Estimate(
        ours.interpolated_ms - theirs.interpolated_ms,
        ours.lower_ms - theirs.upper_ms,
        ours.upper_ms - theirs.lower_ms,
    )
    return QuantileComparison(quantile, theirs, ours, difference)


def _range(quantile: float, edges_ms: FloatArray, slower: _Shares) -> QuantileRange:
    """The edges that one version's quantile lies between.

    It is above an edge where more than 1 - quantile are slower. An edge counts only if all edges
    before it (behind it, for the upper end) agree; so nothing but the bounds at the two edges next
    to the quantile can be wrong, and no correction over edges is needed.
    """
    finite, rest = edges_ms[:-1], 1 - quantile
    above = np.logical_and.accumulate(slower.lower > rest)
    at_most = np.logical_and.accumulate((slower.upper <= rest)[::-1])[::-1]
    histogram = Histogram(edges_ms, np.append(1 - slower.value, 1.0))
    return QuantileRange(
        quantile,
        float(finite[above].max(initial=0.0)),
        float(finite[at_most].min(initial=np.inf)),
        interpolated_quantile(histogram, quantile),
    )
