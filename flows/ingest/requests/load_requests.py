"""Writes counted windows into the warehouse: all of a span in one transaction, or nothing."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import numbered
from analysis.counting.lost_exposure import Cause
from analysis.requests.outcomes import RequestOutcome
from flows.ingest.requests.bucket_sums import sums_table
from flows.ingest.requests.claims import Claimed, claim_windows, empty_windows
from flows.ingest.requests.count_spans import SpanCounts
from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.known_pasts import with_known_pasts
from flows.ingest.requests.mesh.family import UNATTRIBUTED, SeriesRole
from flows.ingest.requests.pod_sums import series_requests_table, target_times_table
from flows.ingest.requests.sample_runs import runs_table
from flows.ingest.requests.series import SeriesRow
from flows.ingest.requests.windows import NewWindow, bucket_ms, selection_of
from flows.spec.experiment import Experiment
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import Connection, run

# In the labels of a series, as JSON with sorted names.
_EDGE_LABEL = re.compile(r'"le": "[^"]*",? ?')
# Of windows, each with the statement of its name: what its rows are made of (a relation, or series
# of a role), and their time.
_TABLES: dict[str, tuple[str, str | None]] = {
    "exposure_lost": ("incoming_losses", "bucket_start"),
    "pod_starts": ("incoming_starts", None),
    "series_requests": ("incoming_series_requests", "five_minutes"),
    "target_times": ("incoming_target_times", "ts"),
    "request_buckets": (SeriesRole.REQUESTS, "bucket_start"),
    "latency_buckets": (SeriesRole.LATENCY, "bucket_start"),
    "optional_counters": (SeriesRole.OPTIONAL, "bucket_start"),
}


@dataclass(frozen=True, slots=True)
class LostRow:
    """A row of the table `exposure_lost`."""

    window_start_ms: int
    bucket_start_ms: int
    variant: str
    cohort: str
    cause: Cause
    events: int
    requests: float


@dataclass(frozen=True, slots=True)
class LoadedSpan:
    """What a load did: windows written, and why the others were left as they are."""

    windows: tuple[WindowCounts, ...]
    kept: tuple[str, ...]
    lost: tuple[LostRow, ...]


def load_span(spec: Experiment, span: SpanCounts, warehouse: Path) -> LoadedSpan:
    """Replaces the span's windows, except where the warehouse has fuller data.

    Raises WarehouseBusy or WarehouseUnusable, and then nothing was written.
    """
    with open_writer(warehouse) as con, transaction(con):
        claimed = claim_windows(
            con,
            spec,
            "requests",
            [
                NewWindow(
                    w.window, len(w.ts_ms), len(w.ts_ms), w.targets_up, w.notes, w.ts_ms, w.good_ms
                )
                for w in span.windows
            ],
            selection=selection_of(spec),
            warnings=span.warnings,
        )
        written = tuple(
            each.since(claimed.begin_of(each.window))
            for each in span.windows
            if each.window in claimed.windows
        )
        ids = np.array([row.series_id for row in span.series.rows], np.uint64)
        written = with_known_pasts(con, spec, ids, written)
        lost = _lost_rows(spec, span.series.rows, written)
        if written:
            _write(con, spec, span, claimed, written, lost)
    return LoadedSpan(written, claimed.kept, lost)


def _write(
    con: Connection,
    spec: Experiment,
    span: SpanCounts,
    claimed: Claimed,
    written: Sequence[WindowCounts],
    lost: Sequence[LostRow],
) -> None:
    incoming = {
        "incoming_series": _series_table(span.series.rows),
        "incoming_runs": runs_table(span.series.rows, written),
        "incoming_sums": sums_table(span.series.rows, written, bucket_ms(spec)),
        "incoming_losses": _losses_table(lost),
        "incoming_starts": _starts_table(written),
        "incoming_series_requests": series_requests_table(span.series.rows, written),
        "incoming_target_times": target_times_table(span.series.rows, written),
    }
    for name, rows in incoming.items():
        con.register(name, rows)
    filled = {name for name, rows in incoming.items() if rows.num_rows}
    filled |= {row.role for row in span.series.rows}
    for table_name, (source, time) in _TABLES.items():
        empty_windows(con, claimed, table_name, {"experiment": spec.experiment}, time=time)
        if source in filled:
            run(con, f"load/{table_name}", experiment=spec.experiment)
    empty_windows(
        con,
        claimed,
        "counter_samples",
        {"experiment": spec.experiment},
        forget="forget_sample_runs",
        again="uncovered_samples_again",
        owner="experiment_id = md5_number_lower($experiment)",
        time="ts",
    )
    for name in ("sample_runs", "forget_series", "series"):
        run(con, f"load/{name}", experiment=spec.experiment)
    for name in ("incoming_windows", "emptied_windows", *incoming):
        con.unregister(name)


def _series_table(rows: Sequence[SeriesRow]) -> Any:
    columns = {
        name: texts([getattr(row, name) for row in rows])
        for name in (field.name for field in fields(SeriesRow))
        if name not in ("series_id", "cut_off", "le_ms")
    }
    ids = np.array([row.series_id for row in rows], np.uint64)
    edges = np.array([np.nan if row.le_ms is None else row.le_ms for row in rows], np.float64)
    cut_off = np.array([row.cut_off for row in rows], np.uint8)
    measured = {
        "le_ms": numbers(edges),
        "cut_off": numbers(cut_off),
        "histogram": numbers(_histograms(rows)),
    }
    return table({"series_id": numbers(ids), **measured, **columns})


def _histograms(rows: Sequence[SeriesRow]) -> NDArray[np.int64]:
    """int64[series], the same number for the buckets of one histogram."""
    return numbered(_EDGE_LABEL.sub("", row.labels) for row in rows)


def _losses_table(lost: Sequence[LostRow]) -> Any:
    return table(
        {
            "window_start": instants(np.array([row.window_start_ms for row in lost], np.int64)),
            "bucket_start": instants(np.array([row.bucket_start_ms for row in lost], np.int64)),
            "variant": texts([row.variant for row in lost]),
            "cohort": texts([row.cohort for row in lost]),
            "cause": texts([row.cause for row in lost]),
            "events": numbers(np.array([row.events for row in lost], np.int64)),
            "requests": numbers(np.array([row.requests for row in lost], np.float64)),
        }
    )


def _starts_table(written: Sequence[WindowCounts]) -> Any:
    rows = [(w.window.start_ms, *one) for w in written for one in w.started.items()]
    return table(
        {
            "window_start": instants(np.array([window for window, _, _ in rows], np.int64)),
            "target": texts([target for _, target, _ in rows]),
            "started": instants(np.array([started for _, _, started in rows], np.int64)),
        }
    )


def _lost_rows(
    spec: Experiment, rows: Sequence[SeriesRow], written: Sequence[WindowCounts]
) -> tuple[LostRow, ...]:
    """Losses of request series, summed per bucket, variant, cohort and cause."""
    targets = defaultdict[tuple[int, int, str, str, Cause], set[str]](set)
    requests = defaultdict[tuple[int, int, str, str, Cause], list[float]](list)
    width = bucket_ms(spec)
    for window in written:
        for cause, index, ts_ms, amount in _losses(rows, window):
            row = rows[index]
            if row.role is SeriesRole.REQUESTS and amount > 0:
                bucket = (ts_ms - 1) // width * width
                key = (window.window.start_ms, bucket, row.variant, row.cohort, cause)
                targets[key].add(row.target)
                requests[key].append(amount)
    # fsum: the order in which a server lists its series must not show in the last digit.
    return tuple(
        LostRow(*key, events=len(targets[key]), requests=math.fsum(requests[key]))
        for key in sorted(requests)
    )


def _losses(rows: Sequence[SeriesRow], window: WindowCounts) -> list[tuple[Cause, int, int, float]]:
    """Cause, series, time and estimate of every loss, unattributed failures among them."""
    found = [
        (loss.cause, *loss_row)
        for loss in window.losses
        for loss_row in zip(
            loss.series.tolist(), loss.ts_ms.tolist(), loss.requests.tolist(), strict=True
        )
    ]
    is_lost = np.array(
        [r.variant == UNATTRIBUTED and r.outcome == RequestOutcome.FAILURE for r in rows], np.bool_
    )
    sample = np.flatnonzero(np.repeat(is_lost, np.diff(window.offsets)))
    index, ts_ms = window.series[sample].tolist(), window.ts_ms[sample].tolist()
    amount = window.delta[sample].tolist()
    found += [(Cause.UNATTRIBUTED, i, t, a) for i, t, a in zip(index, ts_ms, amount, strict=True)]
    return found
