"""Real servers that misbehave: HTTP with answers from a script, and TCP that cuts or is silent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MATRIX = b'{"status":"success","data":{"resultType":"matrix","result":[%s]}%s}'
ONE_SERIES = b'{"metric":{"__name__":"up"},"values":[[1,"5"]]}'
EMPTY = MATRIX % (b"", b"")


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers to one question."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Script:
    """A running server: its URL, and what it was asked (path, headers, body)."""

    url: str
    asked: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def queries(self) -> int:
        """How often an instant query was asked."""
        return sum(path == "/api/v1/query" for path, _, _ in self.asked)


@contextlib.contextmanager
def scripted(*replies: Reply, tls: ssl.SSLContext | None = None) -> Iterator[Script]:
    """Answers queries in the given order, the last one again and again; else 404."""
    left = list(replies)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

        def _answer(self, body: bytes) -> None:
            script.asked.append((self.path, dict(self.headers), body))
            reply = Reply(404, b"404 page not found")
            if self.path == "/api/v1/query":
                reply = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script = Script(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}")
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    with _running(server.serve_forever):
        try:
            yield script
        finally:
            server.shutdown()
            server.server_close()


@contextlib.contextmanager
def tcp_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that does what `serve` does with each connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the test is over
                return
            threading.Thread(target=_quietly, args=(serve, connection), daemon=True).start()

    with _running(accept):
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()


@contextlib.contextmanager
def cutting_proxy(target: str, cut_after: Sequence[int]) -> Iterator[str]:
    """A proxy to a server; its n-th connection ends after cut_after[n] bytes of answers.

    Connections after those are left whole.
    """
    host, port = target.removeprefix("http://").split(":")
    limits = list(cut_after)

    def serve(client: socket.socket) -> None:
        limit = limits.pop(0) if limits else None
        with client, socket.create_connection((host, int(port))) as server:
            asking = threading.Thread(target=_quietly, args=(_copy, client, server), daemon=True)
            asking.start()
            _copy(server, client, limit)
            client.shutdown(socket.SHUT_RDWR)

    with tcp_server(serve) as url:
        yield url


def _copy(source: socket.socket, target: socket.socket, limit: int | None = None) -> None:
    """Copies until the end or the limit."""
    done = 0
    while part := source.recv(65536):
        part = part if limit is None else part[: limit - done]
        target.sendall(part)
        done += len(part)
        if limit is not None and done >= limit:
            return


def _quietly(serve: Callable[..., None], *arguments: object) -> None:
    """The other side may be gone: that is what is being tested."""
    with contextlib.suppress(OSError):
        serve(*arguments)


@contextlib.contextmanager
def _running(run: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(timeout=5)
