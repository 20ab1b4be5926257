"""The smallest rows that a warehouse takes, and how many there are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import duckdb

from flows.warehouse.connection import open_reader

Opened = Callable[[Path], AbstractContextManager[duckdb.DuckDBPyConnection]]


def shifts(path: Path) -> int:
    with open_reader(path) as con:
        return int(con.execute("select count(*) from user_shifts").fetchall()[0][0])


def add_shift(con: duckdb.DuckDBPyConnection, outcome: str = "x") -> None:
    con.execute("insert into user_shifts values ('e', ?, 'mean', 1)", [outcome])
