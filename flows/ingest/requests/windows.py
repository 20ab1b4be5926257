"""Windows of counters: which are to be read, which are known, and which replace those."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from analysis.arrays import IntArray
from flows.formats.time import instant, milliseconds, milliseconds_of
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import Connection, run

_HOUR_MS = 3_600_000
# Late samples (remote write, a slow replica) still arrive in the windows before.
_READ_AGAIN = 2
_MOST_DOUBTFUL = 6
# Read at once of few series: a day fits.
_MOST_AT_ONCE = 24
# Without a start in the spec: the plan's length before the first pull, and this much more.
_EARLIER = timedelta(hours=6)

# What is counted of a series, besides what the spec selects: by outcome, cut-off latencies apart.
_OUTCOMES = "outcomes 1"


@dataclass(frozen=True, slots=True)
class Window:
    """The samples with start_ms < time <= end_ms."""

    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class LoadedWindow:
    """What the warehouse holds of a window.

    row_count: samples that were counted; targets_up: good scrapes of their targets; has_warnings:
    the source said that its answer may be partial; selection: identity of what was counted as what.
    """

    end_ms: int
    row_count: int
    targets_up: int
    has_warnings: bool
    selection: str


@dataclass(frozen=True, slots=True)
class NewWindow:
    """What a source has now for a window: samples, of which row_count count.

    notes: how they were counted, where a person should know. counted_ms, good_ms: int64, times of
    samples that count, and of good scrapes; None where only their numbers are known.
    """

    window: Window
    samples: int
    row_count: int
    targets_up: int
    notes: tuple[str, ...] = ()
    counted_ms: IntArray | None = None
    good_ms: IntArray | None = None

    def part(self, start_ms: int, end_ms: int) -> NewWindow:
        """What the source has for a part of the window; for all of it where times aren't known."""
        window = Window(max(start_ms, self.window.start_ms), min(end_ms, self.window.end_ms))
        if self.counted_ms is None or self.good_ms is None or window == self.window:
            return self
        counted_ms, good_ms = (
            times[(times > window.start_ms) & (times <= window.end_ms)]
            for times in (self.counted_ms, self.good_ms)
        )
        return replace(
            self,
            window=window,
            samples=len(counted_ms),
            row_count=len(counted_ms),
            targets_up=len(good_ms),
            counted_ms=counted_ms,
            good_ms=good_ms,
        )


def bucket_ms(spec: Experiment) -> int:
    """Width of a bucket in milliseconds."""
    return milliseconds(spec.plan.bucket)


