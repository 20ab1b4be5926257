"""Runs the service on a socket until it is told to stop."""

from __future__ import annotations

import logging
import signal
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn

from flows.formats.text_file import STREAM, is_stream
from flows.publish.addresses import read_addresses
from flows.service.application import application
from flows.service.authentication import Authentication
from flows.service.connections import guarded_protocol
from flows.service.grants import Grant
from flows.service.http import Limits
from flows.workspace.paths import Workspace

_BACKLOG = 1024
_CHECK_CERTIFICATE_S = 10.0
_LARGEST_PEM = 1 << 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Files in PEM: the certificate, with those between it and the root, and its private key."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """With both. Raises OSError, of ssl too, or ValueError if they can't be used."""
        _check_pem(self.certificate, "CERTIFICATE", "a certificate")
        if "ENCRYPTED" in _check_pem(self.key, "PRIVATE KEY", "a private key"):
            raise ValueError(f"{self.key} has a password: write it without (openssl pkey)")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise ValueError("the key is another certificate's") from error
            raise
        return context

    def written(self) -> tuple[int, ...]:
        """Differs once one of them is written anew, or another file stands in its place."""
        stats = [path.stat() for path in (self.certificate, self.key)]
        return tuple(number for one in stats for number in (one.st_mtime_ns, one.st_ino))


def _check_pem(path: Path, kind: str, what: str) -> str:
    """The file's text, in which a block of the kind begins. Raises OSError or ValueError."""
    if is_stream(path):
        raise ValueError(f"{path} {STREAM}")
    with path.open(encoding="ascii", errors="replace") as file:
        text = file.read(_LARGEST_PEM)
    if f"{kind}-----" not in text:
        raise ValueError(f"{path} must hold {what} in PEM (-----BEGIN {kind}-----)")
    return text


def keep_up_to_date(
    context: ssl.SSLContext, tls: ServerIdentity, seen: tuple[int, ...], over: threading.Event
) -> None:
    """Renewed files are used by the next connections; those that can't be used are said once.

    Each connection takes the newest whole: between the certificate and the key of one that is
    loaded anew, handshakes would fail.
    """
    while not over.wait(_CHECK_CERTIFICATE_S):
        try:
            if (now := tls.written()) == seen:
                continue
            seen = now
            newest = tls.context()
        except (OSError, ValueError) as error:
            _log.error("%s and %s: %s; the old ones go on", tls.certificate, tls.key, error)
        else:
            context.sni_callback = partial(_take, newest)
            _log.info("%s was renewed", tls.certificate)


def _take(newest: ssl.SSLContext, connection: ssl.SSLSocket | ssl.SSLObject, *_: object) -> None:
    """At the beginning of every handshake, whether the client names a server or not."""
    connection.context = newest


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it was told to stop."""

    def __init__(self, config: uvicorn.Config, stopping: threading.Event) -> None:
        super().__init__(config)
        self._stopping = stopping

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().handle_exit(sig, frame)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=_BACKLOG)


def serve(
    workspace: Workspace,
    listening: socket.socket,
    *,
    token: str | None,
    grants: Sequence[Grant] = (),
    limits: Limits | None = None,
    tls: ServerIdentity | None = None,
) -> None:
    """Answers until SIGTERM or SIGINT; then requests under way are finished first.

    token: allows all; without it and without grants, calls to this machine only are answered.
    """
    limits = limits or Limits()
    written = tls.written() if tls else ()
    # The streams to pages end when the server, which is made below, is told to stop.
    stopping = threading.Event()
    app = application(
        workspace,
        authentication=Authentication(token, grants),
        limits=limits,
        is_stopping=stopping.is_set,
        is_https=tls is not None or read_addresses().service.startswith("https:"),
    )
    config = uvicorn.Config(
        app,
        http=guarded_protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        # Callers could otherwise name themselves, and have a rate limit of their own each time.
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.header_bytes,
        limit_concurrency=limits.connections,
        timeout_graceful_shutdown=int(limits.shutdown_s),
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    # uvicorn raises the signal anew after its clean end; so it arrives here as an exception.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    host, port = listening.getsockname()[:2]
    scheme = "https" if tls else "http"
    print(f"listening on {scheme}://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    config.load()
    over = threading.Event()
    if tls is not None and config.ssl is not None:
        arguments = (config.ssl, tls, written, over)
        threading.Thread(target=keep_up_to_date, args=arguments, daemon=True).start()
    try:
        _Server(config, stopping).run(sockets=[listening])
    except KeyboardInterrupt:
        return
    finally:
        over.set()
