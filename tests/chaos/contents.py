"""What a workspace holds, compared with one in which nothing went wrong."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

import duckdb

from flows.workspace.paths import Workspace
from tests.chaos.tally import Tally

# Rows of these tell of the process, not of the data: leases end, migrations are when they are.
_OF_PROCESS = ("delivery_leases", "schema_migrations")
# Those of a delivery's looks are as many as it took, and its log holds which lease wrote it.
OF_LOOKS = ("looks", "verdicts", "metric_results", "delivery_events", "pulls", "seen_looks")
# Columns that hold when something was done, how often it was begun, and hashes of such.
_OF_TIME = (
    *("generation", "happened_at", "first_used_at", "approved_at", "forgotten_at"),
    *("inputs", "evidence", "written"),
)


def compare(found: Path, wanted: Path, tally: Tally, *, without: Collection[str] = ()) -> None:
    """Counts rows that are lost or doubled, and files that are left over or missing.

    without: tables that may differ.
    """
    ours, theirs = Workspace(found), Workspace(wanted)
    if not ours.warehouse.exists():
        tally.fail("lost", f"{found.name} has no warehouse")
    elif theirs.warehouse.exists():
        _compare_rows(ours.warehouse, theirs.warehouse, tally, {*_OF_PROCESS, *without})
    for name in sorted(_files(found) - _files(wanted)):
        tally.fail("leftovers", f"{name} is left in {found.name}")
    for name in sorted(_files(wanted) - _files(found)):
        tally.fail("lost", f"{name} is missing in {found.name}")


def _compare_rows(found: Path, wanted: Path, tally: Tally, without: Collection[str]) -> None:
    with duckdb.connect() as con:
        con.execute(f"attach '{found}' as found (read_only)")
        con.execute(f"attach '{wanted}' as wanted (read_only)")
        for (table,) in con.execute(
            "select table_name from duckdb_tables() "
            "where database_name = 'wanted' and schema_name = 'main'"
        ).fetchall():
            if table in without:
                continue
            columns = _columns(con, table)
            for counter, one, other in (
                ("lost", "wanted", "found"),
                ("doubled", "found", "wanted"),
            ):
                rows = con.execute(
                    f"select {columns} from {one}.main.{table} "
                    f"except all select {columns} from {other}.main.{table}"
                ).fetchall()
                if rows:
                    line = f"{len(rows)} rows of {table}, such as {str(rows[0])[:200]}"
                    tally.fail(counter, line, len(rows))


def _columns(con: duckdb.DuckDBPyConnection, table: str) -> str:
    names = con.execute(
        "select column_name from duckdb_columns() "
        "where database_name = 'wanted' and schema_name = 'main' and table_name = ? "
        "order by column_index",
        [table],
    ).fetchall()
    return ", ".join(f'"{name}"' for (name,) in names if name not in _OF_TIME)


def _files(root: Path) -> set[str]:
    """Names below the root, digits aside: marts and verdicts are named for a time."""
    names = (str(path.relative_to(root)) for path in root.rglob("*"))
    return {
        re.sub(r"\d+", "#", name) for name in names if not name.startswith((".git", "tree/.git"))
    }
