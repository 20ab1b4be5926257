"""Claims windows of counters for a load: those that the warehouse doesn't have fuller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flows.ingest.requests.windows import NewWindow, Window, kept_because, loaded_windows
from flows.spec.experiment import Experiment
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class Claimed:
    """Windows that are to be written, and why the others stay as they are.

    has_rows: whether any of them was loaded before, so that rows of it are to be taken away.
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

    Leaves those that were claimed in the relation incoming_windows, for the statements that empty
    and fill them. selection: what was counted as what; warnings: what the source said.
    """
    known = loaded_windows(con, spec, source)
    reasons = {
        each.window: kept_because(
            each, known.get(each.window.start_ms), selection=selection, warnings=warnings
        )
        for each in counted
    }
    claimed = [each for each in counted if reasons[each.window] is None]
    if claimed:
        con.register("incoming_windows", _windows_table(claimed))
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
        kept=tuple(text for text in reasons.values() if text),
        has_rows=any(each.window.start_ms in known for each in claimed),
    )


def replace_windows(con: Connection, spec: Experiment, claimed: Claimed, table_name: str) -> None:
    """Empties the claimed windows of a table, and fills them by the statement of its name."""
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
