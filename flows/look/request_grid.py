"""The buckets of one look, and what the warehouse has of its requests laid out on them."""

from __future__ import annotations

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.evidence import CauseCounts, Coverage, RequestEvidence
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.latency import LatencyCounts
from analysis.requests.outcomes import RequestOutcome
from analysis.requests.pod_counts import PodCounts, stretch_ms
from analysis.requests.unanswered import surely_unended, unended
from flows.formats.time import instant
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import UNATTRIBUTED
from flows.look.bad_kinds import ByKind, counts, is_bad, rule_of
from flows.look.gap_counts import gap_counts
from flows.look.latency_grid import (
    Counts,
    in_flight_ms,
    latency_counts,
    shared_edges,
    slow_counts,
    unexplained,
    watched_edges,
)
from flows.look.on_grid import distinct, on_grid, steps_since
from flows.look.pod_requests import read_pod_requests, read_series
from flows.look.responses import (
    UNANSWERED,
    ResponseCounts,
    kinds_by_number,
    may_have_unattributed,
    of_who_has_all,
    with_unattributed,
)
from flows.look.rows_of import EVERYBODY, RowsOf
from flows.look.warming_grid import read_warming
from flows.spec.experiment import Experiment
from flows.spec.metrics import ErrorShare, SlowShare
from flows.spec.signals import BaselineEdge, Unattributed, Unmeasured, Watched, watched
from flows.warehouse.statements import Columns, Connection, columns_of


