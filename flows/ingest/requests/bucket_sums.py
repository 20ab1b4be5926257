"""Sums of differences by bucket, taken from the samples in memory: few rows are left to group."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.mesh.family import SeriesRole
from flows.ingest.requests.series import SeriesRow
from flows.warehouse.arrow_columns import instants, numbers, table

# Cells per sample up to which a place for each is cheaper than to sort the samples by cell.
_MOST_EMPTY = 8


def sums_by_cell(
    cell: NDArray[np.int64], amount: NDArray[np.float64], cells: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cells that have a sample, ascending, and the sum of the amounts in each.

    cell: int64[samples], each below `cells`; amount: float64[samples].
    """
    if cells > _MOST_EMPTY * len(cell):
        found, of_sample = np.unique(cell, return_inverse=True)
        return found, np.bincount(of_sample, amount, len(found)).astype(np.float64)
    found = np.flatnonzero(np.bincount(cell, minlength=cells)).astype(np.int64)
    sums = np.bincount(cell, amount, cells)[found].astype(np.float64)
    return found, sums


def sums_table(rows: Sequence[SeriesRow], written: Sequence[WindowCounts], width_ms: int) -> Any:
    """What series add to each bucket: window_start, bucket_start, series_id and delta.

    Those that all tables of buckets count as the same are one, under the id of the first.
    """
    first: dict[Hashable, int] = {}
    owner = np.array(
        [first.setdefault(_counted_as(row), i) for i, row in enumerate(rows)], np.int64
    )
    ids = np.array([row.series_id for row in rows], np.uint64)
    starts, buckets, series, deltas = [], [], [], []
    for counts in written:
        begin_ms, end_ms = counts.window.start_ms, counts.window.end_ms
        in_window = -(-(end_ms - begin_ms) // width_ms)
        cell = np.repeat(owner * in_window, np.diff(counts.offsets))
        cell += (counts.ts_ms - (begin_ms + 1)) // width_ms
        cells, delta = sums_by_cell(cell, counts.delta, len(rows) * in_window)
        starts.append(np.full(len(cells), begin_ms))
        buckets.append(begin_ms + cells % in_window * width_ms)
        series.append(ids[cells // in_window])
        deltas.append(delta)
    return table(
        {
            "window_start": instants(np.concatenate(starts)),
            "bucket_start": instants(np.concatenate(buckets)),
            "series_id": numbers(np.concatenate(series)),
            "delta": numbers(np.concatenate(deltas)),
        }
    )


def _counted_as(row: SeriesRow) -> Hashable:
    """What decides in which row of a bucket a series counts; a histogram's edges stay apart."""
    if row.role is SeriesRole.LATENCY:
        return row.series_id
    if row.role is SeriesRole.OPTIONAL:
        return (row.role, row.variant, row.cohort, row.metric)
    response = (row.outcome, row.response_code, row.grpc_status, row.response_flags)
    return (row.role, row.variant, row.cohort, row.route, *response)
