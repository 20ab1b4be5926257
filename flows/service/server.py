"""Runs the service on a socket until it is told to stop."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from flows.service.application import application
from flows.service.authentication import Authentication
from flows.service.connections import guarded_protocol
from flows.service.grants import Grant
from flows.service.http import Limits
from flows.workspace.paths import Workspace

_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """Files in PEM: the certificate, with those between it and the root, and its private key."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raises OSError (of ssl, too) if they can't be used; a key with a password can't."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key, password=lambda: "")


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
    config = uvicorn.Config(
        application(workspace, authentication=Authentication(token, grants), limits=limits),
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
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return
