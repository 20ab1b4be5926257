"""Writes counted conversions into the warehouse, a window at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flows.formats.time import milliseconds_of
from flows.ingest.requests.claims import claim_windows, replace_windows
from flows.ingest.requests.windows import NewWindow, bucket_ms, selection_of
from flows.spec.experiment import Experiment
from flows.spec.sources import CounterSource
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.connection import open_writer, transaction

# Variant, outcome, start of the bucket in milliseconds.
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """Users by variant, outcome and bucket in one window."""

    new: NewWindow
    users: Mapping[Key, int]


@dataclass(frozen=True, slots=True)
class LoadedConversions:
    """What a load did: windows written, and why the others were left as they are."""

    windows: tuple[CountedWindow, ...]
    kept: tuple[str, ...]


def first_bucket_ms(spec: Experiment) -> int:
    """Where the plan's first whole bucket begins; 0 while its start isn't configured."""
    if spec.plan.start is None:
        return 0
    width = bucket_ms(spec)
    return -(-milliseconds_of(spec.plan.start) // width) * width


def conversion_selection(spec: Experiment, counters: CounterSource) -> str:
    """Identity of what is counted; another start counts other users of the same window."""
    first = first_bucket_ms(spec)
    text = f"{selection_of(spec)} {counters.metric} {counters.exposed} {first}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def load_conversions(
    warehouse: Path,
    spec: Experiment,
    counters: CounterSource,
    counted: Sequence[CountedWindow],
    warnings: Sequence[str],
) -> LoadedConversions:
    """Replaces the windows in one transaction, except where the warehouse has fuller data."""
    with open_writer(warehouse) as con, transaction(con):
        claimed = claim_windows(
            con,
            spec,
            "conversions",
            [each.new for each in counted],
            selection=conversion_selection(spec, counters),
            warnings=warnings,
        )
        written = tuple(each for each in counted if each.new.window in claimed.windows)
        if written:
            con.register("incoming_conversions", _table(written))
            replace_windows(con, spec, "conversion_buckets")
            for name in ("incoming_windows", "incoming_conversions"):
                con.unregister(name)
    return LoadedConversions(written, claimed.kept)


def _table(written: Sequence[CountedWindow]) -> object:
    rows = [
        (each.new.window.start_ms, *key, users)
        for each in written
        for key, users in sorted(each.users.items())
    ]
    return table(
        {
            "window_start": instants(np.array([row[0] for row in rows], np.int64)),
            "variant": texts([row[1] for row in rows]),
            "outcome": texts([row[2] for row in rows]),
            "bucket_start": instants(np.array([row[3] for row in rows], np.int64)),
            "users": numbers(np.array([row[4] for row in rows], np.int64)),
        }
    )
