"""The live report of `verdict serve`: who reads it, and that it shows what is new.

Covers flows.service.pages, flows.service.events, flows.service.live_pages, flows.service.guard.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from http.cookiejar import Cookie
from itertools import islice
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
import requests
from starlette.testclient import TestClient

from flows.service import live_pages
from flows.service.application import application
from flows.service.authentication import Authentication
from flows.service.events import Listeners
from flows.service.grants import Grant
from flows.service.http import Limits, Refused
from flows.service.live_pages import LivePages, Reader
from flows.service.sessions import COOKIE
from flows.workspace.paths import Workspace
from scripts.chromium import opened
from tests.places import PATIENCE_S, at_load
from tests.servers.browser import browser
from tests.servers.service_process import TOKEN, demo_workspace, running, started

MINE, OTHER = "exam-service-canary", "quiz-format"
READS = "reads-one-0123456789"
EARLIER = "2026-11-23T17:31:00Z"


def workspace(root: Path) -> Path:
    """The demo's, with two experiments, one of which has no verdict yet."""
    demo_workspace(root)
    for path in (root / "experiments").glob("*.yaml"):
        if path.stem not in (MINE, OTHER):
            path.unlink()
    return root


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = workspace(tmp_path_factory.mktemp("live"))
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), "serve", "--port", "0"]
    command += ["--token-env", "ALL", f"--grant=READS=read:{MINE}"]
    with started(command, {"ALL": TOKEN, "READS": READS}) as (_, found):
        assert ask(f"{found}/argo/{MINE}", bearer(TOKEN)).json()["decision"] == "promote"
        yield found


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask(url: str, headers: dict[str, str] | None = None) -> requests.Response:
    return requests.get(url, headers=headers, timeout=PATIENCE_S, allow_redirects=False)


def signed_in(url: str, token: str) -> requests.Session:
    browser = requests.Session()
    answer = browser.post(
        f"{url}/login", {"token": token, "page": f"{MINE}.html"}, timeout=PATIENCE_S
    )
    assert answer.url == f"{url}/report/{MINE}.html"
    return browser


@pytest.mark.parametrize(
    ("path", "nobody", "reader", "whole"),
    [
        ("/", "/login?page=index.html", 303, 303),
        ("/report/index.html", "/login?page=index.html", 200, 200),
        (f"/report/{MINE}.html", f"/login?page={MINE}.html", 200, 200),
        (f"/report/{OTHER}.html", f"/login?page={OTHER}.html", 403, 404),
        ("/report/nothing.html", "/login?page=nothing.html", 403, 404),
        (f"/report/{MINE}", f"/login?page={MINE}", 404, 404),
        ("/report/..%2f..%2fetc%2fpasswd", None, None, None),
        (f"/events/{OTHER}.html", "", 403, 200),
        ("/events/nothing.html", "", 403, 404),
        ("/api.html", "/login?page=index.html", 200, 200),
        ("/openapi.json", "", 200, 200),
        (f"/verdict/{MINE}", "", 200, 200),
        (f"/verdict/{MINE}?at={EARLIER}", "", 403, 200),
        (f"/argo/{MINE}", "", 403, 200),
        ("/nothing", "", 404, 404),
    ],
)
def test_who_may_read_what(
    url: str, path: str, nobody: str | None, reader: int | None, whole: int | None
) -> None:
    """A session reads what its token does; without one a browser is sent to sign in."""
    session = signed_in(url, READS)
    found = []
    with closing(ask(url + path)) as plain:
        assert plain.headers.get("Location", "") == (nobody or plain.headers.get("Location", ""))
        assert plain.status_code in (303, 401, 404)
    for headers in ({}, bearer(TOKEN)):
        with session.get(
            url + path, headers=headers, timeout=PATIENCE_S, allow_redirects=False, stream=True
        ) as answer:
            found.append(answer.status_code)
    assert reader is None or found == [reader, whole]


def test_index_shows_only_what_the_token_is_for(url: str) -> None:
    assert (
        OTHER not in signed_in(url, READS).get(f"{url}/report/index.html", timeout=PATIENCE_S).text
    )


def test_session_reads_and_ends(url: str) -> None:
    session = signed_in(url, TOKEN)
    cookie: Cookie = next(iter(session.cookies))
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "strict"
    assert cookie.expires is not None
    assert cookie.expires - time.time() <= 8 * 3600
    assert TOKEN not in str(cookie.value)
    assert session.post(f"{url}/verdict/{MINE}", timeout=PATIENCE_S).status_code == 401
    assert session.post(f"{url}/flagger/rollback", json={}, timeout=PATIENCE_S).status_code == 401
    session.post(f"{url}/logout", timeout=PATIENCE_S)
    # The old cookie is nothing any more, wherever somebody has kept it.
    kept = {"Cookie": f"{COOKIE}={cookie.value}"}
    assert ask(f"{url}/report/index.html", kept).headers["Location"] == "/login?page=index.html"


