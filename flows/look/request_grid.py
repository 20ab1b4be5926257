"""Latency histograms of one look, laid out on its grid of buckets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from analysis.evidence import Coverage, RequestEvidence
from analysis.plan import Plan
from analysis.requests.latency import LatencyCounts
from analysis.requests.paired_buckets import BucketCounts
from analysis.requests.pods import PodCounts
from flows.formats.time import instant, milliseconds
from flows.spec.experiment import Experiment
from flows.spec.metrics import ErrorShare, SlowShare
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
from collections.abc import Sequence

FloatArray = NDArray[np.float64]


BoolArray = NDArray[np.bool_]


Columns = Mapping[str, NDArray[Any]]


_UNATTRIBUTED = "unattributed"


class RequestGrid:
    """The look's buckets, and the rows of the warehouse laid out on them."""

    def __init__(self, con: DuckDBPyConnection, spec: Experiment, plan: Plan, buckets: int) -> None:
        self.con, self.spec, self.plan, self.buckets = con, spec, plan, buckets
        self.variants = (plan.baseline, *plan.candidates)
        self.rows = self._read("aggregate/look_requests")
        self.losses = self._read("aggregate/look_lost")
        self.shared_gaps = self._shared_gaps()
        self.latency = latency_counts(
            self._read("aggregate/look_latency"),
            self.variants,
            start_ms=plan.start_ms,
            bucket_ms=plan.bucket_ms,
            buckets=buckets,
        )
        edges = self._shared_edges()
        self.edges = {
            name: _edge_for(metric, edges)
            for name, metric in spec.request_metrics.items()
            if isinstance(metric, SlowShare)
        }

    def evidence(self) -> RequestEvidence:
        """Counts by variant for every request metric of the spec."""
        starts = self.plan.start_ms + np.arange(self.buckets) * self.plan.bucket_ms
        return RequestEvidence(
            stage=np.searchsorted([s.start_ms for s in self.plan.stages], starts, "right") - 1,
            requests={
                v: self._timed(self._column(self.rows, v, "requests")) for v in self.variants
            },
            metrics=tuple(self.spec.request_metrics),
            counts={v: self._counts(v) for v in self.variants},
            latency={
                v: LatencyCounts(found.edges_ms, self._timed(found.at_most))
                for v, found in self.latency.items()
            },
            edges_ms={name: edge for name, edge in self.edges.items() if edge is not None},
            pods=self._pods(),
        )

    def coverage(self, watermark_ms: int | None) -> Coverage:
        """How complete the counts are."""
        seen = {v: float(self._column(self.rows, v, "requests").sum()) for v in self.variants}
        lost = self._lost()
        injected = {v: float(self._column(self.rows, v, "injected").sum()) for v in self.variants}
        unattributed = float(self._column(self.rows, _UNATTRIBUTED, "requests").sum())
        lost_share = {v: lost.get(v, 0.0) / max(seen[v] + lost.get(v, 0.0), 1) for v in seen}
        lost_share[_UNATTRIBUTED] = unattributed / max(sum(seen.values()) + unattributed, 1)
        return Coverage(
            watermark_ms=watermark_ms,
            lost_share=lost_share,
            injected_share={v: injected[v] / max(seen[v], 1) for v in seen},
            unattributed=unattributed,
        )

    def _read(self, name: str) -> Columns:
        until = self.plan.start_ms + self.buckets * self.plan.bucket_ms
        columns: Columns = self.con.execute(
            statement(name),
            {
                "experiment": self.spec.experiment,
                "from": instant(self.plan.start_ms),
                "until": instant(until),
            },
        ).fetchnumpy()  # type: ignore[assignment]  # no column is a Categorical: no enum is read
        return columns

    def _lost(self) -> dict[str, float]:
        """Requests by variant that nobody saw, or saw at another time than the other variants'."""
        apart = ~self.shared_gaps
        unseen, gaps = (
            {v: self._column(self.losses, v, name) for v in self.variants}
            for name in ("unseen", "over_gaps")
        )
        return {v: float(unseen[v].sum() + gaps[v][apart].sum()) for v in self.variants}

    def _shared_gaps(self) -> BoolArray:
        """Where a gap in the scrapes of all variants ended (Prometheus was down): bool[buckets].

        What was counted over it is known but for its time. Targets are scraped one after the other,
        so that the next bucket is the same time.
        """
        shared = np.ones(self.buckets, dtype=np.bool_)
        for variant in self.variants:
            ended = self._column(self.losses, variant, "over_gaps") > 0
            near = ended.copy()
            near[1:] |= ended[:-1]
            near[:-1] |= ended[1:]
            shared &= near
        return shared

    def _timed(self, values: FloatArray) -> FloatArray:
        """Counts with nothing where minutes came at once, maybe of several stages.

        In one bucket they would outweigh all others, and divide the traffic as no stage does.
        """
        return np.where(self.shared_gaps, 0.0, values)

    def _column(self, rows: Columns, variant: str, column: str) -> FloatArray:
        """One column of one variant's rows on the grid; 0 where there is no row."""
        keep = rows["variant"] == variant
        start = rows["bucket_start"][keep].astype("datetime64[ms]").astype(np.int64)
        index = (start - self.plan.start_ms) // self.plan.bucket_ms
        values = np.zeros(self.buckets)
        np.add.at(values, index, rows[column][keep].astype(np.float64))
        return values

    def _counts(self, variant: str) -> BucketCounts:
        pairs = [
            self._failures(variant)
            if isinstance(metric, ErrorShare)
            else self._slow(variant, self.edges[name])
            for name, metric in self.spec.request_metrics.items()
        ]
        return BucketCounts(*(self._timed(np.array([p[i] for p in pairs])) for i in (0, 1)))

    def _failures(self, variant: str) -> tuple[FloatArray, FloatArray]:
        answered = self._column(self.rows, variant, "answered")
        return answered, self._column(self.rows, variant, "failed")

    def _slow(self, variant: str, edge: float | None) -> tuple[FloatArray, FloatArray]:
        """Requests with a known latency, and those slower than the edge."""
        if edge is None or variant not in self.latency:
            return np.zeros(self.buckets), np.zeros(self.buckets)
        found = self.latency[variant]
        at_most = found.at_most[found.edges_ms == edge][0]
        # A rollout can change a version's edges: where one is missing, nothing is known at it.
        known = ~np.isnan(at_most)
        return np.where(known, found.total, 0.0), np.where(known, found.total - at_most, 0.0)

    def _pods(self) -> dict[str, dict[str, PodCounts]]:
        """By error share and variant; empty if one target answers for several variants.

        Such a target is a gateway or a client in front of the pods, and says nothing of them.
        """
        rows = self._read("aggregate/look_pods")
        keep = np.isin(rows["variant"], self.variants)
        variants, names = rows["variant"][keep], rows["pod"][keep]
        if len(set(names.tolist())) < len(names):
            return {}
        numbers = (rows["answered"][keep].astype(float), rows["failed"][keep].astype(float))
        pods = {
            v: PodCounts(tuple(names[variants == v].tolist()), *(n[variants == v] for n in numbers))
            for v in set(variants.tolist())
        }
        shares = [n for n, m in self.spec.request_metrics.items() if isinstance(m, ErrorShare)]
        return dict.fromkeys(shares, pods) if pods else {}

    def _shared_edges(self) -> FloatArray:
        """The bucket edges that every variant exports: only those can be compared."""
        if set(self.latency) != set(self.variants):
            return np.array([])
        return reduce(np.intersect1d, (found.edges_ms for found in self.latency.values()))


