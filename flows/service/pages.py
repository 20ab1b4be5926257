"""Pages for people's browsers: the live report, signing in and out, and the API's description."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from dashboards.html_report import INDEX
from dashboards.page_templates import FILES, Site, content_security_policy, rendered
from flows.service.authentication import Authentication
from flows.service.events import Listeners
from flows.service.guard import grant_of
from flows.service.http import Limits, Refused, read_body
from flows.service.live_pages import LivePages, Reader
from flows.service.openapi import OPERATIONS, openapi_document
from flows.service.rate_limit import client_of
from flows.service.sessions import COOKIE, LIFETIME_S, Sessions
from flows.service.shared_calls import Overloaded, SharedCalls, TookTooLong
from flows.warehouse.connection import WarehouseBusy, WarehouseUnusable

_T = TypeVar("_T")
_PAGE = re.compile(r"[A-Za-z0-9_.-]{1,80}\.html")
_HOME = f"/report/{INDEX}"


class PageEndpoints:
    """Endpoints that answer with HTML, or tell a page of what is new.

    is_https: whether browsers reach the service by TLS only.
    """

    def __init__(
        self,
        pages: LivePages,
        reads: SharedCalls,
        authentication: Authentication,
        sessions: Sessions,
        listeners: Listeners,
        limits: Limits,
        *,
        is_https: bool,
    ) -> None:
        self._pages = pages
        self._reads = reads
        self._authentication = authentication
        self._sessions = sessions
        self._listeners = listeners
        self._limits = limits
        self._is_https = is_https

    async def home(self, _: Request) -> Response:
        """The way to the index."""
        return RedirectResponse(_HOME, status_code=303)

    async def report(self, request: Request) -> Response:
        """A page of the report; 304 to who has it as it is."""
        page, reader = request.path_params["page"], self._reader(request)
        asked = f"{reader.grant.digest.hex()} {reader.has_session} {page}"
        state = await self._read(f"state of {asked}", lambda: self._pages.state(page, reader))
        if f'"{state}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=_kept(state))
        found = await self._read(asked, lambda: self._pages.page(page, reader))
        return html_response(found.text, headers=_kept(found.state))

    async def events(self, request: Request) -> Response:
        """The stream that tells a page of its newer states."""
        page, reader = request.path_params["page"], self._reader(request)
        read = functools.partial(self._pages.state, page, reader)
        asked = f"state of {reader.grant.digest.hex()} {reader.has_session} {page}"
        # Who may not read it, or asks for none, is told so at once.
        await self._read(asked, read)

        async def state() -> str | None:
            try:
                return await self._read(asked, read)
            except Refused as refused:
                # One that has gone is a state, too; what can't be read now is none.
                return "gone" if refused.status == 404 else None

        def may_go_on() -> bool:
            return not reader.has_session or self._session(request.headers) is not None

        token = b"token " + reader.grant.digest
        # One who sends the token itself is told from others by the address.
        session = token + client_of(request.client.host if request.client else "unknown").encode()
        if reader.has_session:
            session = b"session " + self._sessions.key_of(request.headers)
        return self._listeners.stream((token, session), state, may_go_on)

    async def login_form(self, request: Request) -> Response:
        """Asks for the token."""
        return _login_page(_page_asked(request.query_params.get("page", "")))

    async def login(self, request: Request) -> Response:
        """Trades the token for a session. Raises Refused (403) for another site's form."""
        _check_origin(request)
        sent = parse_qs((await read_body(request, self._limits)).decode("latin-1"))
        page = _page_asked(sent.get("page", [""])[0])
        token = sent.get("token", [""])[0].strip()
        offered = Headers({"host": request.headers.get("host", ""), "authorization": ""})
        if token.isascii() and token.isprintable():
            offered = Headers({**offered, "authorization": f"Bearer {token}"})
        try:
            grant = self._authentication.check(offered)
        except Refused as refused:
            text = "That is not a token of this service." if refused.status == 401 else str(refused)
            return _login_page(page, text, status=refused.status)
        answer = RedirectResponse(f"/report/{quote(page)}", status_code=303)
        cookie = self._sessions.begin(grant, now=time.monotonic())
        self._set(answer, cookie, LIFETIME_S)
        return answer

    async def logout(self, request: Request) -> Response:
        """Ends the session."""
        _check_origin(request)
        self._sessions.end(request.headers)
        answer = RedirectResponse("/login", status_code=303)
        self._set(answer, "", 0)
        return answer

    async def openapi(self, _: Request) -> Response:
        """The API's description for programs."""
        return Response(openapi_document(), media_type="application/json")

    async def description(self, _: Request) -> Response:
        """The API's description for people."""
        return html_response(rendered("api.html", site=FILES, operations=OPERATIONS))

    def _set(self, answer: Response, cookie: str, seconds: int) -> None:
        answer.set_cookie(
            COOKIE, cookie, max_age=seconds, path="/",
            secure=self._is_https, httponly=True, samesite="strict",
        )  # fmt: skip

    def _session(self, headers: Headers) -> object:
        return self._sessions.grant_of(headers, now=time.monotonic())

    def _reader(self, request: Request) -> Reader:
        has_session = "authorization" not in request.headers
        has_session = has_session and self._session(request.headers) is not None
        return Reader(grant_of(request), has_session)

    async def _read(self, asked: str, work: Callable[[], _T]) -> _T:
        """In a worker thread. Raises Refused, 503 if it takes too long or can't be read."""
        again = {"Retry-After": "5"}
        try:
            return await self._reads.call(f"page {asked}", asked, work)
        except (Overloaded, TookTooLong) as error:
            raise Refused(503, "the page could not be made in time: reload it", again) from error
        except (WarehouseBusy, WarehouseUnusable) as error:
            raise Refused(503, f"the page can't be made now: {error}", again) from error


def html_response(
    text: str, *, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A page that no cache keeps, which may do no more in a browser than ours need."""
    secured = {"Content-Security-Policy": content_security_policy(), "Cache-Control": "no-store"}
    return Response(
        text, status_code=status, headers={**secured, **(headers or {})}, media_type="text/html"
    )


def refused_page(refused: Refused) -> Response:
    """A refusal for people."""
    titles = {403: "Not allowed", 404: "Not found", 503: "Not now"}
    title = titles.get(refused.status, "Not answered")
    text = rendered("message.html", site=FILES, title=title, text=str(refused))
    return html_response(text, status=refused.status, headers=refused.headers)


def _login_page(page: str, problem: str = "", *, status: int = 200) -> Response:
    hours = LIFETIME_S // 3600
    text = rendered("login.html", site=Site(), page=page, problem=problem, hours=hours)
    return html_response(text, status=status)


def _page_asked(text: str) -> str:
    """Only ever a page of the report: what is sent here must not lead elsewhere."""
    return text if _PAGE.fullmatch(text) else INDEX


def _check_origin(request: Request) -> None:
    """Raises Refused (403): what another site's page sends is not its reader's will."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Refused(403, "this form was sent by a page of another site")


def _kept(state: str) -> dict[str, str]:
    return {"ETag": f'"{state}"', "Cache-Control": "no-store"}
