"""Counts what a service's own counters say, those of no mesh, and writes it by bucket."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, numbered
from flows.ingest.requests.bucket_sums import sums_by_cell
from flows.ingest.requests.claims import claim_windows, empty_windows, replace_windows
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
_OF_METRIC = (
    "part_id in (select part_id from measured_parts where experiment = $experiment and "
    "metric = $metric)"
)


@dataclass(frozen=True, slots=True)
class BucketRows:
    """What parts of a metric, or outcomes, add up to in each bucket; of a query its values.

    owners: variants and their parts. owner: int64[rows], index of owners. bucket_start_ms:
    int64[rows]. amount: float64[rows].
    """

    owners: tuple[tuple[str, str], ...]
    owner: NDArray[np.int64]
    bucket_start_ms: NDArray[np.int64]
    amount: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.owner)

    def where(self, kept: NDArray[np.bool_]) -> BucketRows:
        """Some of the rows."""
        rows = self.owner[kept], self.bucket_start_ms[kept], self.amount[kept]
        return BucketRows(self.owners, *rows)

    def totals(self) -> dict[tuple[str, str], float]:
        """Sums over all buckets, by owner with a row."""
        sums = np.bincount(self.owner, self.amount, len(self.owners))
        return {self.owners[i]: float(sums[i]) for i in np.unique(self.owner)}


def joined_rows(pieces: Sequence[BucketRows]) -> BucketRows:
    """All of them, one after the other."""
    owners: dict[tuple[str, str], int] = {}
    own = [
        np.array([owners.setdefault(one, len(owners)) for one in piece.owners], np.int64)[
            piece.owner
        ]
        for piece in pieces
    ]
    return BucketRows(
        tuple(owners),
        np.concatenate([np.zeros(0, np.int64), *own]),
        np.concatenate([np.zeros(0, np.int64), *(piece.bucket_start_ms for piece in pieces)]),
        np.concatenate([np.zeros(0), *(piece.amount for piece in pieces)]),
    )


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """One window of one metric, or of the conversions."""

    new: NewWindow
    rows: BucketRows

    def since(self, start_ms: int) -> CountedWindow:
        """The same window without what was before a time in it."""
        if start_ms == self.new.window.start_ms:
            return self
        rows = self.rows.where(self.rows.bucket_start_ms >= start_ms)
        return CountedWindow(self.new.part(start_ms, self.new.window.end_ms), rows)


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
        CounterSeries(
            samples.offsets,
            samples.ts_ms,
            samples.values,
            row,
            numbered(labels["__name__"] for labels in samples.labels),
        ),
        targets,
        windows,
        labels_of=samples.labels.__getitem__,
        counted=counted,
        interval_ms=interval_ms,
    )


def summed(
    spec: Experiment,
    owners: Sequence[tuple[str, str]],
    series: NDArray[np.int64],
    ts_ms: NDArray[np.int64],
    amount: NDArray[np.float64],
) -> BucketRows:
    """Sums of amounts by variant, part and bucket, in their order; owners: both, by series."""
    width = bucket_ms(spec)
    index = {one: i for i, one in enumerate(sorted(set(owners)))}
    bucket = (ts_ms - 1) // width
    first, last = (int(bucket.min()), int(bucket.max())) if len(bucket) else (0, 0)
    buckets = last - first + 1
    cell = np.array([index[one] for one in owners], np.int64)[series] * buckets + bucket - first
    cells, sums = sums_by_cell(cell, amount, len(index) * buckets)
    return BucketRows(tuple(index), cells // buckets, (cells % buckets + first) * width, sums)


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
        written = tuple(
            each.since(claimed.begin_of(each.new.window))
            for each in found
            if each.new.window in claimed.windows
        )
        if written:
            rows = joined_rows([each.rows for each in written])
            con.register("incoming_parts", _parts_table(rows.owners))
            con.register("incoming_buckets", _buckets_table(written, rows))
            if metric:
                own = {"experiment": spec.experiment, "metric": metric}
                empty_windows(
                    con,
                    claimed,
                    "measured_buckets",
                    own,
                    forget="forget_measured_buckets",
                    owner=_OF_METRIC,
                )
                for name in ("measured_parts", "measured_buckets"):
                    run(con, f"load/{name}", **own)
            else:
                replace_windows(con, spec, claimed, "conversion_buckets")
            for name in (
                "incoming_windows",
                "emptied_windows",
                "incoming_parts",
                "incoming_buckets",
            ):
                con.unregister(name)
    return LoadedBuckets(written, claimed.kept)


def _parts_table(owners: Sequence[tuple[str, str]]) -> object:
    variants, parts = (texts([one[i] for one in owners]) for i in (0, 1))
    owner = numbers(np.arange(len(owners), dtype=np.int64))
    return table({"owner": owner, "variant": variants, "part": parts})


def _buckets_table(written: Sequence[CountedWindow], rows: BucketRows) -> object:
    starts = np.array([each.new.window.start_ms for each in written], np.int64)
    return table(
        {
            "window_start": instants(np.repeat(starts, [len(each.rows) for each in written])),
            "bucket_start": instants(rows.bucket_start_ms),
            "owner": numbers(rows.owner),
            "amount": numbers(rows.amount),
        }
    )
