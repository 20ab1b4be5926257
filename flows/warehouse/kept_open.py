"""One opening of the warehouse for many steps, given up as soon as somebody else waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, RLock, Thread
from time import monotonic

import duckdb

from flows.warehouse.engines import session
from flows.warehouse.file_lock import is_awaited

# How soon somebody who waits is noticed, and how long nobody need be waiting: while a slow source
# is read, a program that doesn't know our lock can open the file.
_POLL_S = 0.02
_LONGEST_IDLE_S = 5.0


@dataclass(frozen=True, slots=True)
class Opened:
    """A writer's connection, and the handle of the lock that goes with it."""

    con: duckdb.DuckDBPyConnection
    lock: int


@dataclass(slots=True)
class KeptOpening:
    """What a process opened last of one warehouse, as long as nobody else wants it.

    Each step has a connection of its own on it, so that nothing but what was written is left of
    the step before.
    """

    path: Path
    _opened: Opened | None = None
    _file: tuple[int, int] = (0, 0)
    _left_at: float = 0.0
    _depth: int = 0
    _open: ExitStack = field(default_factory=ExitStack)
    _mutex: RLock = field(default_factory=RLock)
    _ended: Event = field(default_factory=Event)

    @property
    def is_open(self) -> bool:
        """Whether a step would find it open."""
        with self._mutex:
            if self._opened is not None and not self._depth and _identity(self.path) != self._file:
                self.let_go()  # moved away meanwhile
            return self._opened is not None

    @contextmanager
    def step(
        self, opening: Callable[[], AbstractContextManager[Opened]]
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for one step; opening: what opens the warehouse if it isn't open."""
        with self._mutex:
            if not self.is_open:
                self._opened = self._open.enter_context(opening())
                self._file = _identity(self.path)
            assert self._opened is not None
            con = session(self._opened.con)
            self._depth += 1
            try:
                yield con
            except BaseException:
                # What a step that failed has left is known only of what is opened anew.
                self._left_at = 0.0
                raise
            else:
                self._left_at = monotonic()
            finally:
                self._depth -= 1
                con.close()
                self._give_way()

    def _give_way(self) -> None:
        """Lets go of it between two steps, if somebody waits or nothing happens any more."""
        if self._depth == 0 and self._opened is not None:
            is_idle = monotonic() - self._left_at > _LONGEST_IDLE_S
            if is_idle or is_awaited(self._opened.lock):
                self.let_go()

    def let_go(self) -> None:
        """Closes it, between two steps."""
        with self._mutex:
            self._opened = None
            self._open.close()

    def watch(self) -> None:
        """Gives way to others until end."""
        while not self._ended.wait(_POLL_S):
            if self._mutex.acquire(blocking=False):
                # What could not be moved from the log into the file is there for who opens next.
                with suppress(duckdb.Error):
                    self._give_way()
                self._mutex.release()

    def end(self) -> None:
        """No more steps."""
        self._ended.set()
        self.let_go()


KEPT: ContextVar[KeptOpening | None] = ContextVar("kept_opening", default=None)
"""The opening that the steps of this run share."""


def stays_open(path: Path) -> bool:
    """Whether this run has the warehouse open already: to read is then no cheaper than to write."""
    kept = KEPT.get()
    return kept is not None and kept.path == path and kept.is_open


@contextmanager
def keep_open(path: Path) -> Iterator[None]:
    """Within it the warehouse, once opened to write, stays open for the steps that follow.

    Between two steps it is given up if another process or thread waits for it, and after a few
    seconds without a step.
    """
    kept = KeptOpening(path)
    watcher = Thread(target=kept.watch, daemon=True)
    watcher.start()
    token = KEPT.set(kept)
    try:
        yield
    finally:
        KEPT.reset(token)
        kept.end()
        watcher.join()


def _identity(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)
    return (status.st_dev, status.st_ino)
