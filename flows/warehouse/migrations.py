"""Brings the tables and views of a warehouse to what this version of the software needs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import duckdb

from flows.warehouse.statements import Connection, run, statement

_NUMBERED = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
# The views have no history: they are made anew when any of them changed. Their row is number 0.
_VIEWS = 0


class SchemaMismatch(Exception):
    """The file's tables are not those of this software; the message ends with what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema; views together are step 0."""

    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """Tells two texts apart."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]

    def __str__(self) -> str:
        return f"{self.number:04}_{self.name}"


@cache
def schema_migrations() -> tuple[Migration, ...]:
    """sql/schema/NNNN_name.sql, in the order of their numbers."""
    names = sorted(entry.name for entry in files("sql").joinpath("schema").iterdir())
    found = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    return tuple(
        Migration(int(match[1]), match[2], statement(f"schema/{match[1]}_{match[2]}"))
        for match in found
    )


@cache
def views() -> Migration:
    """sql/views/*.sql as one step, in the order of their names; without the comments.

    These are hundreds of statements, which take longer than all tables, and are for who reads what
    is published.
    """
    made = [text for text, _ in _view_texts()]
    return Migration(_VIEWS, "views", "\n".join([statement("schema/drop_views"), *made]))


def view_comments(kind: str = "view", schema: str = "marts") -> str:
    """The statements that put the comments of sql/views on views, or on tables made of them."""
    said = "\n".join(comments for _, comments in _view_texts())
    said = said.replace("comment on view marts.", f"comment on {kind} {schema}.")
    return said.replace("comment on column marts.", f"comment on column {schema}.")


@cache
def _view_texts() -> tuple[tuple[str, str], ...]:
    """Of each file the statement that makes the view, and its comments."""
    names = sorted(entry.name for entry in files("sql").joinpath("views").iterdir())
    texts = [statement(f"views/{n.removesuffix('.sql')}") for n in names if n.endswith(".sql")]
    parts = [text.partition("\ncomment on ") for text in texts]
    return tuple((made, mark + comments) for made, mark, comments in parts)


def is_up_to_date(con: Connection) -> bool:
    """Whether nothing is to be done; raises SchemaMismatch as bring_up_to_date does.

    con: not within a transaction, which a question that fails would end.
    """
    try:
        # To list the tables takes as long as all else that opens a file.
        applied = _recorded(con)
    except duckdb.CatalogException:
        applied = _applied(con)
    return not _pending(applied)


def bring_up_to_date(con: Connection) -> None:
    """Applies what is missing, in the caller's transaction.

    Raises SchemaMismatch when the file is not a warehouse, is newer than this software, or when a
    migration was changed after it was applied.
    """
    pending = _pending(_applied(con))
    if not pending:
        return
    run(con, "schema/migrations_table")
    for migration in pending:
        con.execute(migration.text)
    # One statement: each costs as much as a table.
    run(
        con,
        "schema/record_migration",
        numbers=[migration.number for migration in pending],
        names=[migration.name for migration in pending],
        checksums=[migration.checksum for migration in pending],
    )


def _recorded(con: Connection) -> dict[int, tuple[str, str]]:
    rows = run(con, "schema/applied_migrations").fetchall()
    return {number: (name, checksum) for number, name, checksum in rows}


def _applied(con: Connection) -> dict[int, tuple[str, str]]:
    """Name and checksum of what was applied, by number."""
    tables = {name for (name,) in run(con, "schema/table_names").fetchall()}
    if "schema_migrations" in tables:
        return _recorded(con)
    if tables:
        raise SchemaMismatch(
            f"is a DuckDB file, but not a warehouse: it has the tables "
            f"{', '.join(sorted(tables))}. Move it away, or name another --root"
        )
    return {}


def _pending(applied: Mapping[int, tuple[str, str]]) -> tuple[Migration, ...]:
    """What is to be applied, in order: numbered steps, then the views."""
    known = schema_migrations()
    _check_not_newer(known, applied)
    for migration in known:
        if migration.number in applied and applied[migration.number][1] != migration.checksum:
            raise SchemaMismatch(
                f"was made with another text of the migration {migration}, which has been changed "
                "since. Use the version of split-verdict that made the file, or move the file away "
                "and pull again"
            )
    missing = [migration for migration in known if migration.number not in applied]
    made = applied.get(_VIEWS)
    if missing or made is None or made[1] != views().checksum:
        return (*missing, views())
    return ()


def _check_not_newer(known: tuple[Migration, ...], applied: Mapping[int, tuple[str, str]]) -> None:
    unknown = sorted(applied.keys() - {migration.number for migration in known} - {_VIEWS})
    if unknown:
        newest = f"{unknown[-1]:04}_{applied[unknown[-1]][0]}"
        raise SchemaMismatch(
            f"was written by a newer version of split-verdict: it has the migration {newest}, this "
            f"version knows up to {known[-1]}. Upgrade split-verdict"
        )
