"""What looks ask of single pods, kept small: requests by five minutes, and when targets began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import Reason
from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.mesh.family import SeriesRole
from flows.ingest.requests.series import SeriesRow
from flows.warehouse.arrow_columns import instants, numbers, table, texts

FIVE_MINUTES_MS = 300_000
_BEGAN = (Reason.RESET, Reason.BIRTH, Reason.RESTART)


def series_requests_table(rows: Sequence[SeriesRow], written: Sequence[WindowCounts]) -> Any:
    """Of each series of requests, in each five minutes since the epoch that had some: how many."""
    ids = np.array([row.series_id for row in rows], np.uint64)
    is_request = np.array([row.role is SeriesRole.REQUESTS for row in rows], np.bool_)
    starts, begins, series, sums = [], [], [], []
    for counts in written:
        first = counts.window.start_ms // FIVE_MINUTES_MS
        in_window = (counts.window.end_ms - 1) // FIVE_MINUTES_MS - first + 1
        sizes = np.diff(counts.offsets)
        own = np.repeat(is_request, sizes)
        cell = np.repeat(np.flatnonzero(is_request) * in_window, sizes[is_request])
        cell += (counts.ts_ms[own] - 1) // FIVE_MINUTES_MS - first
        # Series after series, in order of time: those of a cell follow one another.
        first_of_cell = np.flatnonzero(np.diff(cell, prepend=-1))
        requests = np.add.reduceat(counts.delta[own], first_of_cell) if len(cell) else np.zeros(0)
        cells, requests = cell[first_of_cell][requests > 0], requests[requests > 0]
        starts.append(np.full(len(cells), counts.window.start_ms))
        begins.append((first + cells % in_window) * FIVE_MINUTES_MS)
        series.append(ids[cells // in_window])
        sums.append(requests)
    return table(
        {
            "window_start": instants(np.concatenate(starts)),
            "series_id": numbers(np.concatenate(series)),
            "five_minutes": instants(np.concatenate(begins)),
            "requests": numbers(np.concatenate(sums)),
        }
    )


def target_times_table(rows: Sequence[SeriesRow], written: Sequence[WindowCounts]) -> Any:
    """Of each target and variant, in each window: the first sample, and those that began at zero.

    The first one's reason is 0, whatever it is by itself.
    """
    number: dict[tuple[str, str], int] = {}
    owner = np.array(
        [number.setdefault((row.target, row.variant), len(number)) for row in rows], np.int64
    )
    owners = list(number)
    found = [
        (counts.window.start_ms, *owners[who], ts_ms, reason)
        for counts in written
        for who, ts_ms, reason in _times(counts, owner, len(owners))
    ]
    return table(
        {
            "window_start": instants(np.array([row[0] for row in found], np.int64)),
            "target": texts([row[1] for row in found]),
            "variant": texts([row[2] for row in found]),
            "ts": instants(np.array([row[3] for row in found], np.int64)),
            "reason": numbers(np.array([row[4] for row in found], np.int64)),
        }
    )


def _times(
    counts: WindowCounts, owner: NDArray[np.int64], owners: int
) -> list[tuple[int, int, int]]:
    """Owner, time and reason."""
    filled = np.flatnonzero(np.diff(counts.offsets))
    none = np.iinfo(np.int64).max
    first = np.full(owners, none)
    np.minimum.at(first, owner[filled], counts.ts_ms[counts.offsets[filled]])
    began = np.flatnonzero(np.isin(counts.reason, _BEGAN))
    series = np.searchsorted(counts.offsets, began, side="right") - 1
    begun = np.stack((owner[series], counts.ts_ms[began], counts.reason[began].astype(np.int64)))
    return [
        *((who, ts_ms, 0) for who, ts_ms in enumerate(first.tolist()) if ts_ms != none),
        *((who, ts_ms, reason) for who, ts_ms, reason in np.unique(begun, axis=1).T.tolist()),
    ]
