"""The windows of an experiment that were pulled: how far they reach, what is wrong in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.formats.time import instant
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class PulledWindow:
    """One window of one source, as it was loaded last.

    targets_up: good scrapes in it. warnings: what the source said beside its answer. selection: of
    which series, or rows, it was asked. notes: how it was counted, a line each.
    """

    source: str
    start_ms: int
    end_ms: int
    row_count: int
    targets_up: int
    warnings: Sequence[str]
    selection: str
    notes: str

    @property
    def is_blind(self) -> bool:
        """Whether it has samples, but no good scrape is known."""
        return self.row_count > 0 and self.targets_up == 0

    @property
    def is_doubtful(self) -> bool:
        """Whether its answer may be partial, or nobody knows its scrapes.

        A query's values have no scrapes of their own.
        """
        return bool(self.warnings) or (self.is_blind and not _is_query(self.source))


@dataclass(frozen=True, slots=True)
class PulledWindows:
    """All of an experiment, by source and in order of time."""

    windows: tuple[PulledWindow, ...]

    @classmethod
    def of(cls, con: Connection, spec: Experiment) -> PulledWindows:
        """Those that the warehouse has."""
        rows = run(con, "aggregate/pulled_windows", experiment=spec.experiment).fetchall()
        return cls(tuple(PulledWindow(*row) for row in rows))

    def known_until(self, source: str) -> int | None:
        """Up to when the source is known without a hole, in milliseconds; None before a pull."""
        reach = before = None
        for one in self.windows:
            if one.source != source:
                continue
            if before is not None and before < one.start_ms:
                break
            reach = one.end_ms if reach is None else max(reach, one.end_ms)
            before = one.end_ms
        return reach

    def doubtful(self, start_ms: int, until_ms: int) -> list[PulledWindow]:
        """Doubtful ones of counters that overlap the time, requests first, oldest first."""
        return [
            one
            for one in self._overlapping(start_ms, until_ms)
            if one.is_doubtful and (_is_query(one.source) or _is_counted(one.source))
        ]

    def partly_answered(self, start_ms: int, until_ms: int) -> tuple[str, ...]:
        """A sentence per source of counters of which an answer was partial: harm may be missing.

        Other measured metrics don't count such answers, and have gaps.
        """
        windows = [one for one in self._overlapping(start_ms, until_ms) if one.warnings]
        return tuple(
            f"{source} {times_of([one for one in windows if one.source == source])} may lack what "
            "is harm: pull again when their source answers in full, or set plan.start after them"
            for source in dict.fromkeys(one.source for one in windows if _is_counted(one.source))
        )

    def notes(self, start_ms: int, until_ms: int) -> list[str]:
        """How windows that overlap the time were counted, where one should know: each once."""
        said = {
            (one.source, note)
            for one in self._overlapping(start_ms, until_ms)
            if _is_counted(one.source)
            for note in one.notes.split("\n")
            if note
        }
        ordered = sorted(sorted(said), key=lambda each: each[0], reverse=True)
        return [f"{source}: {note}" for source, note in ordered]

    def counted_otherwise(
        self, selections: Mapping[str, str], start_ms: int, until_ms: int
    ) -> dict[str, int]:
        """Windows with samples that overlap the time and are of another selection, by source.

        selections: what each source is asked for now.
        """
        found: dict[str, int] = {}
        for one in self._overlapping(start_ms, until_ms):
            now = selections.get(one.source, one.selection)
            if one.row_count and one.selection != now:
                found[one.source] = found.get(one.source, 0) + 1
        return found

    def _overlapping(self, start_ms: int, until_ms: int) -> list[PulledWindow]:
        """Requests first: sources in falling order."""
        seen = [one for one in self.windows if one.end_ms > start_ms and one.start_ms < until_ms]
        return sorted(seen, key=lambda one: one.source, reverse=True)


def times_of(windows: Sequence[PulledWindow]) -> str:
    """From the first to the last, which are in order of time."""
    first, last = instant(windows[0].start_ms), instant(windows[-1].end_ms)
    return f"between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC"


def _is_counted(source: str) -> bool:
    return source in ("requests", "conversions")


def _is_query(source: str) -> bool:
    return source.startswith("metric ")
