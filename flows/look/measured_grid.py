"""The spec's own counters and queries, laid out on the buckets of a look."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.evidence import MeasuredEvidence, RequestEvidence
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.value_pairs import BucketValues
from flows.formats.time import instant
from flows.ingest.measured.asked_series import asked_of
from flows.look.measured_doubts import Seen, counter_as_gauge, doubt_about, more_infinite_ones
from flows.spec.experiment import Experiment
from flows.spec.measured import SESSIONS, CounterRate, CounterRatio, Gauge, MeasuredMetric
from flows.warehouse.statements import Connection, columns_of

# By part, its amounts with NaN where nothing is known: float64[buckets].
Parts = Mapping[str, FloatArray]


def read_measured(
    con: Connection,
    spec: Experiment,
    plan: Plan,
    buckets: int,
    requests: RequestEvidence | None,
) -> MeasuredEvidence:
    """What every such metric says up to a look; requests: of the mesh, for rates per request."""
    grid = _Grid(spec, plan, buckets, requests, amounts_of(con, spec, plan, buckets))
    ratios = [n for n, m in spec.measured_metrics.items() if isinstance(m, CounterRatio)]
    seen = {
        (name, arm): grid.seen(name, metric, arm)
        for name, metric in spec.measured_metrics.items()
        for arm in spec.variants
    }
    return MeasuredEvidence(
        events=RequestEvidence(
            stage=grid.stage,
            requests={},
            metrics=tuple(ratios),
            counts={
                arm: _stacked([seen[n, arm] for n in ratios], buckets) for arm in spec.variants
            },
        ),
        values={
            name: {arm: seen[name, arm].values for arm in spec.variants}
            for name in spec.measured_metrics
            if name not in ratios
        },
        unknown={
            (name, candidate): why
            for name in spec.measured_metrics
            for candidate in plan.candidates
            if (why := grid.doubt(name, candidate, seen)) is not None
        },
    )


def read_sessions(
    con: Connection, spec: Experiment, plan: Plan, buckets: int
) -> dict[str, FloatArray] | None:
    """New sessions by variant and bucket; None where the spec names no counter of them."""
    if spec.sessions is None:
        return None
    found = amounts_of(con, spec, plan, buckets)
    nothing = np.zeros(buckets)
    return {
        arm: np.nan_to_num(found.get((SESSIONS, arm), {}).get("part", nothing))
        for arm in spec.variants
    }


def _stacked(seen: list[Seen], buckets: int) -> BucketCounts:
    weight = np.array([one.values.weight for one in seen]).reshape(len(seen), buckets)
    return BucketCounts(weight, np.array([one.values.amount for one in seen]).reshape(weight.shape))


def amounts_of(
    con: Connection, spec: Experiment, plan: Plan, buckets: int
) -> Mapping[tuple[str, str], dict[str, FloatArray]]:
    """By metric and variant, the parts that have any row."""
    rows = columns_of(
        con,
        "aggregate/look_measured",
        experiment=spec.experiment,
        since=instant(plan.start_ms),
        until=instant(plan.start_ms + buckets * plan.bucket_ms),
    )
    start = rows["bucket_start"].astype("datetime64[ms]").astype(np.int64)
    index = (start - plan.start_ms) // plan.bucket_ms
    found = defaultdict[tuple[str, str], dict[str, FloatArray]](dict)
    keys = zip(
        rows["metric"].tolist(), rows["variant"].tolist(), rows["part"].tolist(), strict=True
    )
    for (metric, variant, part), at, amount in zip(keys, index, rows["amount"], strict=True):
        parts = found[metric, variant]
        parts.setdefault(part, np.full(buckets, np.nan))[at] = amount
    return found


@dataclass(frozen=True, slots=True)
class _Grid:
    spec: Experiment
    plan: Plan
    buckets: int
    requests: RequestEvidence | None
    amounts: Mapping[tuple[str, str], Parts]

    @property
    def stage(self) -> IntArray:
        """The plan's stage of each bucket."""
        starts = self.plan.start_ms + np.arange(self.buckets) * self.plan.bucket_ms
        begins = [stage.start_ms for stage in self.plan.stages]
        return np.searchsorted(begins, starts, "right") - 1

    def shares(self, arm: str) -> FloatArray:
        """The configured share of each bucket; NaN where none is."""
        said = np.array([stage.shares.get(arm, np.nan) for stage in self.plan.stages])
        return said[self.stage] if self.buckets else np.zeros(0)

    def seen(self, name: str, metric: MeasuredMetric, arm: str) -> Seen:
        """One metric of one variant: what is known of it, bucket by bucket."""
        parts = self.amounts.get((name, arm), {})
        nothing = np.full(self.buckets, np.nan)
        if isinstance(metric, Gauge):
            value = parts.get("query", nothing)
            known = np.isfinite(value)
            return Seen(_values(known.astype(np.float64), value, known, False), known, parts)
        of, part = self._of(metric, arm, parts), parts.get("part", nothing)
        # Of one process both are scraped at once; a series that was born late was 0 before.
        known = np.isfinite(of) & bool(np.isfinite(part).any())
        amount = np.where(known, np.nan_to_num(part), 0.0)
        if isinstance(metric, CounterRate):
            known &= of > 0
            return Seen(_values(of, amount, known, True), np.isfinite(of), parts)
        total = np.where(known, of, 0.0)
        bad = amount if metric.good is None else total - amount
        bad, left = _carried(bad, total)
        return Seen(BucketValues(total, bad, True), known, parts, left)

    def _of(self, metric: CounterRatio | CounterRate, arm: str, parts: Parts) -> FloatArray:
        """What events are per, in each bucket; NaN where it isn't known."""
        nothing = np.full(self.buckets, np.nan)
        if isinstance(metric, CounterRatio) or metric.per not in ("request", "second"):
            return parts.get("of", nothing)
        part = parts.get("part", nothing)
        if metric.per == "second":
            return self._seconds(np.isfinite(part)) * self.shares(arm)
        if self.requests is None or arm not in self.requests.requests:
            return nothing
        return np.where(np.isfinite(part), self.requests.requests[arm], np.nan)

    def _seconds(self, known: BoolArray) -> FloatArray:
        """Time that each bucket's differences cover: also that of buckets without a scrape."""
        at = np.flatnonzero(known)
        seconds = np.full(self.buckets, np.nan)
        seconds[at] = np.diff(at, prepend=at[0] - 1 if at.size else 0) * self.plan.bucket_ms / 1000
        return seconds

    def doubt(self, name: str, candidate: str, seen: Mapping[tuple[str, str], Seen]) -> str | None:
        """Why nothing may be concluded from a metric's health; None if something may."""
        metric, baseline = self.spec.measured_metrics[name], self.plan.baseline
        both = seen[name, candidate], seen[name, baseline]
        for why_not in (more_infinite_ones, counter_as_gauge):
            if isinstance(metric, Gauge) and (why := why_not(metric, candidate, *both)):
                return why
        asked = asked_of(self.spec, name).texts
        with_traffic = ~(self.shares(candidate) == 0) & ~(self.shares(self.plan.baseline) == 0)
        for arm in (candidate, self.plan.baseline):
            texts = {part: text for (owner, part), text in asked.items() if owner == arm}
            found = doubt_about(self.spec, name, arm, seen[name, arm], texts, with_traffic)
            if found is not None:
                return found
        return None


def _values(
    weight: FloatArray, amount: FloatArray, known: BoolArray, is_counted: bool
) -> BucketValues:
    return BucketValues(np.where(known, weight, 0.0), np.where(known, amount, 0.0), is_counted)


def _carried(bad: FloatArray, total: FloatArray) -> tuple[FloatArray, float]:
    """Bad events, at most all: what is beyond is of events that are counted in another bucket.

    Also how many are left over at the end.
    """
    left, out = 0.0, np.zeros(len(bad))
    for i, (more, most) in enumerate(zip(bad.tolist(), total.tolist(), strict=True)):
        out[i] = min(max(left + more, 0.0), most)
        left += more - out[i]
    return out, left
