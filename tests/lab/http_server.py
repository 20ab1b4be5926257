"""HTTP/1.1 for pods and sidecars: just enough for Envoy, Prometheus and a control call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One request; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply:
    """Where the answer to one request goes, now or later."""

    __slots__ = ("_close", "_transport")

    def __init__(self, transport: asyncio.Transport, *, close: bool) -> None:
        """close: the client doesn't keep the connection."""
        self._transport = transport
        self._close = close

    @property
    def is_awaited(self) -> bool:
        """False once the client has gone."""
        return not self._transport.is_closing()

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """Answers; the length is added to the headers."""
        lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in (headers or {}).items())
        if self._close:
            lines.append("connection: close")
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + body)
        if self._close:
            self._transport.close()


Answer = Callable[[Request, Reply], None]


class _Connection(asyncio.Protocol):
    """Splits the bytes of one connection into requests; one is answered at a time."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end].decode("latin-1").split("\r\n")
            headers = dict(_header(line) for line in head[1:])
            body_end = end + 4 + int(headers.get("content-length", "0"))
            if len(self._received) < body_end:
                return
            body, self._received = self._received[end + 4 : body_end], self._received[body_end:]
            method, path, _ = head[0].split(" ", 2)
            close = headers.get("connection", "").lower() == "close"
            self._answer(Request(method, path, headers, body), Reply(self._transport, close=close))


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


async def serve(port: int, answer: Answer) -> asyncio.Server:
    """Listens on 127.0.0.1."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: _Connection(answer), "127.0.0.1", port, backlog=512, reuse_address=True
    )
