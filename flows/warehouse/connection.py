"""Opens the warehouse: one writer at a time across processes, its tables up to date, UTC."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path

import duckdb

from flows.formats.problems import UserError, os_reason
from flows.warehouse.engines import attached, interrupt_told, on_all_threads
from flows.warehouse.file_lock import LockHeld, file_lock
from flows.warehouse.kept_open import KEPT, Opened, stays_open
from flows.warehouse.migrations import SchemaMismatch, bring_up_to_date, is_up_to_date
from flows.warehouse.resources import resources_of, said_of_memory

_POLL_S = 0.1
# Bytes that a DuckDB file has at least.
_HEADERS = 3 * 4096
_FULL = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_DENIED = tuple(os.strerror(code) for code in (errno.EACCES, errno.EPERM, errno.EROFS))


WRITERS_TURN: ContextVar[Callable[[], AbstractContextManager[None]]] = ContextVar(
    "writers_turn", default=nullcontext
)
"""What a writer waits in before it opens the warehouse: a queue over more than one machine."""


class WarehouseBusy(UserError):
    """Another process holds the warehouse, and went on holding it for as long as we waited."""


class WarehouseUnusable(UserError):
    """The file can't be used as it is; the message names it and says what to do."""


@contextmanager
def open_writer(path: Path, *, wait_s: float = 60.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that may write; nobody else reads or writes while it is open.

    Within keep_open it stays open for the next step, until somebody else waits.

    A missing file is made, with its folder; older tables are brought up to date first. The
    session's time zone is UTC. It is the only connection of this process: a second one, or any
    open() of the file, waits in vain or drops DuckDB's lock. Keep it short.
    Raises WarehouseBusy after wait_s; WarehouseUnusable for a file that is no warehouse, is newer
    than this software or can't be written, and when the disk is full, also inside the with block.
    """
    kept = KEPT.get()
    with WRITERS_TURN.get()(), _told_apart(path):
        if kept is not None and kept.path == path:
            with kept.step(lambda: _opened(path, wait_s)) as con:
                yield con
        else:
            with _opened(path, wait_s) as opened:
                yield opened.con


@contextmanager
def open_reader(path: Path, *, wait_s: float = 60.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """A read-only connection; other readers may have one too, a writer waits until it is closed.

    Tables older than this software are brought up to date first, and the log that a killed writer
    left is moved into the file, for which it is opened to write for a moment. The session's time
    zone is UTC.
    Raises WarehouseBusy after wait_s, WarehouseUnusable as open_writer does and for a missing file.
    """
    deadline = time.monotonic() + wait_s
    if not path.exists():
        raise WarehouseUnusable(f"{path} does not exist: pull first (verdict pull)")
    if stays_open(path):
        with open_writer(path, wait_s=wait_s) as con:
            yield con
        return
    if path.with_name(f"{path.name}.wal").exists():
        # Of a writer that was killed, or is at work. Where it can't be moved now, it's read with.
        with suppress(WarehouseBusy, WarehouseUnusable), open_writer(path, wait_s=0.0):
            pass
    with _read_only(path, deadline, wait_s) as con:
        is_ready = _is_ready(con, path)
        if is_ready:
            yield con
    if not is_ready:
        with open_writer(path, wait_s=max(0.0, deadline - time.monotonic())):
            pass
        with _read_only(path, deadline, wait_s) as con:
            yield con


def copy_warehouse(path: Path, to: Path, *, wait_s: float = 60.0) -> None:
    """A copy of the file as it is between two writers, to try something out on.

    Raises WarehouseBusy after wait_s, WarehouseUnusable where it can't be read or copied.
    """
    deadline = time.monotonic() + wait_s
    to.parent.mkdir(parents=True, exist_ok=True)
    with _told_apart(path), _locked(path, shared=True, deadline=deadline, wait_s=wait_s):
        for suffix in ("", ".wal"):
            source = path.with_name(f"{path.name}{suffix}")
            if source.exists():
                shutil.copyfile(source, to.with_name(f"{to.name}{suffix}"))


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commits at the end of the with block; an exception undoes everything and goes on."""
    con.begin()
    try:
        yield
        con.commit()
    except BaseException:
        _roll_back(con)
        raise


def _roll_back(con: duckdb.DuckDBPyConnection) -> None:
    try:
        con.rollback()
    except duckdb.Error:
        # A failed commit has ended the transaction itself. The exception that is under way says
        # what happened; this one would hide it.
        return


@contextmanager
def _read_only(path: Path, deadline: float, wait_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    with (
        _told_apart(path),
        _locked(path, shared=True, deadline=deadline, wait_s=wait_s),
        _connected(path, read_only=True, deadline=deadline, wait_s=wait_s) as con,
    ):
        yield con


@contextmanager
def _opened(path: Path, wait_s: float) -> Iterator[Opened]:
    """To write, the tables up to date."""
    deadline = time.monotonic() + wait_s
    with (
        _locked(path, shared=False, deadline=deadline, wait_s=wait_s) as lock,
        _up_to_date(path, deadline, wait_s) as con,
    ):
        yield Opened(con, lock)


@contextmanager
def _locked(path: Path, *, shared: bool, deadline: float, wait_s: float) -> Iterator[int]:
    """The lock beside the file, because DuckDB's own neither waits nor outlives a stray open()."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WarehouseUnusable(
            f"{path} can't be made, its folder can't be: {os_reason(error)}. Make it writable "
            "for this user, or name another --root"
        ) from error
    try:
        lock = path.with_name(f"{path.name}.lock")
        with file_lock(lock, shared=shared, deadline=deadline) as handle:
            yield handle
    except LockHeld as error:
        raise _busy(path, wait_s, error.holders) from error


def _busy(path: Path, wait_s: float, holders: tuple[int, ...]) -> WarehouseBusy:
    names = {pid: f"process {pid}" for pid in holders} | {os.getpid(): "this very process"}
    who = " and ".join(names[pid] for pid in holders) or "another process"
    return WarehouseBusy(
        f"{path} is in use by {who}; waited {wait_s:g} s. Try again when it has ended"
    )


@contextmanager
def _connected(
    path: Path, *, read_only: bool, deadline: float, wait_s: float
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Opens the file; waits for programs that opened it without our lock."""
    settings, spilled = resources_of(path), path.with_name(f"{path.name}.tmp")
    with ExitStack() as opened:
        while True:
            try:
                con = opened.enter_context(attached(path, spilled, settings, read_only=read_only))
                break
            except duckdb.Error as error:
                if "Could not set lock" not in str(error):
                    raise _not_opened(path, error) from error
                if time.monotonic() >= deadline:
                    holders = tuple(int(pid) for pid in re.findall(r"\(PID (\d+)\)", str(error)))
                    raise _busy(path, wait_s, holders) from error
                time.sleep(_POLL_S)
        yield con


def _not_opened(path: Path, error: duckdb.Error) -> Exception:
    """What to raise for a file that DuckDB can't open; the error itself if _told_apart knows it."""
    text = str(error)
    if any(reason in text for reason in (*_FULL, *_DENIED)):
        return error
    if "not a valid DuckDB database file" in text:
        return WarehouseUnusable(
            f"{path} is not a DuckDB file: move it away, or name another --root"
        )
    return _damaged(path, error)


def _damaged(path: Path, error: Exception) -> WarehouseUnusable:
    return WarehouseUnusable(
        f"{path} can't be read, it seems damaged: move it away and pull again ({error})"
    )


@contextmanager
def _up_to_date(path: Path, deadline: float, wait_s: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """The writer's connection, which nobody else's stands beside."""
    # Rows that did not fit into the memory of a process that was killed.
    shutil.rmtree(path.with_name(f"{path.name}.tmp"), ignore_errors=True)
    if not path.exists() or _is_stub(path):
        _create(path, deadline, wait_s)
    with _connected(path, read_only=False, deadline=deadline, wait_s=wait_s) as con:
        if not _is_ready(con, path):
            with on_all_threads(con, path), transaction(con):
                bring_up_to_date(con)
        yield con


def _is_stub(path: Path) -> bool:
    """Whether the file is what a process left that was killed before it had written the headers."""
    if not path.is_file() or path.stat().st_size >= _HEADERS:
        return False
    content = path.read_bytes()
    return not content or content[8:12] == b"DUCK"


def _create(path: Path, deadline: float, wait_s: float) -> None:
    """Makes the file, with its tables, under another name first, so that a kill leaves no half one.

    The caller holds the lock, so the other name is free, or has what such a kill left.
    """
    new = path.with_name(f".{path.name}.new")
    logs = [each.with_name(f"{each.name}.wal") for each in (new, path)]
    if logs[1].exists():
        # Of a file that was moved away, and nothing that a new one may replay.
        logs[1].replace(path.with_name(f"{path.name}.wal.old"))
    new.unlink(missing_ok=True)
    logs[0].unlink(missing_ok=True)
    try:
        with _connected(new, read_only=False, deadline=deadline, wait_s=wait_s) as con:
            with transaction(con):
                bring_up_to_date(con)
            con.execute("checkpoint")
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        logs[0].unlink(missing_ok=True)
        raise


def _is_ready(con: duckdb.DuckDBPyConnection, path: Path) -> bool:
    try:
        return is_up_to_date(con)
    except SchemaMismatch as error:
        raise WarehouseUnusable(f"{path} {error}") from error


@contextmanager
def _told_apart(path: Path) -> Iterator[None]:
    """Turns lacking disk, memory and permission, and damage into WarehouseUnusable; else it passes.

    DuckDB says them in several exceptions: IO errors, failed commits, errors without a kind.
    """
    try:
        with interrupt_told():
            yield
    except (duckdb.Error, OSError) as error:
        text = str(error)
        if isinstance(error, duckdb.OutOfMemoryException):
            raise WarehouseUnusable(f"{path}: {said_of_memory(error)}") from error
        if path.name in text and any(reason in text for reason in _FULL):
            raise WarehouseUnusable(
                f"{path} can't be written, the disk is full: free some space in {path.parent}. "
                f"Nothing of this step was kept ({text})"
            ) from error
        if path.name in text and any(reason in text for reason in _DENIED):
            raise WarehouseUnusable(
                f"{path} can't be opened, permission is lacking: make the file and its folder "
                f"writable for this user ({text})"
            ) from error
        is_short = path.name in text and "Could not read enough bytes" in text
        if is_short or text.startswith("Corrupt database file"):
            raise _damaged(path, error) from error
        raise
