"""Counters of which the source knows no past, but the warehouse does: the server was begun anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import Reason
from analysis.counting.lost_exposure import Cause, Losses
from flows.formats.time import instant, milliseconds_of
from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.windows import bucket_ms
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, columns_of

# So long before the plan, or before a window where its start isn't known, a past still counts.
_BEFORE_PLAN_MS, _BEFORE_WINDOW_MS = 300_000, 6 * 3_600_000
# Start times that differ by less are the same process; a wider step is a gap.
_SAME_MS, _GAP_BUCKETS = 2_000, 2.5


def with_known_pasts(
    con: Connection,
    spec: Experiment,
    series_ids: NDArray[np.uint64],
    windows: Sequence[WindowCounts],
) -> tuple[WindowCounts, ...]:
    """The windows, with first samples as the difference to what was pulled of the series before.

    Only of targets that the source hasn't seen before: labels that come back on one that it has
    were counted under others meanwhile. series_ids: uint64[series] of the windows, oldest first.
    """
    last_ms, last = np.full(len(series_ids), -1), np.zeros(len(series_ids))
    found = []
    for window in windows:
        counts = window
        if len(counts.unseen):
            stored_ms, stored = _stored(con, spec, series_ids, counts.window.start_ms)
            is_newer = last_ms > stored_ms
            known = np.where(is_newer, last_ms, stored_ms), np.where(is_newer, last, stored)
            counts = _bridged(counts, *known, bucket_ms(spec))
        found.append(counts)
        filled = np.flatnonzero(np.diff(counts.offsets))
        ends = counts.offsets[filled + 1] - 1
        last_ms[filled], last[filled] = counts.ts_ms[ends], counts.value[ends]
    return tuple(found)


def _stored(
    con: Connection, spec: Experiment, series_ids: NDArray[np.uint64], until_ms: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each series the last sample in the warehouse: its time, -1 without one, and its value."""
    start = spec.plan.start
    since_ms = until_ms - _BEFORE_WINDOW_MS
    if start is not None:
        since_ms = milliseconds_of(start) - _BEFORE_PLAN_MS
    rows = columns_of(
        con,
        "aggregate/last_values",
        experiment=spec.experiment,
        series=series_ids.tolist(),
        since=instant(since_ms),
        until=instant(until_ms),
    )
    order = np.argsort(series_ids)
    place = order[np.searchsorted(series_ids, rows["series_id"], sorter=order)]
    last_ms, last = np.full(len(series_ids), -1), np.zeros(len(series_ids))
    last_ms[place], last[place] = rows["last_ms"], rows["value"]
    return last_ms, last


def _bridged(
    counts: WindowCounts,
    last_ms: NDArray[np.int64],
    last: NDArray[np.float64],
    bucket: int,
) -> WindowCounts:
    series = counts.series[counts.unseen]
    is_known = last_ms[series] >= 0
    sample, row = counts.unseen[is_known], series[is_known]
    value, before, ts_ms = counts.value[sample], last[row], counts.ts_ms[sample]
    is_new = counts.began_ms[is_known] > last_ms[row] + _SAME_MS
    is_whole = is_new | (value < before)
    is_gap = ~is_whole & (ts_ms - last_ms[row] > _GAP_BUCKETS * bucket)
    delta, reason = counts.delta.copy(), counts.reason.copy()
    delta[sample] = np.where(is_whole, value, value - before)
    reason[sample] = np.select(
        [is_new, is_whole, is_gap], [Reason.RESTART, Reason.RESET, Reason.GAP], Reason.NORMAL
    )
    gaps = Losses(Cause.GAP, row[is_gap], ts_ms[is_gap], delta[sample[is_gap]])
    others = (loss.without(row) if loss.cause is Cause.BASELINE else loss for loss in counts.losses)
    return replace(counts, delta=delta, reason=reason, losses=(*others, gaps))
