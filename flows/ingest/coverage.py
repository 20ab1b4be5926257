"""How far the pulled data reaches, and which of its windows may be incomplete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from flows.formats.time import instant, milliseconds_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# A window is complete when its last scrapes must have arrived: two intervals, and their time-out.
_SCRAPE_TIMEOUT = timedelta(seconds=10)


def complete_until_ms(scrape_interval: timedelta, now: datetime | None = None) -> int:
    """Up to when a live server must have all scrapes by now; now: the server's clock, else ours."""
    return milliseconds_of((now or datetime.now(UTC)) - 2 * scrape_interval - _SCRAPE_TIMEOUT)


def watermark(con: Connection, spec: Experiment, source: str) -> int | None:
    """Up to when the source is known without a hole, in milliseconds; None before a pull."""
    rows = run(
        con, "aggregate/source_windows", experiment=spec.experiment, source=source
    ).fetchall()
    reach = before = None
    for start_ms, end_ms in rows:
        if before is not None and before < start_ms:
            break
        reach, before = end_ms if reach is None else max(reach, end_ms), end_ms
    return reach


def users_known_until(con: Connection, spec: Experiment) -> datetime | None:
    """Up to when exposures and outcomes, or sums, have been pulled; None before that."""
    sources = ["exposures", "outcomes"] if spec.sources.sums is None else ["aggregates"]
    row = run(
        con, "aggregate/users_known_until", experiment=spec.experiment, sources=sources
    ).fetchone()
    return row[0].astimezone(UTC) if row and row[0] else None


BLIND = (
    "no good scrape is known (`up` of the targets is missing), so the first count of a "
    "new series can't be told from an old one and is left out"
)


@dataclass(frozen=True, slots=True)
class DoubtfulWindow:
    """A window whose source said something beside its answer; is_blind: without known scrapes."""

    source: str
    start_ms: int
    end_ms: int
    warnings: Sequence[str]
    is_blind: bool


def doubtful_windows(
    con: Connection, spec: Experiment, *, start_ms: int, until_ms: int
) -> list[DoubtfulWindow]:
    """Those that overlap the time, requests first, oldest first."""
    asked = {"experiment": spec.experiment, "since": instant(start_ms), "until": instant(until_ms)}
    rows = run(con, "aggregate/doubtful_windows", **asked).fetchall()
    return [DoubtfulWindow(*row) for row in rows]


def counting_notes(con: Connection, spec: Experiment, *, start_ms: int, until_ms: int) -> list[str]:
    """How windows that overlap the time were counted, where one should know: each note once."""
    asked = {"experiment": spec.experiment, "since": instant(start_ms), "until": instant(until_ms)}
    rows = run(con, "aggregate/pull_notes", **asked).fetchall()
    return [f"{source}: {note}" for source, note in rows]