@pytest.mark.parametrize(
    "token", ["", "short", f"{TOKEN}x", "ü" * 20, f"{TOKEN}\r\nX: y", "a" * 5000]
)
def test_wrong_token_is_told_without_it(url: str, token: str) -> None:
    answer = requests.post(
        f"{url}/login", {"token": token}, timeout=PATIENCE_S, allow_redirects=False
    )
    assert answer.status_code == 401
    assert "That is not a token of this service." in answer.text
    assert "Set-Cookie" not in answer.headers
    assert not token or token not in answer.text


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/login", "/logout"])
def test_form_of_another_site_is_refused(url: str, origin: str, path: str) -> None:
    sent = {"Origin": origin}
    answer = requests.post(url + path, {"token": TOKEN}, headers=sent, timeout=PATIENCE_S)
    assert answer.status_code == 403
    assert "Set-Cookie" not in answer.headers


def test_api_page_names_fields_as_they_are_sent(url: str) -> None:
    page = ask(f"{url}/api.html", bearer(TOKEN)).text
    assert "<code>canaryWeight</code>" in page
    assert "canary_weight" not in page


@pytest.mark.parametrize(
    "page",
    ["//evil.example/x.html", "https://evil.example", "/x.html", "..%2fx.html", "a\r\nb.html"],
)
def test_signing_in_leads_nowhere_else(url: str, page: str) -> None:
    sent = {"token": TOKEN, "page": page}
    answer = requests.post(f"{url}/login", sent, timeout=PATIENCE_S, allow_redirects=False)
    assert answer.headers["Location"] == "/report/index.html"


def test_every_answer_is_kept_by_nobody_and_framed_by_nobody(url: str) -> None:
    paths = ["/healthz", "/login", "/nothing", "/openapi.json", "/api.html", "/report/index.html"]
    for path in [*paths, "/metrics", f"/report/{OTHER}.html"]:
        headers = ask(url + path, bearer(TOKEN)).headers
        assert headers["Cache-Control"] == "no-store", path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"], path
        assert "unsafe" not in headers["Content-Security-Policy"], path


