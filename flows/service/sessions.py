"""Sessions of people's browsers: who has sent a token once reads until the session ends."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

from flows.service.grants import Grant

COOKIE = "verdict_session"
LIFETIME_S = 8 * 3600
# Of one token; the oldest ends when there are more, so that nobody's session ends for another's.
_MOST = 100


@dataclass(frozen=True, slots=True)
class _Session:
    grant: Grant
    ends: float


class Sessions:
    """Sessions by a hash of their cookie, in this process only: a restart ends them all."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, grant: Grant, *, now: float) -> str:
        """The cookie of a new session, which reads what the grant is for and decides nothing.

        now: seconds on a clock that never goes back.
        """
        for key, session in list(self._sessions.items()):
            if session.ends <= now:
                del self._sessions[key]
        same = [k for k, s in self._sessions.items() if s.grant.digest == grant.digest]
        for key in same[: max(0, len(same) + 1 - _MOST)]:
            del self._sessions[key]
        cookie = secrets.token_urlsafe(32)
        reading = replace(grant, may_decide=False)
        self._sessions[_key_of(cookie)] = _Session(reading, now + LIFETIME_S)
        return cookie

    def grant_of(self, headers: Headers, *, now: float) -> Grant | None:
        """What the session of a request's cookie allows; None if there is none."""
        session = self._sessions.get(_key_of(_cookie_in(headers)))
        return session.grant if session is not None and now < session.ends else None

    def key_of(self, headers: Headers) -> bytes:
        """What tells a request's session from others, whether it lives or not."""
        return _key_of(_cookie_in(headers))

    def end(self, headers: Headers) -> None:
        """Ends the session of a request, in every tab that has it."""
        self._sessions.pop(_key_of(_cookie_in(headers)), None)


def _cookie_in(headers: Headers) -> str:
    cookies = SimpleCookie()
    try:
        cookies.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _key_of(cookie: str) -> bytes:
    """Looked up by a hash, so that the time it takes tells nothing of a cookie."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).digest()
