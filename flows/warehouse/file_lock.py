"""A lock between processes, on a file beside what it protects."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.01
_PROC_LOCKS = Path("/proc/locks")
# Linux' struct flock: type, whence, start, length, process (0). The kernel's locks on byte ranges
# belong to the open file, so two threads of one process exclude each other.
_RANGE = struct.Struct("hhqqi4x")
_HAS_RANGES = sys.platform == "linux" and hasattr(fcntl, "F_OFD_SETLK")


@dataclass(slots=True)
class Waits:
    """Seconds that this process has waited for locks, its threads together."""

    seconds: float = 0.0


WAITS = Waits()


class LockHeld(Exception):
    """Another holder kept the lock until the deadline. `holders`: their process ids, as known."""

    def __init__(self, path: Path, holders: tuple[int, ...]) -> None:
        super().__init__(f"{path} is locked")
        self.holders = holders


@contextmanager
def file_lock(path: Path, *, shared: bool, deadline: float) -> Iterator[int]:
    """Holds the lock for the time of the with block; the file is made if need be, and stays.

    What it yields is the lock's handle: a child process that has it keeps the lock, too.

    Many may hold it shared, or one alone. A killed process loses it. Two threads of one process
    exclude each other as well. Who came first gets it first, so readers who come one after the
    other don't keep a writer out; nobody may wait for a lock that they hold already.
    deadline: on the clock of time.monotonic.
    Raises LockHeld at the deadline, OSError when the file can't be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    began = time.monotonic()

    def until(is_so: Callable[[], bool]) -> None:
        while not is_so():
            if time.monotonic() >= deadline:
                raise LockHeld(path, _holders(handle))
            time.sleep(_POLL_S)

    try:
        with _turn(handle, until) if _HAS_RANGES else nullcontext():
            until(lambda: _try(handle, fcntl.LOCK_SH if shared else fcntl.LOCK_EX))
        WAITS.seconds += time.monotonic() - began
        try:
            yield handle
        finally:
            # Said outright: a forked child would keep a lock that is only closed.
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def is_awaited(handle: int) -> bool:
    """Whether somebody waits for the lock that a handle holds; yes, where that can't be told."""
    return not _HAS_RANGES or _is_any_locked(handle, 1, 0)


def _try(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _turn(handle: int, until: Callable[[Callable[[], bool]], None]) -> Iterator[None]:
    """Waits for those who came before, and lets those who come later wait, for the with block.

    Who comes draws the next number, the size of the file, and locks the byte of that number. A
    killed process loses its byte: it is one's turn when no byte before is locked.
    """
    until(lambda: _lock_byte(handle, 0))
    number = os.fstat(handle).st_size + 1 if _is_any_locked(handle, 1, 0) else 1
    _lock_byte(handle, number)
    os.ftruncate(handle, number)
    _unlock_byte(handle, 0)
    try:
        until(lambda: number == 1 or not _is_any_locked(handle, 1, number - 1))
        yield
    finally:
        _unlock_byte(handle, number)


def _lock_byte(handle: int, at: int) -> bool:
    try:
        _set_byte(handle, at, fcntl.F_WRLCK)
    except OSError as error:
        # A file system without such locks has no queue.
        return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _unlock_byte(handle: int, at: int) -> None:
    with suppress(OSError):
        _set_byte(handle, at, fcntl.F_UNLCK)


def _set_byte(handle: int, at: int, kind: int) -> None:
    fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _RANGE.pack(kind, os.SEEK_SET, at, 1, 0))


def _is_any_locked(handle: int, start: int, length: int) -> bool:
    """Whether somebody else has locked one of so many bytes; a length of 0 is all that follow."""
    asked = _RANGE.pack(fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        found = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, asked)
    except OSError:
        return False
    return bool(_RANGE.unpack(found)[0] != fcntl.F_UNLCK)


def _holders(handle: int) -> tuple[int, ...]:
    """Who holds the lock, by the kernel's list; empty where there is none (only Linux has it)."""
    if not _PROC_LOCKS.exists():
        return ()
    inode = str(os.fstat(handle).st_ino)
    found = set()
    for line in _PROC_LOCKS.read_text(encoding="ascii").splitlines():
        # "1: FLOCK  ADVISORY  WRITE 1234 fe:00:2146344 0 EOF"; one who waits has "->" in front
        fields = line.split()
        if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == inode and fields[4].isdigit():
            found.add(int(fields[4]))
    return tuple(sorted(found - {0}))
