"""Claims sources of rows for a load: the row that two loads at once can't both write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.warehouse.statements import Connection, run


@dataclass(frozen=True, slots=True)
class ClaimedSource:
    """A source as one load finds it; origin: identity of it, as the spec says it."""

    source: str
    is_changed: bool
    row_count: int
    parts: int
    origin: str


def claim_sources(
    con: Connection, experiment: str, until: datetime, claimed: Sequence[ClaimedSource]
) -> None:
    """Notes that the sources are known until then, in the transaction that writes their rows."""
    key = {"experiment": experiment, "until": until}
    known = run(con, "load/claimed_sources", **key, **_columns(claimed)).fetchall()
    new = [each for each in claimed if (each.source,) not in known]
    if new:
        columns = _columns(new)
        del columns["is_changed"]
        run(con, "load/new_sources", **key, **columns)


def _columns(claimed: Sequence[ClaimedSource]) -> dict[str, list[object]]:
    return {name: [getattr(each, name) for each in claimed] for name in ClaimedSource.__slots__}
