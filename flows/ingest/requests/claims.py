"""Claims windows of counters for a load: those that the warehouse doesn't have fuller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flows.formats.time import instant
from flows.ingest.requests.windows import (
    LoadedWindow,
    NewWindow,
    Window,
    fitted,
    loaded_windows,
    overlapped,
)
from flows.spec.experiment import Experiment
from flows.warehouse.arrow_columns import instants, numbers, table, texts
from flows.warehouse.statements import Connection, run

# When a row begins and how long it is, by the column of its time. Buckets were of any width, which
# their begins and the window's ends are multiples of.
_TIMES = {
    "bucket_start": (
        "epoch_ms(bucket_start)",
        (
            "list_reduce(list(distinct held.begin_ms) || [epoch_ms(held.window_start), "
            "epoch_ms(max(spans.window_end))], lambda a, b: gcd(a, b))"
        ),
    ),
    "five_minutes": ("epoch_ms(five_minutes)", "300_000"),
    "ts": ("epoch_ms(ts) - 1", "1"),
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Windows that are to be written, and why the others stay as they are.

    has_rows: whether rows of what was loaded of their time are to be taken away first; is_cut:
    whether some of that is of time that none of them covers, and stays. begins: of those that are
    to be written from a later time on.
    """

    windows: frozenset[Window]
    kept: tuple[str, ...]
    has_rows: bool
    is_cut: bool = False
    begins: Mapping[Window, int] = field(default_factory=dict)

    def begin_of(self, window: Window) -> int:
        """From when on one of the windows is to be written."""
        return self.begins.get(window, window.start_ms)


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
    in emptied_windows, for the statements that fill and empty them; what lies of these outside of
    the claimed ones, in uncovered_spans, stays known as it was. selection: what was counted as
    what; warnings: what the source said.
    """
    known = loaded_windows(con, spec, source)
    reasons: list[str] = []
    emptied: dict[int, LoadedWindow] = {}
    claimed_as: dict[Window, NewWindow] = {}
    for each in counted:
        replaced = overlapped(each.window, known)
        if same := known.get(each.window.start_ms):
            replaced[each.window.start_ms] = same
        new, reason = fitted(each, replaced, selection=selection, warnings=warnings)
        reasons += [reason] if reason else []
        if new:
            claimed_as[each.window] = new
            emptied |= {s: old for s, old in replaced.items() if old.end_ms > new.window.start_ms}
    claimed = [*claimed_as.values()]
    spans = _uncovered(emptied, [each.window for each in claimed])
    if claimed:
        con.register("incoming_windows", _windows_table(claimed))
        _give_way(con, spec, source, emptied, spans)
        run(
            con,
            "load/claimed_windows",
            experiment=spec.experiment,
            source=source,
            selection=selection,
            warnings=list(warnings),
        )
    return Claimed(
        windows=frozenset(claimed_as),
        kept=tuple(reasons),
        has_rows=bool(emptied),
        is_cut=bool(spans),
        begins={w: n.window.start_ms for w, n in claimed_as.items() if n.window != w},
    )


def _give_way(
    con: Connection,
    spec: Experiment,
    source: str,
    emptied: Mapping[int, LoadedWindow],
    spans: Sequence[tuple[int, int, Window]],
) -> None:
    """Forgets emptied windows, but for their spans that stay."""
    starts = np.array(sorted(emptied), np.int64)
    con.register("emptied_windows", table({"window_start": instants(starts)}))
    own = {"experiment": spec.experiment, "source": source}
    if spans:
        con.register("uncovered_spans", _spans_table(spans))
        run(con, "load/uncovered_windows", **own)
    if emptied:
        kept = [instant(span.start_ms) for _, _, span in spans]
        run(con, "load/unclaimed_windows", **own, kept=kept)


def _uncovered(
    emptied: Mapping[int, LoadedWindow], claimed: Sequence[Window]
) -> list[tuple[int, int, Window]]:
    """Start and end of an emptied window, and a span of it that no claimed one covers."""
    found = []
    for start, old in emptied.items():
        begin = start
        for window in sorted(claimed, key=lambda each: each.start_ms):
            if begin < window.start_ms < old.end_ms:
                found.append((start, old.end_ms, Window(begin, window.start_ms)))
            if window.start_ms < old.end_ms:
                begin = max(begin, window.end_ms)
        if begin < old.end_ms:
            found.append((start, old.end_ms, Window(begin, old.end_ms)))
    return found


def replace_windows(
    con: Connection,
    spec: Experiment,
    claimed: Claimed,
    table_name: str,
    time: str | None = "bucket_start",
) -> None:
    """Empties a table's windows, and fills the claimed ones by the statement of its name."""
    empty_windows(con, claimed, table_name, {"experiment": spec.experiment}, time=time)
    run(con, f"load/{table_name}", experiment=spec.experiment)


def empty_windows(
    con: Connection,
    claimed: Claimed,
    table_name: str,
    whose: Mapping[str, str],
    *,
    forget: str = "forget_windows",
    again: str = "uncovered_rows_again",
    owner: str = "experiment = $experiment",
    time: str | None = "bucket_start",
) -> None:
    """Deletes the rows that the claimed windows take the place of.

    forget: the statement that empties windows; again: the one that writes what stays of them;
    owner: the condition that picks the rows of whose.
    time: the column of a row's time; a row without one goes with its window, and so does a bucket
    that a claimed window covers in part.
    """
    if not claimed.has_rows:
        return
    times = _TIMES[time] if claimed.is_cut and time else None
    if times:
        places = {"windows": table_name, "owner": owner, "begin_ms": times[0], "width_ms": times[1]}
        run(con, "load/uncovered_rows", places, **whose)
    run(con, f"load/{forget}", {"windows": table_name}, **whose)
    if times:
        run(con, f"load/{again}", {"windows": table_name})


def _spans_table(spans: Sequence[tuple[int, int, Window]]) -> object:
    times = np.array([(start, end, span.start_ms, span.end_ms) for start, end, span in spans])
    names = ("window_start", "window_end", "span_start", "span_end")
    return table({name: instants(times[:, i]) for i, name in enumerate(names)})


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
