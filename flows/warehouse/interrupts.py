"""Ctrl-C ends a query: of several threads DuckDB lets each go on with its task, however long."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from select import select
from threading import Lock, Thread, current_thread, main_thread
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    import duckdb

_STOPS = frozenset([signal.SIGINT, signal.SIGTERM])
# What a query that was about to begin forgot it is told again.
_AGAIN_S = 0.2
# Python raises what a signal means in the main thread alone: only its queries keep that waiting.
_of_main_thread: WeakSet[duckdb.DuckDBPyConnection] = WeakSet()
# Where signals are told that are watched, and who reads or asks whether there are some.
_watched: list[int] = []
_reading = Lock()


def interruptible(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, whose query a signal ends if the main thread waits for it.

    Not by a signal that has come before, though the watcher has yet to read it: what is opened
    after that is to tidy up.
    """
    if current_thread() is main_thread():
        with _reading:
            if not _watched or not select(_watched, [], [], 0)[0]:
                _of_main_thread.add(con)
    return con


@contextmanager
def queries_end_on_signals() -> Iterator[None]:
    """Within it Ctrl-C ends the main thread's query at once, and so does SIGTERM where handled.

    What else a signal does is left to its handler.
    """
    if current_thread() is not main_thread():
        yield
        return
    told, tells = os.pipe()
    os.set_blocking(tells, False)
    _watched.append(told)
    Thread(target=_watch, args=(told,), daemon=True).start()
    before = signal.set_wakeup_fd(tells, warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        _watched.remove(told)
        os.close(tells)


def _watch(told: int) -> None:
    """Reads the numbers of signals, which Python writes as they come, whatever runs meanwhile."""
    while True:
        select([told], [], [])
        with _reading:
            numbers, queried = os.read(told, 64), WeakSet(_of_main_thread)
        if not numbers:
            break
        if not _STOPS.isdisjoint(numbers):
            while queried:
                _interrupt(queried)
                time.sleep(_AGAIN_S)
    os.close(told)


def _interrupt(queried: WeakSet[duckdb.DuckDBPyConnection]) -> None:
    """Those that are closed by now are left out the next time."""
    import duckdb  # noqa: PLC0415 - slow, and loaded by whoever has asked a query

    for con in list(queried):
        try:
            con.interrupt()
        except duckdb.ConnectionException:
            queried.discard(con)
