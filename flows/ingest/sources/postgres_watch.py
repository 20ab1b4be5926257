"""Ends a connection to a PostgreSQL server that stopped answering without a word.

The kernel of a server that is frozen goes on confirming what it is sent, so neither a time-out of
the connection nor keep-alives notice, and the driver waits without an end. A thread asks the server
on another connection whether it still answers; if not, it shuts the driver's, which it notices.
"""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_HANDLES = Path("/dev/fd")
# Length and code of libpq's question whether the server speaks TLS, which it answers with a byte.
_SPEAKS_TLS = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")
_USUAL_PORT = 5432


@dataclass(frozen=True, slots=True)
class Vigil:
    """In seconds: how often the server is asked, how long it may take, and all that may last."""

    every_s: float = 15.0
    answer_s: float = 10.0
    whole_s: float = 1_860.0


@dataclass(slots=True)
class Watch:
    """silent: what the server failed to do, once its connections were ended."""

    silent: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def watched(ports: str, vigil: Vigil) -> Iterator[Watch]:
    """Watches the connections that the with block opens to these ports (as in a DSN)."""
    usual = os.environ.get("PGPORT") or _USUAL_PORT
    numbers = {int(port or usual) for port in ports.split(",")}
    watch, before = Watch(), _handles()
    thread = threading.Thread(target=_guard, args=(watch, before, numbers, vigil), daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.over.set()
        thread.join()


def _guard(watch: Watch, before: frozenset[tuple[int, int]], ports: set[int], vigil: Vigil) -> None:
    began = time.monotonic()
    while not watch.over.wait(vigil.every_s):
        connections = list(_connections(_handles() - before, ports))
        try:
            if time.monotonic() - began > vigil.whole_s:
                watch.silent = f"it did not end within {vigil.whole_s:g} s"
            elif any(not _answers(each, vigil.answer_s) for each in connections):
                watch.silent = f"the server gave no sign of life for {vigil.answer_s:g} s"
            if watch.silent and not watch.over.is_set():
                for each in connections:
                    with suppress(OSError):
                        each.shutdown(socket.SHUT_RDWR)
        finally:
            for each in connections:
                each.close()


def _handles() -> frozenset[tuple[int, int]]:
    """The open handles, each with what it is on: a number is soon used again."""
    found = []
    with suppress(OSError):
        for path in _HANDLES.iterdir():
            with suppress(OSError):
                found.append((int(path.name), os.fstat(int(path.name)).st_ino))
    return frozenset(found)


def _connections(handles: frozenset[tuple[int, int]], ports: set[int]) -> Iterator[socket.socket]:
    """Copies of those handles that are connections to a PostgreSQL server."""
    for handle, _ in handles:
        try:
            if not stat.S_ISSOCK(os.fstat(handle).st_mode):
                continue
            found = socket.socket(fileno=os.dup(handle))
        except OSError:
            continue
        if _is_to(found, ports):
            yield found
        else:
            found.close()


def _is_to(found: socket.socket, ports: set[int]) -> bool:
    try:
        peer = found.getpeername()
    except OSError:
        return False
    if isinstance(peer, tuple):
        return peer[1] in ports
    return any(str(peer).endswith(f".s.PGSQL.{port}") for port in ports)


def _answers(connection: socket.socket, within_s: float) -> bool:
    """Whether the server that the connection is to answers a question on another one."""
    with socket.socket(connection.family, socket.SOCK_STREAM) as asking:
        asking.settimeout(within_s)
        try:
            asking.connect(connection.getpeername())
            asking.sendall(_SPEAKS_TLS)
            return bool(asking.recv(1))
        except TimeoutError:
            return False
        except OSError:
            # It refuses: then it says so on the connection, too.
            return True