class RequestGrid:
    """The look's buckets, and the rows of the warehouse laid out on them.

    of: whose requests are read.
    """

    def __init__(
        self, con: Connection, spec: Experiment, plan: Plan, buckets: int, of: RowsOf = EVERYBODY
    ) -> None:
        self.con, self.spec, self.plan, self.buckets, self.of = con, spec, plan, buckets, of
        self.variants = (plan.baseline, *plan.candidates)
        self.metrics = watched(spec)
        starts = plan.start_ms + np.arange(buckets) * plan.bucket_ms
        self.stage = np.searchsorted([s.start_ms for s in plan.stages], starts, "right") - 1
        self.unseen, self.over_gaps = self._losses()
        self.begun = self._begun()
        self.series = read_series(con, spec, of)
        self.responses = self._responses()
        self.shared_gaps = self._shared_gaps()
        self.latency = latency_counts(
            self._read("aggregate/look_latency", variants=list(self.variants)),
            self.variants,
            buckets,
        )
        self.shared = shared_edges(self.latency, self.variants)
        self.edges = watched_edges(self.metrics, self.latency, self.variants, self.shared)

    def evidence(self) -> RequestEvidence:
        """Counts by variant for every request metric of the spec, and every signal."""
        counts = {
            v: [self._counts(v, n, m) for n, m in self.metrics.items()] for v in self.variants
        }
        every = [
            {v: np.array([row[i] for row in rows]) for v, rows in counts.items()} for i in range(3)
        ]
        total, bad, unknown = (
            {v: self._timed(values) for v, values in each.items()} for each in every
        )
        gaps, gap_ends_ms = gap_counts(self.plan, self.shared_gaps, *every[:2])
        finite = int(np.isfinite(self.shared).sum())
        return RequestEvidence(
            stage=self.stage,
            requests={v: self._timed(self.responses[v].requests) for v in self.variants},
            metrics=tuple(self.metrics),
            counts={v: BucketCounts(total[v], bad[v]) for v in self.variants},
            unknown={v: found for v, found in unknown.items() if found.any()},
            latency={
                v: LatencyCounts(found.edges_ms, self._timed(found.at_most))
                for v, found in self.latency.items()
            },
            edges_ms={name: edge for name, edge in self.edges.items() if edge is not None},
            choices={n: finite for n, m in self.metrics.items() if isinstance(m, BaselineEdge)},
            pods=self._pods(),
            causes=self._causes(),
            outage={v: self._outage(v) for v in self.variants},
            warming=self._warming(),
            gaps=gaps,
            gap_ends_ms=gap_ends_ms,
        )

    def coverage(self, watermark_ms: int | None) -> Coverage:
        """How complete the counts are."""
        seen = {v: float(self.responses[v].requests.sum()) for v in self.variants}
        lost = self._lost()
        injected = {
            v: float(self.responses[v].ended(RequestOutcome.INJECTED).sum()) for v in self.variants
        }
        unattributed = float(self.responses[UNATTRIBUTED].requests.sum())
        lost_share = {v: lost.get(v, 0.0) / max(seen[v] + lost.get(v, 0.0), 1) for v in seen}
        lost_share[UNATTRIBUTED] = unattributed / max(sum(seen.values()) + unattributed, 1)
        return Coverage(
            watermark_ms=watermark_ms,
            lost_share=lost_share,
            injected_share={v: injected[v] / max(seen[v], 1) for v in seen},
            unattributed=unattributed,
        )

    def _read(self, name: str, **more: object) -> Columns:
        """Rows of a statement up to the look, with their bucket where they have a time."""
        rows = columns_of(
            self.con,
            name,
            experiment=self.spec.experiment,
            since=instant(self.plan.start_ms),
            until=instant(self.plan.start_ms + self.buckets * self.plan.bucket_ms),
            cohort=self.of.cohort,
            borrowed=self.of.borrowed,
            **more,
        )
        if "bucket_us" in rows:
            at = steps_since(rows["bucket_us"], self.plan.start_ms, self.plan.bucket_ms)
            return {**rows, "bucket": at}
        return rows

    def _responses(self) -> dict[str, ResponseCounts]:
        """By variant, and of no version: requests by kind, those without an answer among them."""
        variants = (*self.variants, UNATTRIBUTED)
        rows = self._read("aggregate/look_requests", variants=list(variants))
        numbers, at = distinct(rows["response"])
        are_known = np.isin(numbers, self.series["response"]).all()
        named = self.series if are_known else self._read("aggregate/look_responses")
        found_kinds, place_of = kinds_by_number(numbers, named)
        kinds = (*found_kinds, UNANSWERED)
        shape = 1 + len(variants), len(kinds), self.buckets
        laid = on_grid(rows["requests"], (rows["variant"], place_of[at], rows["bucket"]), shape)
        found = {}
        for place, variant in enumerate(variants, 1):
            if variant in self.begun:
                laid[place, -1] = unended(self.begun[variant], laid[place].sum(axis=0))
            found[variant] = ResponseCounts(kinds, laid[place])
        return of_who_has_all(found, self.plan, self.stage)

    def _begun(self) -> dict[str, FloatArray]:
        """By variant, requests that began, where the mesh has counters of that."""
        signs = {} if self.spec.mesh is None else FAMILIES[self.spec.mesh].begun
        if not signs:
            return {}
        rows = self._read(
            "aggregate/look_begun", counters=list(signs), variants=list(self.variants)
        )
        sign = np.array([0, *signs.values()])[rows["counter"].astype(np.int64)]
        at = rows["variant"], rows["bucket"]
        laid = on_grid(sign * rows["events"], at, (1 + len(self.variants), self.buckets))
        seen = np.unique(rows["variant"]).tolist()
        return {v: laid[i] for i, v in enumerate(self.variants, 1) if i in seen}

    def _losses(self) -> tuple[dict[str, FloatArray], dict[str, FloatArray]]:
        """By variant, requests that nobody saw, and those that were counted over a gap."""
        rows = self._read("aggregate/look_lost", variants=list(self.variants))
        at, shape = (rows["variant"], rows["bucket"]), (1 + len(self.variants), self.buckets)
        unseen, over_gaps = (on_grid(rows[name], at, shape) for name in ("unseen", "over_gaps"))
        return (
            dict(zip(self.variants, unseen[1:], strict=True)),
            dict(zip(self.variants, over_gaps[1:], strict=True)),
        )

    def _lost(self) -> dict[str, float]:
        """Requests by variant that nobody saw, or saw at another time than the other variants'."""
        apart = ~self.shared_gaps
        return {
            v: float(self.unseen[v].sum() + self.over_gaps[v][apart].sum()) for v in self.variants
        }

    def _shared_gaps(self) -> BoolArray:
        """Where a gap in the scrapes of all variants ended (Prometheus was down): bool[buckets].

        What was counted over it is known but for its time. Targets are scraped one after the other,
        so the next bucket is the same time. A candidate that a stage has no request of shows none.
        """
        shared = np.ones(self.buckets, dtype=np.bool_)
        for variant in self.variants:
            ended = self.over_gaps[variant] > 0
            near = ended.copy()
            near[1:] |= ended[:-1]
            near[:-1] |= ended[1:]
            shared &= near if variant == self.plan.baseline else near | self._is_idle(variant)
        return shared

    def _is_idle(self, variant: str) -> BoolArray:
        """Buckets of stages in which a variant has no request: bool[buckets]."""
        requests = self.responses[variant].requests
        seen = np.bincount(self.stage, requests, minlength=len(self.plan.stages))
        return np.asarray((seen == 0)[self.stage])

    def _timed(self, values: FloatArray) -> FloatArray:
        """Counts with nothing where minutes came at once, maybe of several stages.

        In one bucket they would outweigh all others, and divide the traffic as no stage does.
        """
        return np.where(self.shared_gaps, 0.0, values)

    def _counts(self, variant: str, name: str, metric: Watched) -> Counts:
        """Total, bad and unknown requests of one metric."""
        seen, nothing = self.responses[variant], np.zeros(self.buckets)
        if isinstance(metric, SlowShare | BaselineEdge):
            edge, latency = self.edges[name], self.latency.get(variant)
            if edge is None or latency is None:
                return nothing, nothing, nothing
            return slow_counts(latency, edge, seen.without_injected)
        if isinstance(metric, Unattributed):
            may_have = may_have_unattributed(self.plan, variant, self.stage)
            return with_unattributed(seen, self.responses[UNATTRIBUTED], may_have)
        untold = seen.ended(RequestOutcome.UNKNOWN)
        if isinstance(metric, Unmeasured):
            if not self.latency and not untold.any():
                return nothing, nothing, nothing
            missing = unexplained(self.latency.get(variant), seen) if self.latency else untold
            return seen.requests, np.maximum(missing, untold), nothing
        spec = self.spec
        total, bad = (
            seen.those(lambda kind: counts(spec, metric, kind)),
            seen.those(lambda kind: is_bad(spec, metric, kind)),
        )
        return total, bad, untold

    def _causes(self) -> dict[str, tuple[CauseCounts, ...]]:
        """By metric, its bad requests by kind of response."""
        kinds = self.responses[UNATTRIBUTED].kinds
        return {
            name: tuple(
                CauseCounts(
                    kind.name, {v: self._timed(self.responses[v].of(i)) for v in self.variants}
                )
                for i, kind in enumerate(kinds)
                if is_bad(self.spec, metric, kind)
            )
            for name, metric in self.metrics.items()
            if isinstance(metric, ByKind)
        }

    def _outage(self, variant: str) -> BucketCounts:
        """Requests, and those that surely got no whole answer: [1, buckets]."""
        seen = self.responses[variant]
        unanswered = seen.counts[-1]
        if variant in self.begun:
            width = self.plan.bucket_ms
            longest_ms = min(
                in_flight_ms(self.latency.get(self.plan.baseline)), self.buckets * width
            )
            late = int(-(-longest_ms // width))
            ended = seen.requests - unanswered
            sure = surely_unended(self.begun[variant], ended, buckets=late)
        else:
            sure = np.zeros(self.buckets)
        bad = seen.ended(RequestOutcome.ABANDONED) - unanswered + sure
        total = seen.not_injected - unanswered + sure
        return BucketCounts(self._timed(total)[None, :], self._timed(bad)[None, :])

    def _warming(self) -> dict[str, BucketCounts]:
        edges = [self.edges.get(name) for name in self.metrics]
        found = read_warming(self.con, self.spec, self.plan, self.buckets, edges, self.of)
        return {v: BucketCounts(self._timed(c.total), self._timed(c.bad)) for v, c in found.items()}

    def _pods(self) -> dict[str, dict[str, PodCounts]]:
        """By error share and variant; empty if one target answers for several variants.

        Such a target is a gateway or a client in front of the pods, and says nothing of them.
        """
        stretch = stretch_ms(self.plan.planned_ms)
        looked_ms = self.buckets * self.plan.bucket_ms
        span = self.plan.start_ms, self.plan.start_ms + looked_ms
        found = read_pod_requests(
            self.con, self.spec, span, stretch, variants=self.variants, series=self.series
        )
        owners = found.owners
        if not owners or any(len(variants) > 1 for variants in owners.values()):
            return {}
        return {
            name: found.counts(rule_of(self.spec, metric), -(-looked_ms // stretch))
            for name, metric in self.metrics.items()
            if isinstance(metric, ErrorShare)
        }
