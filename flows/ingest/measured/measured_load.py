"""What metrics of counters and queries ask for, and how their windows are written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.ingest.requests.claims import claim_windows
from flows.ingest.requests.windows import NewWindow, bucket_ms
from flows.spec.experiment import Experiment
from flows.spec.placeholders import rendered
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import run


@dataclass(frozen=True, slots=True)
class AskedSeries:
    """A metric's texts by variant and part; selection: identity of them."""

    metric: str
    texts: Mapping[tuple[str, str], str]
    selection: str


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """What a part of a metric adds up to in one bucket; of a query its value."""

    variant: str
    part: str
    bucket_start_ms: int
    amount: float


@dataclass(frozen=True, slots=True)
class MeasuredWindow:
    """One window of one metric."""

    new: NewWindow
    rows: tuple[MeasuredRow, ...]


@dataclass(frozen=True, slots=True)
class LoadedMeasured:
    """How many windows were written, and why the others were left as they are."""

    windows: int
    kept: tuple[str, ...]


def pulled_as(metric: str) -> str:
    """The name of a metric's windows among those of other sources."""
    return f"metric {metric}"


def asked_of(spec: Experiment, metric: str) -> AskedSeries:
    """What a metric asks for each variant."""
    one = spec.pulled_series[metric]
    asked = {
        (variant, part): rendered(text, spec, variant)
        for variant in spec.variants
        for part, text in one.parts.items()
    }
    identity = json.dumps([one.kind, bucket_ms(spec), sorted((*k, v) for k, v in asked.items())])
    return AskedSeries(metric, asked, hashlib.sha256(identity.encode()).hexdigest()[:16])


def load_measured(
    warehouse: Path,
    spec: Experiment,
    asked: AskedSeries,
    found: Sequence[MeasuredWindow],
    warnings: Sequence[str],
) -> LoadedMeasured:
    """Replaces the windows in one transaction, except where the warehouse has fuller data."""
    key = {"experiment": spec.experiment, "metric": asked.metric}
    with open_writer(warehouse) as con, transaction(con):
        claimed = claim_windows(
            con,
            spec,
            pulled_as(asked.metric),
            [each.new for each in found],
            selection=asked.selection,
            warnings=warnings,
        )
        written = [each for each in found if each.new.window in claimed.windows]
        if written:
            con.register("incoming_measured", _table(written))
            for name in ("load/forget_measured_buckets", "load/measured_buckets"):
                run(con, name, **key)
            for name in ("incoming_windows", "incoming_measured"):
                con.unregister(name)
    return LoadedMeasured(len(written), claimed.kept)


def _table(written: Sequence[MeasuredWindow]) -> object:
    rows = [(each.new.window.start_ms, row) for each in written for row in each.rows]
    return table(
        {
            "window_start": instants(np.array([start for start, _ in rows], np.int64)),
            "bucket_start": instants(np.array([row.bucket_start_ms for _, row in rows], np.int64)),
            "variant": texts([row.variant for _, row in rows]),
            "part": texts([row.part for _, row in rows]),
            "amount": numbers(np.array([row.amount for _, row in rows], np.float64)),
        }
    )