def test_page_is_sent_again_only_when_something_is_new(url: str) -> None:
    page = f"{url}/report/{MINE}.html"
    first = ask(page, bearer(TOKEN))
    same = ask(page, bearer(TOKEN) | {"If-None-Match": first.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    events = requests.get(
        f"{url}/events/{MINE}.html", headers=bearer(TOKEN), timeout=PATIENCE_S, stream=True
    )
    told: list[str] = []

    def listen() -> None:
        data = (line.partition("data: ")[2] for line in events.iter_lines(decode_unicode=True))
        told.extend(f'"{one}"' for one in islice(filter(None, data), 2))

    threading.Thread(target=listen, daemon=True).start()
    time.sleep(3)
    assert told == [first.headers["ETag"]]
    ask(f"{url}/verdict/{MINE}?at=2026-11-23T17:32:00Z", bearer(TOKEN))
    while len(told) < 2:
        time.sleep(0.1)
    newer = ask(page, bearer(TOKEN) | {"If-None-Match": first.headers["ETag"]})
    assert newer.status_code == 200
    assert told[1:] == [newer.headers["ETag"]]
    assert newer.text != first.text


@pytest.mark.parametrize(
    ("opened", "newcomer", "may"),
    [
        ([("a", "1")] * 2, ("a", "1"), False),
        ([("a", "1")] * 2, ("a", "2"), True),
        ([("a", "1")] * 2 + [("a", "2")], ("a", "3"), False),
        ([("a", "1")] * 2 + [("a", "2")], ("b", "3"), True),
        ([("a", "1")] * 2 + [("a", "2")] + [("b", "3")], ("c", "4"), False),
    ],
)
def test_one_reader_does_not_take_the_places_of_all(
    opened: list[tuple[str, str]], newcomer: tuple[str, str], may: bool
) -> None:
    limits = Limits(listeners=4, listeners_per_token=3, listeners_per_session=2)
    listeners = Listeners(limits, lambda: False)
    holders = [(token.encode(), session.encode()) for token, session in [*opened, newcomer]]
    for holder in holders[:-1]:
        listeners.opened(holder)
    with nullcontext() if may else pytest.raises(Refused, match="too many pages listen"):
        listeners.stream(holders[-1], AsyncMock(), lambda: True)
    for holder in holders[:-1]:
        listeners.ended(holder)
    listeners.stream(holders[-1], AsyncMock(), lambda: True)


def test_listeners_are_few_and_end_with_the_service(tmp_path: Path) -> None:
    """One that reads nothing holds nobody up."""
    limits = Limits(listeners=4, listeners_per_session=2)
    with running(workspace(tmp_path), limits=limits) as service:
        silent = []
        for _ in range(2):
            connection = socket.create_connection(("127.0.0.1", service.port))
            head = f"GET /events/index.html HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}"
            connection.sendall(f"{head}\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
            silent.append(connection)
        refused = service.get("/events/index.html")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
        with signed_in(service.url, TOKEN).get(
            f"{service.url}/events/index.html", stream=True, timeout=PATIENCE_S
        ) as other:
            assert other.ok
        # Who hangs up makes room.
        silent.pop().close()
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            with requests.get(
                f"{service.url}/events/index.html",
                headers=service.headers,
                stream=True,
                timeout=PATIENCE_S,
            ) as answer:
                if answer.ok:
                    break
            time.sleep(0.1)
        assert answer.ok
        began = time.monotonic()
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(at_load(30)) == 0
        assert time.monotonic() - began < at_load(20)
        silent.pop().close()


def test_nothing_new_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = LivePages(Workspace(workspace(tmp_path)))
    everything = Reader(Grant(b""), has_session=False)
    first = pages.page("index.html", everything)
    monkeypatch.setattr(live_pages, "select_readable", lambda _: pytest.fail("specs were read"))
    monkeypatch.setattr(live_pages, "index_page", lambda *_: pytest.fail("a page was made"))
    assert pages.page("index.html", everything) is first


def test_broken_spec_is_shown_to_who_may_know_of_it(tmp_path: Path) -> None:
    root = workspace(tmp_path)
    pages = LivePages(Workspace(root))
    everything = Reader(Grant(b""), has_session=False)
    one = Reader(Grant(b"x", may_decide=False, experiments=frozenset({MINE})), has_session=True)
    before = pages.state("index.html", everything)
    (root / "experiments" / f"{OTHER}.yaml").write_text("experiment: 7\n")
    assert pages.state("index.html", everything) != before
    assert "spec can't be read" in pages.page("index.html", everything).text
    assert OTHER not in pages.page("index.html", one).text
    with pytest.raises(Refused, match="its spec can't be read"):
        pages.page(f"{OTHER}.html", everything)


@pytest.mark.parametrize("is_https", [True, False])
def test_cookie_never_leaves_a_site_that_has_tls(tmp_path: Path, is_https: bool) -> None:
    app = application(
        Workspace(tmp_path),
        authentication=Authentication(TOKEN),
        limits=Limits(),
        is_https=is_https,
    )
    answer = TestClient(app).post("/login", data={"token": TOKEN}, follow_redirects=False)
    assert answer.status_code == 303
    assert ("Secure" in answer.headers["set-cookie"]) is is_https


def test_browser_signs_in_and_sees_what_is_new_without_a_reload(url: str) -> None:
    """A real one, under the page's own policy, which would stop a script that is not ours."""
    asyncio.run(_browse(url, browser()))


async def _browse(url: str, program: str) -> None:
    async with opened(program) as tab:
        await tab.go(f"{url}/report/{MINE}.html")
        assert await tab.evaluate("location.pathname + location.search") == (
            f"/login?page={MINE}.html"
        )
        await tab.evaluate(f"document.querySelector('#token').value = '{TOKEN}'")
        await tab.evaluate("document.querySelector('main form button').click()")
        live = "document.querySelector('#live')?.textContent ?? ''"
        await _until(tab, f"({live}).startsWith('Live')")
        assert TOKEN not in await tab.evaluate("location.href")
        assert await tab.evaluate("document.cookie") == ""
        # Style and script of ours run; what is opened stays open.
        shown = "getComputedStyle(document.querySelector('.verdict')).borderLeftStyle"
        assert await tab.evaluate(shown) == "solid"
        await tab.evaluate("window.here = 1; document.querySelector('details').open = true; 1")
        looks = "document.querySelector('#analyst').textContent.match(/(\\d+|One) looks?/)[0]"
        before = await tab.evaluate(looks)
        await asyncio.to_thread(ask, f"{url}/verdict/{MINE}?at=2026-11-23T17:30:30Z", bearer(TOKEN))
        await _until(tab, f"({live}).startsWith('Updated')")
        assert await tab.evaluate(looks) != before
        assert await tab.evaluate("window.here") == 1
        assert await tab.evaluate("document.querySelector('details').open")
        await tab.evaluate("document.querySelector('footer button').click()")
        await _until(tab, "location.pathname === '/login'")


async def _until(tab: object, script: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await tab.evaluate(script):  # type: ignore[attr-defined]
        assert time.monotonic() < deadline, script
        await asyncio.sleep(0.1)
