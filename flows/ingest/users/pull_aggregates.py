"""Takes in sums that another warehouse has made: each read stands in place of the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from flows.formats.time import instant
from flows.ingest.claimed_sources import ClaimedSource, claim_sources
from flows.ingest.sources.folders import folder_columns
from flows.ingest.sources.local_files import find_files
from flows.ingest.sources.user_files import read_records
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.pull_report import AggregatePull
from flows.spec.experiment import Experiment
from flows.spec.sources import UsersSums
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.statements import Connection, run

AGGREGATES = "aggregates"
# More than that are rows of users.
_MOST_ROWS = 100_000
_OF_A_GROUP = ("metric", "variant", "segment", "stratum", "day")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A row of a file of sums; fields: JSON, as it came. is_gone: its group is there no more."""

    part: str
    row_number: int
    fields: str
    is_gone: bool = False

    @property
    def record(self) -> dict[str, Any]:
        """Its fields by name."""
        found: dict[str, Any] = json.loads(self.fields)
        return found

    @property
    def group(self) -> tuple[str, ...]:
        """Whose sums they are."""
        record = self.record
        return tuple(str(record.get(name) or "") for name in _OF_A_GROUP)


def pull_aggregates(
    spec: Experiment, source: UsersSums, warehouse: Path, *, spec_dir: Path, until_ms: int
) -> AggregatePull:
    """Brings the sums up to what their files hold now; a group that isn't there any more is kept
    apart, and named.

    Raises UserDataRefused, WarehouseBusy or WarehouseUnusable; then nothing was written.
    """
    files = find_files(source.aggregates, spec_dir)
    rows = [row for part, path in files.items() for row in _read(part, path)]
    if len(rows) > _MOST_ROWS:
        raise UserDataRefused(
            f"{spec_dir / source.aggregates}: {len(rows):,} rows, must be at most {_MOST_ROWS:,}; "
            "are these users and not sums? Then set sources.users.files"
        )
    with open_writer(warehouse) as con, transaction(con):
        known = stored_rows(con, spec)
        here = {row.group for row in rows}
        gone = {row.group: row for row in known if row.group not in here}
        now = [*rows, *(StoredRow(r.part, r.row_number, r.fields, True) for r in gone.values())]
        is_changed = now != known
        origin = hashlib.sha256(source.model_dump_json().encode()).hexdigest()[:16]
        claimed = ClaimedSource(AGGREGATES, is_changed, len(rows), len(files), origin)
        claim_sources(con, spec.experiment, instant(until_ms), [claimed])
        if is_changed:
            _replace(con, spec, now)
    return AggregatePull(len(rows), len(files), is_changed, vanished_groups(now))


def stored_rows(con: Connection, spec: Experiment) -> list[StoredRow]:
    """The rows that the warehouse holds."""
    found = run(con, "aggregate/user_aggregates", experiment=spec.experiment).fetchall()
    return [StoredRow(*row) for row in found]


def vanished_groups(rows: Sequence[StoredRow]) -> tuple[str, ...]:
    """The groups that are not found any more, as in a sentence."""
    return tuple(" ".join(part for part in row.group if part) for row in rows if row.is_gone)


def _read(part: str, path: Path) -> Iterator[StoredRow]:
    in_folders = {k: v for k, v in folder_columns(part).items() if v is not None}
    for number, record in enumerate(read_records(path), start=1):
        known = {
            name: in_folders[name] for name in ("experiment", *_OF_A_GROUP) if name in in_folders
        }
        yield StoredRow(part, number, json.dumps({**known, **record}, default=_written))


def _written(value: object) -> object:
    """What JSON has no form for: bytes and dates as text, decimals as numbers."""
    if isinstance(value, Decimal):
        return int(value) if value % 1 == 0 else float(value)
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _replace(con: Connection, spec: Experiment, rows: Sequence[StoredRow]) -> None:
    run(con, "load/forget_user_aggregates", experiment=spec.experiment)
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in StoredRow.__slots__}
        run(con, "load/user_aggregates", experiment=spec.experiment, **columns)
