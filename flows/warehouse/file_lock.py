"""A lock between processes, on a file beside what it protects."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_S = 0.02
_PROC_LOCKS = Path("/proc/locks")


class LockHeld(Exception):
    """Another holder kept the lock until the deadline. `holders`: their process ids, as known."""

    def __init__(self, path: Path, holders: tuple[int, ...]) -> None:
        super().__init__(f"{path} is locked")
        self.holders = holders


@contextmanager
def file_lock(path: Path, *, shared: bool, deadline: float) -> Iterator[None]:
    """Holds the lock for the time of the with block; the file is made if need be, and stays.

    Many may hold it shared, or one alone. A killed process loses it. Two threads of one process
    exclude each other as well. deadline: on the clock of time.monotonic.
    Raises LockHeld at the deadline, OSError when the file can't be opened.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _wait(handle, path, fcntl.LOCK_SH if shared else fcntl.LOCK_EX, deadline)
        try:
            yield
        finally:
            # Said outright: a forked child would keep a lock that is only closed.
            fcntl.flock(handle, fcntl.LOCK_UN)
    finally:
        os.close(handle)


def _wait(handle: int, path: Path, mode: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(handle, mode | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise LockHeld(path, _holders(handle)) from error
            time.sleep(_POLL_S)
        else:
            return


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
