"""Claims windows of counters for a load: those that the warehouse doesn't have fuller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.ingest.requests.windows import (
    NewWindow,
    Window,
    kept_because,
    loaded_windows,
    overlapped,
)
from flows.spec.experiment import Experiment
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class Claimed:
    """Windows that are to be written, and why the others stay as they are.

    has_rows: whether rows of what was loaded of their time are to be taken away first.
    """

    windows: frozenset[Window]
    kept: tuple[str, ...]
    has_rows: bool


def claim_windows(
    con: Connection,
    spec: Experiment,
    source: str,
    counted: Sequence[NewWindow],
    *,
    selection: str,
    warnings: Sequence[str],
) -> Claimed:
    """Writes down what the windows hold from now on, in the caller's transaction.

    Leaves those that were claimed in the relation incoming_windows and what they take the place of
    in emptied_windows, for the statements that fill and empty them. selection: what was counted as
    what; warnings: what the source said.
    """
    known = loaded_windows(con, spec, source)
    reasons: dict[Window, str] = {}
    emptied: set[int] = set()
    for each in counted:
        replaced = overlapped(each.window, known)
        if same := known.get(each.window.start_ms):
            replaced[each.window.start_ms] = same
        found = (
            kept_because(each, old, selection=selection, warnings=warnings)
            for old in replaced.values()
        )
        if reason := next(filter(None, found), None):
            reasons[each.window] = reason
        else:
            emptied |= replaced.keys()
    claimed = [each for each in counted if each.window not in reasons]
    if claimed:
        con.register("incoming_windows", _windows_table(claimed))
        con.register(
            "emptied_windows",
            table({"window_start": instants(np.array(sorted(emptied), np.int64))}),
        )
        run(con, "load/unclaimed_windows", experiment=spec.experiment, source=source)
        run(
            con,
            "load/claimed_windows",
            experiment=spec.experiment,
            source=source,
            selection=selection,
            warnings=list(warnings),
        )
    return Claimed(
        windows=frozenset(each.window for each in claimed),
        kept=tuple(reasons.values()),
        has_rows=bool(emptied),
    )


def replace_windows(con: Connection, spec: Experiment, claimed: Claimed, table_name: str) -> None:
    """Empties a table's windows, and fills the claimed ones by the statement of its name."""
    if claimed.has_rows:
        run(con, "load/forget_windows", {"windows": table_name}, experiment=spec.experiment)
    run(con, f"load/{table_name}", experiment=spec.experiment)


def _windows_table(claimed: Sequence[NewWindow]) -> object:
    return table(
        {
            "window_start": instants(np.array([each.window.start_ms for each in claimed])),
            "window_end": instants(np.array([each.window.end_ms for each in claimed])),
            "row_count": numbers(np.array([each.row_count for each in claimed])),
            "targets_up": numbers(np.array([each.targets_up for each in claimed])),
            "notes": texts(["\n".join(each.notes) for each in claimed]),
        }
    )
