"""Writes counted conversions into the warehouse, a window at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from flows.formats.time import instant, milliseconds_of
from flows.ingest.requests.windows import LoadedWindow, Window, bucket_ms, selection_of
from flows.spec.experiment import Experiment
from flows.spec.sources import CounterSource
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Variant, outcome, start of the bucket in milliseconds.
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True)
class CountedWindow:
    """Users by variant, outcome and bucket in one window; targets_up: good scrapes in it."""

    window: Window
    users: Mapping[Key, int]
    samples: int
    targets_up: int


def first_bucket_ms(spec: Experiment) -> int:
    """Where the plan's first whole bucket begins; 0 while its start isn't configured."""
    if spec.plan.start is None:
        return 0
    width = bucket_ms(spec)
    return -(-milliseconds_of(spec.plan.start) // width) * width


def _selection(spec: Experiment, counters: CounterSource) -> str:
    """Identity of what is counted; another start counts other users of the same window."""
    first = first_bucket_ms(spec)
    text = f"{selection_of(spec)} {counters.metric} {counters.exposed} {first}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def loaded_conversions(
    con: DuckDBPyConnection, spec: Experiment, counters: CounterSource
) -> dict[int, LoadedWindow]:
    """The windows in the warehouse, by their start, as if of the spec's selection where equal."""
    rows = con.execute(
        statement("aggregate/conversion_windows"), {"experiment": spec.experiment}
    ).fetchall()
    ours, same = _selection(spec, counters), selection_of(spec)
    return {
        start: LoadedWindow(end, row_count, targets_up, has_warnings, same if old == ours else "")
        for start, end, row_count, targets_up, has_warnings, old in rows
    }


def load_conversions(
    warehouse: Path,
    spec: Experiment,
    counters: CounterSource,
    counted: Sequence[CountedWindow],
    warnings: Sequence[str],
) -> list[CountedWindow]:
    """Replaces the windows in one transaction; those that it wrote: less never replaces more."""
    with open_writer(warehouse) as con, transaction(con):
        known = loaded_conversions(con, spec, counters)
        fuller = [
            each
            for each in counted
            if not _is_poorer(each, known.get(each.window.start_ms), has_warnings=bool(warnings))
        ]
        for each in fuller:
            _write_window(con, spec, each, warnings, _selection(spec, counters))
    return fuller


def _is_poorer(new: CountedWindow, old: LoadedWindow | None, *, has_warnings: bool) -> bool:
    if old is None or not old.selection:
        return False
    if has_warnings and not old.has_warnings:
        return True
    return new.targets_up < old.targets_up or (new.targets_up == 0 and new.samples < old.row_count)


def _write_window(
    con: DuckDBPyConnection,
    spec: Experiment,
    counted: CountedWindow,
    warnings: Sequence[str],
    selection: str,
) -> None:
    from flows.warehouse import arrow_columns as arrow  # noqa: PLC0415

    key = {"experiment": spec.experiment, "window_start": instant(counted.window.start_ms)}
    control = {
        "window_end": instant(counted.window.end_ms),
        "row_count": counted.samples,
        "targets_up": counted.targets_up,
        "warnings": list(warnings),
        "selection": selection,
    }
    con.execute(statement("load/conversion_control"), {**key, **control})
    con.execute(statement("load/forget_conversion_buckets"), key)
    rows = sorted(counted.users.items())
    table = arrow.table(
        {
            "bucket_start": arrow.instants(np.array([k[2] for k, _ in rows], np.int64)),
            "variant": arrow.texts([k[0] for k, _ in rows]),
            "outcome": arrow.texts([k[1] for k, _ in rows]),
            "users": arrow.numbers(np.array([count for _, count in rows], np.int64)),
        }
    )
    con.register("incoming_conversions", table)
    con.execute(statement("load/conversion_buckets"), key)
    con.unregister("incoming_conversions")