def window_length_ms(spec: Experiment) -> int:
    """An hour, or the next multiple of the bucket, so that no bucket spans two windows."""
    width = bucket_ms(spec)
    return -(-_HOUR_MS // width) * width


def selection_of(spec: Experiment) -> str:
    """Identity of everything in the spec that decides what is counted as what."""
    chosen = spec.model_dump(
        mode="json", include={"service", "namespace", "mesh", "reporter", "match", "variants"}
    )
    if spec.cohorts:
        chosen["cohorts"] = {name: cohort.match for name, cohort in spec.cohorts.items()}
    text = json.dumps([chosen, bucket_ms(spec), _OUTCOMES], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def loaded_windows(con: Connection, spec: Experiment, source: str) -> dict[int, LoadedWindow]:
    """The windows of a source in the warehouse, by their start."""
    rows = run(
        con, "aggregate/loaded_windows", experiment=spec.experiment, source=source
    ).fetchall()
    return {start: LoadedWindow(*rest) for start, *rest in rows}


def kept_because(
    new: NewWindow, old: LoadedWindow, *, selection: str, warnings: Sequence[str]
) -> str | None:
    """Why what was loaded stays; None if it is to be replaced. Less never replaces more.

    new: for the time of the old one only. old: the same window, or one of another grid that shares
    time with it. selection: what the new one was counted for; warnings: what the source said beside
    its answer.
    """
    name = f"window {instant(new.window.start_ms):%Y-%m-%d %H:%M} UTC kept as loaded before"
    if warnings and not old.has_warnings:
        return f"{name}: the new answer is marked partial ({'; '.join(warnings)})"
    if old.selection != selection:
        gone = old.row_count > 0 and not new.samples
        return f"{name}: the source has nothing for the changed spec" if gone else None
    if new.targets_up < old.targets_up:
        return f"{name}: {new.targets_up} good scrapes now, {old.targets_up} then"
    if new.targets_up == 0 and new.row_count < old.row_count:
        return f"{name}: {new.row_count} samples now, {old.row_count} then"
    return None


def fitted(
    new: NewWindow,
    replaced: Mapping[int, LoadedWindow],
    *,
    selection: str,
    warnings: Sequence[str],
) -> tuple[NewWindow | None, str | None]:
    """The window as it may take the place of what was loaded of its time, and why not as it is.

    A source that was begun anew, or keeps less, has nothing for the older part: that stays, and the
    window begins after it. replaced: loaded windows, by their start.
    """
    begin, why = new.window.start_ms, None
    for start, old in sorted(replaced.items()):
        own = new.part(start, old.end_ms) if old.selection == selection else new
        reason = kept_because(own, old, selection=selection, warnings=warnings)
        if reason is None:
            continue
        is_part = new.window.start_ms <= start and old.end_ms < new.window.end_ms
        if own is new or not is_part or warnings:
            return None, reason
        begin, why = old.end_ms, f"{reason}; what came after {instant(old.end_ms):%H:%M} is read"
    return new.part(begin, new.window.end_ms), why


def known_and_pending(
    warehouse: Path, spec: Experiment, source: str, until_ms: int, *, selection: str
) -> tuple[dict[int, LoadedWindow], list[Window]]:
    """The windows of the source that are in the warehouse, and those that are to be read."""
    with open_writer(warehouse) as con:
        loaded = loaded_windows(con, spec, source)
    return loaded, pending_windows(spec, loaded, until_ms, selection=selection)


def pending_windows(
    spec: Experiment, loaded: Mapping[int, LoadedWindow], until_ms: int, *, selection: str
) -> list[Window]:
    """The windows to read, oldest first: unknown, unfinished, and the last two again.

    Also the newest of those that the source has marked as partial: so many that a server that goes
    on marking them costs little; once they are whole, the next pull reads those before them. A
    window that was counted for another selection of series is read again to its known end, and one
    that shares time with a loaded window of another grid.
    """
    grid = list(_grid(spec, loaded, until_ms))
    starts = {window.start_ms for window in grid}
    others = {start: old for start, old in loaded.items() if start not in starts}
    # Of a window whose begin the source no longer has, the rest is another, of the same selection.
    loaded, others = (
        _in_one_piece(loaded, others, selection),
        {start: old for start, old in others.items() if old.selection != selection},
    )
    again = set(_doubtful(grid, loaded)[-_MOST_DOUBTFUL:]) | set(grid[-_READ_AGAIN:])
    pending = []
    for window in grid:
        old = loaded.get(window.start_ms)
        if old is None:
            pending.append(window)
        elif old.selection != selection:
            known_end = min(old.end_ms, window.start_ms + window_length_ms(spec))
            pending.append(Window(window.start_ms, max(window.end_ms, known_end)))
        elif old.end_ms > window.end_ms:
            continue
        elif old.end_ms < window.end_ms or window in again or overlapped(window, others):
            pending.append(window)
    return pending


def _in_one_piece(
    loaded: Mapping[int, LoadedWindow], pieces: Mapping[int, LoadedWindow], selection: str
) -> dict[int, LoadedWindow]:
    """The windows, with pieces that follow them as a part of them."""
    found = dict(loaded)
    for piece_start, piece in sorted(pieces.items()):
        for start, old in found.items():
            if old.end_ms == piece_start and old.selection == piece.selection == selection:
                found[start] = replace(old, end_ms=piece.end_ms)
    return found


def overlapped(window: Window, loaded: Mapping[int, LoadedWindow]) -> dict[int, LoadedWindow]:
    """Loaded windows of another grid (plan.bucket was another) that share time with this one."""
    return {
        start: old
        for start, old in loaded.items()
        if start != window.start_ms and start < window.end_ms and window.start_ms < old.end_ms
    }


def _doubtful(grid: Sequence[Window], loaded: Mapping[int, LoadedWindow]) -> list[Window]:
    known = ((window, loaded.get(window.start_ms)) for window in grid)
    return [window for window, old in known if old is not None and old.has_warnings]


def _grid(spec: Experiment, loaded: Mapping[int, LoadedWindow], until_ms: int) -> Iterator[Window]:
    length, width = window_length_ms(spec), bucket_ms(spec)
    until_ms = min(until_ms, _end_ms(spec) or until_ms) // width * width
    for start in range(_start_ms(spec, loaded, until_ms) // length * length, until_ms, length):
        yield Window(start, min(start + length, until_ms))


def _start_ms(spec: Experiment, loaded: Mapping[int, LoadedWindow], until_ms: int) -> int:
    if spec.plan.start is not None:
        return milliseconds_of(spec.plan.start)
    if loaded:
        return min(loaded)
    earlier = sum((stage.duration for stage in spec.stages), _EARLIER)
    return until_ms - round(earlier.total_seconds() * 1000)


def _end_ms(spec: Experiment) -> int | None:
    """The end of the plan, rounded up to a bucket; None while its start isn't known."""
    if spec.plan.start is None:
        return None
    end = spec.plan.start + sum((stage.duration for stage in spec.stages), timedelta())
    return -(-milliseconds_of(end) // bucket_ms(spec)) * bucket_ms(spec)


def next_span(pending: Sequence[Window], most: int) -> list[Window]:
    """The first pending windows that follow each other, at most so many."""
    span = list(pending[:1])
    for window in pending[1:most]:
        if window.start_ms != span[-1].end_ms:
            break
        span.append(window)
    return span


def spans_of(pending: Sequence[Window]) -> Iterator[list[Window]]:
    """All pending windows, those that follow each other together."""
    while pending:
        span = next_span(pending, _MOST_AT_ONCE)
        pending = pending[len(span) :]
        yield span
