"""Sessions of browsers."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers

from flows.service.grants import Grant
from flows.service.sessions import COOKIE, LIFETIME_S, Sessions

GRANT = Grant(b"one", may_decide=True, experiments=frozenset({"exam"}))


def brings(cookie: str) -> Headers:
    return Headers({"cookie": f"other=1; {COOKIE}={cookie}"})


def test_session_reads_what_its_token_is_for_until_it_ends() -> None:
    sessions = Sessions()
    cookie = sessions.begin(GRANT, now=100.0)
    found = sessions.grant_of(brings(cookie), now=99.0 + LIFETIME_S)
    assert found == Grant(b"one", may_decide=False, experiments=frozenset({"exam"}))
    assert sessions.grant_of(brings(cookie), now=100.0 + LIFETIME_S) is None


@pytest.mark.parametrize("cookie", ["", "x", '"', "a" * 5000, "ü"])
def test_other_cookies_are_nothing(cookie: str) -> None:
    sessions = Sessions()
    sessions.begin(GRANT, now=0.0)
    assert sessions.grant_of(Headers({"cookie": f"{COOKIE}={cookie}"}), now=1.0) is None


def test_many_sessions_of_one_token_end_none_of_another() -> None:
    sessions = Sessions()
    other = sessions.begin(Grant(b"two"), now=0.0)
    cookies = [sessions.begin(GRANT, now=1.0) for _ in range(150)]
    alive = [sessions.grant_of(brings(cookie), now=2.0) is not None for cookie in cookies]
    assert alive == [False] * 50 + [True] * 100
    assert sessions.grant_of(brings(other), now=2.0) is not None
