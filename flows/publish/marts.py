"""Publishes the marts: every view of the warehouse as a table of a new file for analysts."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from flows.formats.atomic_file import write_atomically
from flows.formats.problems import UserError
from flows.warehouse.connection import open_reader
from flows.warehouse.engines import on_all_threads
from flows.warehouse.file_lock import LockHeld, file_lock
from flows.warehouse.migrations import view_comments
from flows.warehouse.statements import literal, quoted, run

LATEST = "LATEST"
_WAIT_S = 60.0
_LONGEST_NAME = 255
# Marts are written anew where more than this share of the experiments has changed, and every so
# many files.
_MOST_CHANGED = 0.25
_ANEW = 32
_FILE = re.compile(r"marts-(\d{6,18})-\d{8}T\d{6}Z\.duckdb")


class PublishFailed(UserError):
    """Nothing was published, and nothing that was there has changed; the message says why."""


@dataclass(frozen=True, slots=True)
class Earlier:
    """Marts of the same software and experiments, and those whose rows are others by now."""

    marts: Path
    changed: Sequence[str]
    of_all: int

    def will_do(self, path: Path) -> bool:
        """Whether a new file, at path, is made of it: all are written anew where much has changed,
        and once in a while, as the rows of one experiment no longer lie together."""
        is_time = _number(path) % _ANEW == 0
        is_little = len(self.changed) <= _MOST_CHANGED * self.of_all
        return is_little and not is_time and self.marts == latest_marts(path.parent)


def publish(
    warehouse: Path, marts_dir: Path, *, keep: int = 3, earlier: Earlier | None = None
) -> Path:
    """Writes the marts to a new file in marts_dir and points LATEST to it; returns its path.

    earlier: of which the new file may be made, so that it costs what is new.

    The file is there whole or not at all, under a name of its own (marts-<number>-<time>.duckdb,
    the numbers rising), so that an open reader keeps the one it has. Of the files, the newest
    `keep` stay. Views and columns keep their comments.
    Raises PublishFailed when the folder can't be written or the disk is full, WarehouseBusy or
    WarehouseUnusable when the warehouse can't be read, ValueError when keep is less than 1.
    """
    if keep < 1:
        raise ValueError(f"keep is {keep}, must be at least 1: the newest file always stays")
    with _told_apart(marts_dir), _alone_in(marts_dir):
        for unfinished in marts_dir.glob(".marts-*"):  # of a publish that was killed
            unfinished.unlink()
        path = marts_dir / _next_name(marts_dir)
        with open_reader(warehouse, wait_s=_WAIT_S) as con, on_all_threads(con, warehouse):
            _write(con, path, earlier if earlier and earlier.will_do(path) else None)
        _point_to(path)
        for old in _published(marts_dir)[:-keep]:
            old.unlink()
    return path


def latest_marts(marts_dir: Path) -> Path | None:
    """The file that was published last; None before the first time, or if LATEST names none."""
    pointer = marts_dir / LATEST
    if not pointer.exists():
        return None
    with pointer.open("rb") as file:
        name = file.read(_LONGEST_NAME).decode(errors="replace").strip()
    return marts_dir / name if _FILE.fullmatch(name) else None


def is_latest(path: str) -> bool:
    """Whether LATEST names that file."""
    return bool(path) and latest_marts(Path(path).parent) == Path(path)


@contextmanager
def _told_apart(marts_dir: Path) -> Iterator[None]:
    """Turns trouble with the folder into PublishFailed; trouble with the warehouse passes."""
    try:
        yield
    except OSError as error:
        raise _failed(marts_dir, error) from error
    except LockHeld as error:
        raise PublishFailed(
            f"could not publish to {marts_dir}: another publish has been running there for "
            f"{_WAIT_S:g} s. Try again when it has ended"
        ) from error


def _failed(marts_dir: Path, error: Exception) -> PublishFailed:
    return PublishFailed(
        f"could not publish to {marts_dir}: {error}. What was published before is untouched: free "
        "some space, or make the folder writable, and publish again"
    )


@contextmanager
def _alone_in(marts_dir: Path) -> Iterator[None]:
    marts_dir.mkdir(parents=True, exist_ok=True)
    with file_lock(marts_dir / ".lock", shared=False, deadline=time.monotonic() + _WAIT_S):
        yield


def _published(marts_dir: Path) -> list[Path]:
    """The published files, oldest first."""
    found = [path for path in marts_dir.iterdir() if _FILE.fullmatch(path.name)]
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    match = _FILE.fullmatch(path.name)
    return int(match[1]) if match else 0


def _next_name(marts_dir: Path) -> str:
    """A name that was never used here: the number rises even if files or the clock go back."""
    used = _published(marts_dir)
    latest = latest_marts(marts_dir)
    number = 1 + max((_number(path) for path in (*used, *([latest] if latest else []))), default=0)
    return f"marts-{number:06}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.duckdb"


def _write(con: duckdb.DuckDBPyConnection, path: Path, earlier: Earlier | None) -> None:
    """Makes the file under a temporary name and renames it, or leaves nothing."""
    unfinished = path.with_name(f".{path.name}")
    try:
        if earlier is not None:
            shutil.copyfile(earlier.marts, unfinished)
        con.execute(f"attach {literal(str(unfinished))} as published (read_write)")
        try:
            con.begin()
            if earlier is None:
                _copy_views(con)
            elif earlier.changed:
                _renew_rows(con, earlier.changed)
            con.commit()
            # All of it into the file itself: the write-ahead log isn't renamed along.
            con.execute("checkpoint published")
        finally:
            _detach(con)
        _sync(unfinished)
        unfinished.rename(path)
        _sync(path.parent)
    except BaseException as error:
        unfinished.unlink(missing_ok=True)
        unfinished.with_name(f"{unfinished.name}.wal").unlink(missing_ok=True)
        if isinstance(error, duckdb.Error) and unfinished.name in str(error):
            raise _failed(path.parent, error) from error
        raise


def _detach(con: duckdb.DuckDBPyConnection) -> None:
    # After a failed write the transaction is still open, or ended already.
    with suppress(duckdb.Error):
        con.rollback()
    con.execute("detach published")


def _copy_views(con: duckdb.DuckDBPyConnection) -> None:
    """One table per view of the schema marts, sorted, with the comments of the view."""
    for view, _ in run(con, "schema/mart_views").fetchall():
        table = f"published.main.{quoted(view)}"
        con.execute(f"create table {table} as from marts.{quoted(view)} order by all")
    con.execute(view_comments("table", "published.main"))


def _renew_rows(con: duckdb.DuckDBPyConnection, experiments: Sequence[str]) -> None:
    """Replaces the rows of some experiments in the tables of earlier marts."""
    # Literals, so that the tables' rows of others are not read.
    of_them = f"where experiment in ({', '.join(map(literal, experiments))})"
    for view, _ in run(con, "schema/mart_views").fetchall():
        table = f"published.main.{quoted(view)}"
        con.execute(f"delete from {table} {of_them}")
        con.execute(f"insert into {table} from marts.{quoted(view)} {of_them} order by all")


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _point_to(path: Path) -> None:
    """Makes LATEST name the file; a file that LATEST can't name is taken away again."""
    try:
        write_atomically(path.with_name(LATEST), f"{path.name}\n")
    except BaseException:
        path.unlink()
        raise
