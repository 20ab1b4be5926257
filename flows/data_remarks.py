"""What a person should know of the data that a look sees, from the warehouse alone.

So a look says the same of the same data, whether it has pulled itself or an earlier one has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.instants import instant, milliseconds_of
from flows.plan_at import plan_at
from flows.sources.unit_rows import UnitKind
from flows.spec import Experiment
from flows.statements import statement
from flows.unit_load import known_source
from flows.warehouse import open_reader

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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
    con: DuckDBPyConnection, spec: Experiment, *, start_ms: int, until_ms: int
) -> list[DoubtfulWindow]:
    """Those that overlap the time, requests first, oldest first."""
    asked = {
        "experiment": spec.experiment,
        "from": instant(start_ms),
        "until": instant(until_ms),
    }
    rows = con.execute(statement("aggregate/standing_warnings"), asked).fetchall()
    return [DoubtfulWindow(*row) for row in rows]


def remarks_on_data(spec: Experiment, warehouse: Path, *, at: datetime) -> tuple[str, ...]:
    """Sentences on windows that may be partial and on users' rows that were left out.

    Raises WarehouseBusy or WarehouseUnusable.
    """
    if not warehouse.exists():
        return ()
    with open_reader(warehouse) as con:
        plan = plan_at(con, spec, at=at)
        # A look after the end is the look at the end, and says the same.
        until_ms = min(milliseconds_of(at), plan.end_ms)
        windows = doubtful_windows(con, spec, start_ms=plan.start_ms, until_ms=until_ms)
        return (*_on_windows(windows), *_on_users(con, spec))


def _on_windows(windows: Sequence[DoubtfulWindow]) -> Iterator[str]:
    """A sentence per source and warning, with the time from its first to its last window."""
    said = dict.fromkeys((w.source, text) for w in windows for text in w.warnings)
    for source, text in said:
        of_it = [w for w in windows if w.source == source and text in w.warnings]
        first, last = instant(of_it[0].start_ms), instant(of_it[-1].end_ms)
        yield (
            f"{source} between {first:%Y-%m-%d %H:%M} and {last:%Y-%m-%d %H:%M} UTC may be "
            f"incomplete, their source said: {text}"
        )
    if any(w.is_blind for w in windows if w.source == "requests"):
        yield BLIND


def _on_users(con: DuckDBPyConnection, spec: Experiment) -> Iterator[str]:
    given = {UnitKind.EXPOSURES: spec.sources.exposures, UnitKind.OUTCOMES: spec.sources.outcomes}
    for kind, source in given.items():
        if source is not None and spec.unit_metrics:
            yield from known_source(con, spec, kind).warnings
