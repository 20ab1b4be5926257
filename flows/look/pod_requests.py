"""Requests by pod up to a look: from sums of five minutes, and from samples at both ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.outcomes import ANSWERED, FailureRule, RequestOutcome
from analysis.requests.pod_counts import PodCounts
from flows.formats.time import instant
from flows.ingest.requests.pod_sums import FIVE_MINUTES_MS
from flows.ingest.requests.sample_runs import read_samples
from flows.look.on_grid import distinct, on_grid, steps_since
from flows.look.responses import ResponseKind, kinds_in
from flows.look.rows_of import EVERYBODY, RowsOf
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Columns, Connection, columns_of


@dataclass(frozen=True, slots=True)
class PodRequests:
    """Requests of series by stretch of time.

    variants, pods, kinds: of each series. series, stretch: int64[rows], index of the series, and
    number of the stretch; requests: float64[rows].
    """

    variants: tuple[str, ...]
    pods: tuple[str, ...]
    kinds: tuple[ResponseKind, ...]
    series: IntArray
    stretch: IntArray
    requests: FloatArray

    @property
    def _there(self) -> list[int]:
        """Series that had requests."""
        return list(np.flatnonzero(np.bincount(self.series)).tolist())

    @property
    def owners(self) -> dict[str, set[str]]:
        """By pod that had requests, the variants that it answered for."""
        found: dict[str, set[str]] = {}
        for index in self._there:
            found.setdefault(self.pods[index], set()).add(self.variants[index])
        return found

    def counts(self, rule: FailureRule | None, stretches: int) -> dict[str, PodCounts]:
        """By variant: answered requests of each pod, and failures by the spec's rule."""
        outcomes = [kind.outcome_by(rule) for kind in self.kinds]
        answered = np.array([outcome in ANSWERED for outcome in outcomes], np.bool_)
        failed = np.array([outcome is RequestOutcome.FAILURE for outcome in outcomes], np.bool_)
        variants = np.array(self.variants, object)
        found = {}
        for variant in sorted({self.variants[i] for i in self._there}):
            own = (answered & (variants == variant))[self.series]
            if not own.any():
                continue
            series = self.series[own]
            names = sorted({self.pods[i] for i in np.flatnonzero(np.bincount(series)).tolist()})
            position = {name: row for row, name in enumerate(names)}
            at = np.array([position.get(pod, 0) for pod in self.pods])[series], self.stretch[own]
            shape = (len(names), stretches)
            total = on_grid(self.requests[own], at, shape)
            bad = on_grid(self.requests[own] * failed[series], at, shape)
            summed = total.sum(axis=1), bad.sum(axis=1)
            found[variant] = PodCounts(tuple(names), *summed, BucketCounts(total, bad))
        return found


def read_series(con: Connection, spec: Experiment, of: RowsOf = EVERYBODY) -> Columns:
    """The series of requests, in order of their ids; of: whose."""
    return columns_of(
        con,
        "aggregate/request_series",
        experiment=spec.experiment,
        cohort=of.cohort,
        borrowed=of.borrowed,
    )


def read_pod_requests(
    con: Connection,
    spec: Experiment,
    span_ms: tuple[int, int],
    stretch_ms: int,
    *,
    variants: tuple[str, ...],
    of: RowsOf = EVERYBODY,
    series: Columns | None = None,
) -> PodRequests:
    """Of the given variants, in stretches from the span's begin on.

    span_ms: begin, excluded, and end. Five minutes of the clock belong to the stretch in which they
    begin. of: whose requests are read. series: of read_series, where they are known already.
    """
    since_ms, until_ms = span_ms
    series = read_series(con, spec, of) if series is None else series
    first_ms = min(-(-since_ms // FIVE_MINUTES_MS) * FIVE_MINUTES_MS, until_ms)
    last_ms = max(until_ms // FIVE_MINUTES_MS * FIVE_MINUTES_MS, first_ms)
    whole = columns_of(
        con,
        "aggregate/pod_requests",
        experiment=spec.experiment,
        whole_from=instant(first_ms),
        whole_until=instant(last_ms),
    )
    ids = series["series_id"]
    own = ids[np.isin(series["variant"], variants)]
    ends = read_samples(con, spec.experiment, span_ms, own, without_ms=(first_ms, last_ms))
    seen, at = distinct(np.concatenate([whole["series_id"], ends.series_id]))
    requests = np.concatenate([whole["requests"], ends.delta])
    had = np.isin(seen, own)[at] & (requests > 0)
    # A sample tells of the time before it.
    at_us = np.concatenate([whole["at_us"], 1000 * ends.ts_ms - 1])[had]
    return PodRequests(
        variants=tuple(series["variant"].tolist()),
        pods=tuple(series["pod"].tolist()),
        kinds=kinds_in(series),
        # In which place a series stands: they are in order.
        series=np.searchsorted(ids, seen)[at[had]],
        stretch=steps_since(at_us, since_ms, stretch_ms),
        requests=requests[had].astype(np.float64),
    )
