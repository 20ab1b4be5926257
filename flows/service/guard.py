"""What stands before every endpoint: rate limit, authentication, sizes, and counting."""

from __future__ import annotations

import math
import time

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.service.authentication import Authentication
from flows.service.health import ServiceMetrics
from flows.service.http import Limits, Refused, check_declared_size
from flows.service.rate_limit import RateLimit, client_of

# Probes come without a token; readyz tells details only to those who have it.
_OPEN = ("/healthz", "/readyz")
# Where the endpoints find what the caller may.
GRANT = "verdict.grant"


class Guard:
    """ASGI middleware. The limit comes first: it slows down the guessing of tokens too."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authentication: Authentication,
        limits: Limits,
        metrics: ServiceMetrics,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._limits = limits
        self._metrics = metrics
        self._rate = RateLimit(per_second=limits.requests_per_second, burst=limits.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuses the request, or passes it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.monotonic()
        # An exception that escapes is answered with 500 further out.
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, counted)
        finally:
            seconds = time.monotonic() - began
            self._metrics.request(scope["path"], scope["method"], status, seconds)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._check(scope)
        except Refused as refused:
            await refused.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        self._check_head(scope)
        # A probe must not fail because another program of its node calls too often.
        if scope["path"] == "/healthz":
            return
        address = scope["client"][0] if scope.get("client") else "unknown"
        wait_s = self._rate.wait_s(client_of(address), now=time.monotonic())
        if wait_s:
            raise Refused(
                429,
                "too many requests from this address: call again later",
                {"Retry-After": str(math.ceil(wait_s))},
            )
        headers = Headers(scope=scope)
        if scope["path"] not in _OPEN:
            scope[GRANT] = self._authentication.check(headers)
        check_declared_size(headers.get("content-length", ""), self._limits)

    def _check_head(self, scope: Scope) -> None:
        """The parser limits a head that is incomplete; one that arrives whole is measured here."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes:
            raise Refused(
                431, f"the request's head is too large, at most {self._limits.header_bytes} bytes"
            )