def _edge_for(metric: SlowShare, edges: FloatArray) -> float | None:
    """The shared edge at the metric's bound, or the next one above it; None without any."""
    bound = milliseconds(metric.above)
    usable = edges[np.isfinite(edges) & (edges >= bound)]
    return float(usable.min()) if usable.size else None


def latency_counts(
    rows: Columns, variants: Sequence[str], *, start_ms: int, bucket_ms: int, buckets: int
) -> dict[str, LatencyCounts]:
    """By variant, from the rows of aggregate/look_latency; one without a request is left out."""
    start = rows["bucket_start"].astype("datetime64[ms]").astype(np.int64)
    index = (start - start_ms) // bucket_ms
    le_ms, at_most = (rows[name].astype(np.float64) for name in ("le_ms", "at_most"))
    found = {}
    for variant in variants:
        keep = rows["variant"] == variant
        counts = _laid_out(le_ms[keep], index[keep], at_most[keep], buckets)
        if counts.total.sum() > 0:
            found[variant] = counts
    return found


def _laid_out(
    le_ms: FloatArray, index: NDArray[np.int64], at_most: FloatArray, buckets: int
) -> LatencyCounts:
    edges, row = np.unique(np.append(le_ms, np.inf), return_inverse=True)
    laid = np.full((edges.size, buckets), np.nan)
    laid[row[:-1], index] = at_most
    # Without its total nothing is known of a bucket; mostly nothing happened in it.
    laid[:, np.isnan(laid[-1])] = 0.0
    return LatencyCounts(edges, laid)
