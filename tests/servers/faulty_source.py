"""What a source of requests can answer that is no answer: as a body, and on the wire."""

from __future__ import annotations

import gzip
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.servers.scripted_server import MATRIX, Reply, tcp_server


def _answer(body: bytes, status: int = 200, **headers: str) -> Callable[[], Reply]:
    return lambda: Reply(status, body, {name.replace("_", "-"): v for name, v in headers.items()})


ANSWERS: dict[str, Callable[[], Reply]] = {
    "a number for a series": _answer(MATRIX % (b"5", b"")),
    "a list for an answer": _answer(b"[5]"),
    "brackets": _answer(b"[" * 200_000),
    "data is null": _answer(b'{"status":"success","data":null}'),
    "a series without labels": _answer(MATRIX % (b'{"values":[[1,"5"]]}', b"")),
    "no pairs": _answer(MATRIX % (b'{"metric":{"__name__":"up"},"values":[5]}', b"")),
    "values are text": _answer(MATRIX % (b'{"metric":{"__name__":"up"},"values":"[5]"}', b"")),
    "labels are a list": _answer(MATRIX % (b'{"metric":[],"values":[[1,"5"]]}', b"")),
    "a histogram that is none": _answer(MATRIX % (b'{"metric":{},"histograms":[[1,5]]}', b"")),
    "a wait that is no number": _answer(b"busy", 503, Retry_After="\xb2"),
    "a page": _answer(b"<html>login</html>"),
    "not found": _answer(b"", 404),
    "nothing": _answer(b""),
}

Wire = Callable[[socket.socket], None]
_OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_MILLION = 1 << 20


def _reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _cut(client: socket.socket) -> None:
    client.sendall(_OK + b'Content-Length: 1000\r\n\r\n{"status":"succ')


def _no_http(client: socket.socket) -> None:
    client.sendall(b"\x00\xff" * 500)


def _endless(client: socket.socket) -> None:
    client.sendall(_OK + b"Connection: close\r\n\r\n")
    while True:
        client.sendall(b"[" * _MILLION)


def _endless_headers(client: socket.socket) -> None:
    client.sendall(_OK)
    while True:
        client.sendall(b"X-More: " + b"y" * 1000 + b"\r\n")


def _packed(client: socket.socket) -> None:
    """4 MB that are 3.8 GB unpacked."""
    packer = zlib.compressobj(wbits=31)
    head = packer.compress(b"[" * _MILLION) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(b"[" * _MILLION) + packer.flush(zlib.Z_FULL_FLUSH)
    body = head + block * 3800
    length = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    client.sendall(_OK + length + body)


def _damaged(client: socket.socket) -> None:
    body = bytearray(gzip.compress(EMPTY_ANSWER))
    body[len(body) // 2] ^= 0xFF
    length = f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    client.sendall(_OK + length + bytes(body))


def _negative_chunk(client: socket.socket) -> None:
    client.sendall(_OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nx\r\n")


def _wait_for_more(client: socket.socket) -> None:
    while True:
        client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)


def _endless_trailers(client: socket.socket) -> None:
    client.sendall(_OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n")
    while True:
        client.sendall((b"X-More: " + b"y" * 1000 + b"\r\n") * 100)


def _silent(client: socket.socket) -> None:
    while client.recv(_MILLION):
        pass


def _dripping(client: socket.socket) -> None:
    client.sendall(_OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        client.sendall(b" ")
        time.sleep(0.5)


EMPTY_ANSWER = MATRIX % (b"", b"")
WIRES: dict[str, Wire] = {
    "reset": _reset,
    "cut": _cut,
    "no HTTP": _no_http,
    "an endless body": _endless,
    "endless headers": _endless_headers,
    "4 MB that are 3.8 GB": _packed,
    "a damaged gzip": _damaged,
    "a negative chunk": _negative_chunk,
}
# Each is waited for as long as a source may take.
SLOW_WIRES: dict[str, Wire] = {
    "silence": _silent,
    "a byte each half second": _dripping,
    "100 Continue for ever": _wait_for_more,
    "endless trailers": _endless_trailers,
}


@dataclass
class FaultyProxy:
    """In front of a server; wire: what it does in place of handing an answer on."""

    url: str = ""
    wire: Wire | None = None
    redirected: int = 0


@contextmanager
def faulty_proxy(target: str) -> Iterator[FaultyProxy]:
    """The running proxy."""
    proxy = FaultyProxy()
    host, port = target.removeprefix("http://").split(":")

    def serve(client: socket.socket) -> None:
        with client:
            request = client.recv(_MILLION)
            if not request:
                return
            if (wire := proxy.wire) is not None:
                wire(client)
                return
            with socket.create_connection((host, int(port))) as server:
                server.sendall(request)
                asking = threading.Thread(target=_copy, args=(client, server), daemon=True)
                asking.start()
                _copy(server, client)

    with tcp_server(serve) as url:
        proxy.url = url
        yield proxy


@contextmanager
def trap(proxy: FaultyProxy) -> Iterator[Wire]:
    """Sends who asks to another host, which counts who follows."""

    def count(client: socket.socket) -> None:
        with client:
            proxy.redirected += 1

    with tcp_server(count) as url:
        other = url.replace("127.0.0.1", "localhost")
        answer = f"HTTP/1.1 307 Go\r\nLocation: {other}/\r\nContent-Length: 0\r\n\r\n".encode()
        yield lambda client: client.sendall(answer)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(socket.SHUT_WR)
