"""Counts what a service's own counters say, those of no mesh, and writes it by bucket."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries
from flows.ingest.requests.claims import claim_windows, replace_windows
from flows.ingest.requests.counts import WindowCounts, count_windows
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.series_labels import target_of
from flows.ingest.requests.windows import NewWindow, Window, bucket_ms
from flows.ingest.sources.samples import Samples, SampleSource
from flows.spec.experiment import Experiment, Mesh
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import run

# Of a family only the start metrics matter here: plain client libraries export that of Linkerd's.
_PLAIN = FAMILIES[Mesh.LINKERD]


@dataclass(frozen=True, slots=True)
class BucketRow:
    """What a part of a metric, or an outcome, adds up to in one bucket; of a query its value."""

    variant: str
    part: str
    bucket_start_ms: int
    amount: float


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """One window of one metric, or of the conversions."""

    new: NewWindow
    rows: tuple[BucketRow, ...]


@dataclass(frozen=True, slots=True)
class LoadedBuckets:
    """What a load did: windows written, and why the others were left as they are."""

    windows: tuple[CountedWindow, ...]
    kept: tuple[str, ...]


def count_plain(
    source: SampleSource,
    samples: Samples,
    windows: Sequence[Window],
    *,
    counted: Sequence[Hashable],
    interval_ms: int,
) -> tuple[tuple[WindowCounts, ...], tuple[str, ...]]:
    """Every window from its own range only, and what the source said beside its answer.

    samples: of range_of; counted: by series, what it counts, whatever target has it.
    """
    target_of_series = [target_of(labels) for labels in samples.labels]
    targets = dict(
        sorted(zip(target_of_series, samples.labels, strict=True), key=lambda pair: pair[0])
    )
    row = np.searchsorted(list(targets), target_of_series).astype(np.int64)
    return count_windows(
        _PLAIN,
        source,
        CounterSeries(samples.offsets, samples.ts_ms, samples.values, row),
        targets,
        windows,
        counted=counted,
        interval_ms=interval_ms,
    )


def summed(
    spec: Experiment,
    owners: Sequence[tuple[str, str]],
    series: NDArray[np.int64],
    ts_ms: NDArray[np.int64],
    amount: NDArray[np.float64],
) -> list[BucketRow]:
    """Sums of amounts by variant, part and bucket, in their order; owners: both, by series."""
    width = bucket_ms(spec)
    keys = sorted(set(owners))
    key = np.array([keys.index(one) for one in owners], np.int64)[series]
    cells, cell = np.unique(
        np.stack([key, (ts_ms - 1) // width * width]), axis=1, return_inverse=True
    )
    sums = np.bincount(cell.reshape(-1), amount, cells.shape[1])
    return [
        BucketRow(keys[index][0], keys[index][1], bucket, total)
        for index, bucket, total in zip(*cells.tolist(), sums.tolist(), strict=True)
    ]


def load_buckets(
    warehouse: Path,
    spec: Experiment,
    source: str,
    found: Sequence[CountedWindow],
    *,
    metric: str,
    selection: str,
    warnings: Sequence[str],
) -> LoadedBuckets:
    """Replaces the windows in one transaction, except where the warehouse has fuller data.

    metric: whose buckets they are; "" of the conversions.
    """
    with open_writer(warehouse) as con, transaction(con):
        new = [each.new for each in found]
        claimed = claim_windows(con, spec, source, new, selection=selection, warnings=warnings)
        written = tuple(each for each in found if each.new.window in claimed.windows)
        if written:
            con.register("incoming_buckets", _table(written))
            if metric:
                for name in ("load/forget_measured_buckets", "load/measured_buckets"):
                    run(con, name, experiment=spec.experiment, metric=metric)
            else:
                replace_windows(con, spec, "conversion_buckets")
            for name in ("incoming_windows", "incoming_buckets"):
                con.unregister(name)
    return LoadedBuckets(written, claimed.kept)


def _table(written: Sequence[CountedWindow]) -> object:
    rows = [row for each in written for row in each.rows]
    starts = np.array([each.new.window.start_ms for each in written], np.int64)
    return table(
        {
            "window_start": instants(np.repeat(starts, [len(each.rows) for each in written])),
            "bucket_start": instants(np.array([row.bucket_start_ms for row in rows], np.int64)),
            "variant": texts([row.variant for row in rows]),
            "part": texts([row.part for row in rows]),
            "amount": numbers(np.array([row.amount for row in rows], np.float64)),
        }
    )
