"""How far a source can be complete by now, and up to when users' rows have been pulled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flows.formats.time import milliseconds_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# A window is complete when its last scrapes must have arrived: two intervals, and their time-out.
_SCRAPE_TIMEOUT = timedelta(seconds=10)


def complete_until_ms(scrape_interval: timedelta, now: datetime | None = None) -> int:
    """Up to when a live server must have all scrapes by now; now: the server's clock, else ours."""
    return milliseconds_of((now or datetime.now(UTC)) - 2 * scrape_interval - _SCRAPE_TIMEOUT)


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
