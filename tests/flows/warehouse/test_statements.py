"""Statements are run by name, and leave a session as it was."""

from __future__ import annotations

import duckdb
import pytest

from flows.warehouse.statements import Connection, on_one_thread


def _threads(con: Connection) -> int:
    return int(con.execute("select current_setting('threads')").fetchall()[0][0])


def test_afterwards_there_are_as_many_threads_as_before() -> None:
    with duckdb.connect(config={"threads": 3}) as con:
        with on_one_thread(con):
            assert _threads(con) == 1
        assert _threads(con) == 3


def test_what_fails_has_its_threads_back_and_its_own_error() -> None:
    with duckdb.connect(config={"threads": 2}) as con:
        with pytest.raises(duckdb.CatalogException), on_one_thread(con):
            con.execute("select * from missing")
        assert _threads(con) == 2


def _fails_after_its_connection(con: Connection) -> None:
    with on_one_thread(con):
        con.close()
        raise ValueError("first")


def test_a_connection_that_is_gone_hides_no_error() -> None:
    with pytest.raises(ValueError, match="first"):
        _fails_after_its_connection(duckdb.connect())
