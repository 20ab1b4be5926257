"""What stands before every endpoint: rate limit, authentication, sizes, and counting."""

from __future__ import annotations

import math
import time
from urllib.parse import quote

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.service.authentication import Authentication
from flows.service.grants import Grant
from flows.service.health import ServiceMetrics
from flows.service.http import Limits, Refused, check_declared_size
from flows.service.rate_limit import RateLimit, client_of
from flows.service.sessions import Sessions

# Probes come without a token; readyz tells details only to those who have it. Signing in is how
# people send it.
_OPEN = ("/healthz", "/readyz", "/login", "/logout")
# Where the endpoints find what the caller may.
_GRANT = "verdict.grant"
_REPORT = "/report/"
# Of every answer; a page has a policy of its own.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware. The limit comes first: it slows down the guessing of tokens too."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authentication: Authentication,
        limits: Limits,
        metrics: ServiceMetrics,
        sessions: Sessions,
    ) -> None:
        self._app = app
        self._authentication = authentication
        self._limits = limits
        self._metrics = metrics
        self._sessions = sessions
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
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
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
            page = _page_of(scope)
            if refused.status == 401 and page is not None:
                # A path of our own: what the caller says of the host is not repeated.
                answer = RedirectResponse(f"/login?page={quote(page)}", status_code=303)
                await answer(scope, receive, send)
            else:
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
            scope[_GRANT] = self._grant(scope, headers)
        check_declared_size(headers.get("content-length", ""), self._limits)

    def _grant(self, scope: Scope, headers: Headers) -> Grant:
        """What the caller may, by token, or by session: that is for reading, and sent by browsers
        without asking anybody, so it decides nothing.
        """
        if scope["method"] in ("GET", "HEAD") and "authorization" not in headers:
            found = self._sessions.grant_of(headers, now=time.monotonic())
            if found is not None:
                return found
        return self._authentication.check(headers)

    def _check_head(self, scope: Scope) -> None:
        """The parser limits a head that is incomplete; one that arrives whole is measured here."""
        size = len(scope["raw_path"]) + len(scope["query_string"])
        size += sum(len(name) + len(value) for name, value in scope["headers"])
        if size > self._limits.header_bytes:
            raise Refused(
                431, f"the request's head is too large, at most {self._limits.header_bytes} bytes"
            )


def grant_of(request: Request) -> Grant:
    """What the caller of an endpoint may, who has passed the guard."""
    grant = request.scope[_GRANT]
    assert isinstance(grant, Grant)
    return grant


def _page_of(scope: Scope) -> str | None:
    """The page that a browser asks for; None for what programs ask."""
    path = scope["path"]
    if scope["method"] != "GET" or not (path in ("/", "/api.html") or path.startswith(_REPORT)):
        return None
    return path.removeprefix(_REPORT) if path.startswith(_REPORT) else "index.html"
