"""The SQL statements of sql/, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import duckdb
    from numpy.typing import NDArray

    Connection: TypeAlias = duckdb.DuckDBPyConnection
    Columns: TypeAlias = Mapping[str, NDArray[Any]]
else:
    # DuckDB and numpy take long to import, which annotations don't need.
    Connection = Columns = object


def run(
    con: Connection, name: str, lists: Mapping[str, str] = {}, /, **parameters: Any
) -> Connection:
    """Executes sql/<name>.sql with its $parameters; returns the connection, to fetch rows from.

    lists: see statement.
    """
    return con.execute(statement(name, **lists), parameters)


def columns_of(
    con: Connection, name: str, lists: Mapping[str, str] = {}, /, **parameters: Any
) -> Columns:
    """All rows of a statement as run executes it, an array by the name of each column."""
    found: Columns = run(con, name, lists, **parameters).fetchnumpy()  # type: ignore[assignment]  # no column is a Categorical: no enum is read
    return found


@contextmanager
def joined_as_written(con: Connection) -> Iterator[None]:
    """Statements whose joins lay out the table on the right, whatever DuckDB thinks of its size.

    It takes it that each condition leaves a fifth of a table, so that a few new users beside all
    outcomes would be looked up in a table of all outcomes.
    """
    con.execute("set disabled_optimizers = 'join_order,build_side_probe_side'")
    try:
        yield
    finally:
        con.execute("reset disabled_optimizers")


def statement(name: str, **lists: str) -> str:
    """The text of sql/<name>.sql; `name` is like "load/request_buckets".

    lists: expressions for the places marked {so} in the few statements whose columns depend on
    how many metrics there are, or that are the same for several tables.
    """
    text = _text(name)
    for place, expressions in lists.items():
        text = text.replace(f"{{{place}}}", expressions)
    return text


def quoted(name: str) -> str:
    """A name as SQL has it where it may be any text."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str | None) -> str:
    """A string for statements that take no parameters (ATTACH, COMMENT ON, SET)."""
    if text is None:
        return "null"
    escaped = text.replace("'", "''")
    return f"'{escaped}'"


@cache
def _text(name: str) -> str:
    folder, _, file = name.rpartition("/")
    return _folder(folder).joinpath(f"{file}.sql").read_text(encoding="utf-8")


@cache
def _folder(name: str) -> Traversable:
    # To find it takes longer than to read a file in it.
    return files("sql").joinpath(name)
