"""DuckDB itself, kept from one file to the next: to start it takes longer than to open a file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb

from flows.warehouse.interrupts import interruptible
from flows.warehouse.resources import resources_of
from flows.warehouse.statements import literal, run

_Engine = tuple[Mapping[str, str], duckdb.DuckDBPyConnection]  # with its settings
# Those that were given back, by process: a fork has none, since threads don't come along.
_idle: dict[int, list[_Engine]] = {}
# So many times, at most, a checkpoint puts row groups of a table together that have grown small:
# by default it rewrites as much of a large table for every pull.
_VACUUMED = "8"
_MOST_IDLE = 2  # a pull has one for the warehouse, and one for the rows that come in


@contextmanager
def interrupt_told() -> Iterator[None]:
    """Raises KeyboardInterrupt where DuckDB makes another error of a signal during a query.

    Left as it is, whoever goes on after a failure (the next experiment, the next look of a
    delivery) would go on after Ctrl-C.
    """
    try:
        yield
    except (RuntimeError, duckdb.InterruptException) as error:
        if isinstance(error, RuntimeError) and str(error) != "Query interrupted":
            raise
        raise KeyboardInterrupt from error


@contextmanager
def attached(
    file: Path | None, spilled: Path, settings: Mapping[str, str], *, read_only: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a DuckDB file, with nothing else open beside it; None: to one in memory.

    The statements on a file run on one thread, but for those in on_all_threads: most are over so
    little that to wake another one takes longer.
    spilled: where what doesn't fit into memory goes, unless settings say; gone afterwards.
    """
    folder = settings.get("temp_directory", str(spilled))
    had, engine = _started(folder, settings)
    engine.execute("set threads = 1" if file else _all_threads(settings))
    is_as_new = False
    try:
        source = literal(":memory:" if file is None else str(file))
        engine.execute(f"attach {source} as opened{' (read_only)' if read_only else ''}")
        con = session(engine)
        try:
            with interrupt_told():
                yield con
        finally:
            con.close()
        is_as_new = _detached(engine) and not Path(folder).exists()
    finally:
        # After an exception who knows what is left in it. Closing it closes the file as well.
        idle = _idle.setdefault(os.getpid(), [])
        if is_as_new and len(idle) < _MOST_IDLE:
            idle.append((had, engine))
        else:
            engine.close()


@contextmanager
def on_all_threads(con: duckdb.DuckDBPyConnection, warehouse: Path) -> Iterator[None]:
    """Statements over many rows, on as many threads as its settings say, or as there are cores.

    Begins and ends outside a transaction.
    """
    con.execute(_all_threads(resources_of(warehouse)))
    try:
        yield
    except BaseException:
        # What has failed may be why this does.
        with suppress(duckdb.Error):
            con.execute("set threads = 1")
        raise
    con.execute("set threads = 1")


def _all_threads(settings: Mapping[str, str]) -> str:
    return f"set threads = {settings['threads']}" if "threads" in settings else "reset threads"


def session(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """One more connection to what con's was attached to, with none of its temporary tables."""
    another = interruptible(con.cursor())
    another.execute("use opened")
    return run(another, "schema/session")


def _started(folder: str, settings: Mapping[str, str]) -> _Engine:
    """One that nobody has; for no settings, with any."""
    with suppress(IndexError):
        had, engine = _idle.get(os.getpid(), []).pop()
        # One whose last folder is in use can't have another.
        with suppress(duckdb.Error):
            if settings in ({}, had):
                engine.execute(f"set temp_directory = {literal(folder)}")
                return had, engine
        engine.close()
    own = {"temp_directory": folder, "max_vacuum_tasks": _VACUUMED}
    return settings, duckdb.connect(config={**settings, **own})


def _detached(engine: duckdb.DuckDBPyConnection) -> bool:
    """Whether all was moved from the log into the file: if not, who opens it next will try."""
    try:
        engine.execute("detach opened")
    except duckdb.Error:
        return False
    return True
