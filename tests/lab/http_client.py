"""Many HTTP/1.1 requests at once over kept connections to one address, with little work each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

# (status, variant that answered); status 0: no answer.
Answered = Callable[[int, str], None]


def encode_request(
    method: str, path: str, host: str, headers: Mapping[str, str], body: bytes = b""
) -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}"]
    lines.extend(f"{name}: {value}" for name, value in headers.items())
    if body or method == "POST":
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class HttpClient:
    """Sends each request on an idle connection, or on a new one."""

    def __init__(self, host: str, port: int) -> None:
        """Connects when first needed."""
        self._address = (host, port)
        self._idle: list[_Connection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self.in_flight = 0

    def send(self, request: bytes, answered: Answered) -> None:
        """Sends now; the callback hears exactly once."""
        self.in_flight += 1
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                connection.send(request, answered)
                return
        task = asyncio.get_running_loop().create_task(self._connect_and_send(request, answered))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect_and_send(self, request: bytes, answered: Answered) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._done), *self._address
            )
        except OSError:
            self.in_flight -= 1
            answered(0, "")
            return
        connection.send(request, answered)

    def _done(self, connection: _Connection) -> None:
        self.in_flight -= 1
        if connection.is_open:
            self._idle.append(connection)


class _Connection(asyncio.Protocol):
    """One connection with at most one request on it."""

    def __init__(self, done: Callable[[_Connection], None]) -> None:
        self._done = done
        self._answered: Answered | None = None
        self._received = b""

    @property
    def is_open(self) -> bool:
        return not self._transport.is_closing()

    def send(self, request: bytes, answered: Answered) -> None:
        self._answered = answered
        self._transport.write(request)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        length = int(_header(head, b"\r\ncontent-length:") or b"0")
        if len(self._received) < end + 4 + length:
            return
        self._received = b""
        if _header(head, b"\r\nconnection:") == b"close":
            self._transport.close()
        self._finish(int(head[9:12]), _header(head, b"\r\nx-variant:").decode())

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._finish(0, "")

    def _finish(self, status: int, variant: str) -> None:
        if (answered := self._answered) is None:
            return
        self._answered = None
        self._done(self)
        answered(status, variant)


def _header(head: bytes, name: bytes) -> bytes:
    """The value of a header in a lower-case head; empty without it."""
    start = head.find(name)
    if start < 0:
        return b""
    start += len(name)
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()
