"""Words to people over a real SMTP and a real HTTP server, each once: flows.notify,
flows.notify_child, flows.warehouse.outbox and flows.look.decision_news."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows import notify
from flows.cli.main import main
from flows.delivery.deliver import deliver, tell
from flows.notify import send_notifications
from flows.warehouse.connection import open_writer
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryOutcome
from flows.warehouse.outbox import SERVICES, Message
from tests.builders.delivery_workspace import canary_share, delivery_workspace, one_step
from tests.lab.processes import wait_until
from tests.places import at_load
from tests.servers.scripted_server import tcp_server

SECRET = "tok3n-of-the-team"
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=14)


@dataclass
class Post:
    """What arrived; status: what the HTTP server answers; stalls: it answers nothing."""

    posts: list[dict[str, Any]] = field(default_factory=list)
    mails: list[str] = field(default_factory=list)
    status: int = 200
    stalls: bool = False

    @property
    def titles(self) -> list[str]:
        return [post["title"] for post in self.posts]


@contextmanager
def _http(post: Post) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            while post.stalls:
                time.sleep(0.05)
            if post.status == 200:
                post.posts.append(json.loads(body))
            self.send_response(post.status)
            if 300 <= post.status < 400:
                self.send_header("Location", "/a-page-that-takes-no-message")
            self.end_headers()

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        post.stalls = False
        server.shutdown()


@contextmanager
def _smtp(post: Post) -> Iterator[int]:
    """RFC 5321, as much of it as a client needs that neither logs in nor encrypts."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail\r\n")
            for line in self.rfile:
                verb = line.strip().upper()
                if verb.startswith(b"DATA"):
                    self.wfile.write(b"354 go on\r\n")
                    mail = b"".join(iter(self.rfile.readline, b".\r\n"))
                    post.mails.append(mail.decode())
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 fine\r\n")
                if verb == b"QUIT":
                    return

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Iterator[Post]:
    found = Post()
    with _http(found) as http, _smtp(found) as smtp:
        mail = f"mailto://127.0.0.1:{smtp}?from=verdict@a.example&to=team@b.example&mode=insecure"
        monkeypatch.setenv(SERVICES, f"json://127.0.0.1:{http}/{SECRET}\n  {mail}")
        yield found


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """Users of whom far fewer finish with the candidate: hold until the plan's end, then not."""
    folder = tmp_path / "experiments"
    folder.mkdir()
    rows = [f"u{i},{'ab'[i % 2]},{int(i % 10 < (5 if i % 2 else 9))}" for i in range(4000)]
    (folder / "users.csv").write_text("\n".join(["user_id,variant,done", *rows, ""]))
    (folder / "quiz.yaml").write_text(
        "experiment: quiz\nservice: quiz\nvariants: {a: {}, b: {}}\nsplit: {a: 50, b: 50}\n"
        "metrics: {done: {kind: proportion, outcome: done, role: guardrail}}\n"
        f"plan: {{start: {START.isoformat()}, duration: 14d}}\n"
        "sources: {users: {files: users.csv, outcomes: {done: done}}}\n"
    )
    return tmp_path


def run(root: Path, at: datetime, *more: str) -> int:
    return main(["--root", str(root), *(more or ("run",)), "--at", at.isoformat()])


def test_new_decision_is_told_once_by_every_service(
    workspace: Path, post: Post, capfd: pytest.CaptureFixture[str]
) -> None:
    run(workspace, START + timedelta(days=1))
    assert post.titles == []
    run(workspace, END)
    assert post.titles == ["quiz: rollback (was hold)"]
    assert "harm at least" in post.posts[0]["message"]
    assert ["quiz: rollback" in mail for mail in post.mails] == [True]
    run(workspace, END)
    run(workspace, END, "gate", "quiz")
    run(workspace, START + timedelta(days=2), "gate", "quiz")
    assert (len(post.posts), len(post.mails)) == (1, 1)
    out = capfd.readouterr()
    assert SECRET not in out.out + out.err
    assert SECRET.encode() not in (workspace / "var" / "warehouse.duckdb").read_bytes()


def test_service_that_fails_is_tried_again_and_no_other_doubled(
    workspace: Path, post: Post, capfd: pytest.CaptureFixture[str]
) -> None:
    post.status = 500
    run(workspace, END)
    assert (post.titles, len(post.mails)) == ([], 1)
    told = capfd.readouterr().err
    assert "1 of 2 notifications not sent" in told
    assert SECRET not in told
    post.status = 200
    run(workspace, END)
    assert post.titles == []
    _let_time_pass(workspace / "var" / "warehouse.duckdb")
    run(workspace, END)
    assert (post.titles, len(post.mails)) == (["quiz: rollback"], 1)


@pytest.mark.parametrize("status", [302, 307])
def test_which_service_does_not_take_it_is_told(
    workspace: Path,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    status: int,
) -> None:
    """A redirect is none that takes it: clients ask for the page behind it, without the message."""
    post.status = status
    urls = [f"nosuch://{SECRET}", SECRET, *os.environ[SERVICES].split()]
    monkeypatch.setenv(SERVICES, " ".join(urls))
    run(workspace, END)
    assert (post.titles, len(post.mails)) == ([], 1)
    told = capfd.readouterr().err
    assert (
        "3 of 4 notifications not sent: no service of Apprise has URL 1 of VERDICT_NOTIFY_URLS, no "
        "service of Apprise has URL 2 of VERDICT_NOTIFY_URLS, refused by URL 3 of"
    ) in " ".join(told.split())
    assert SECRET not in told


WRONG = {
    f"slak://{SECRET}": "URL {} of VERDICT_NOTIFY_URLS has no scheme of Apprise",
    SECRET: "URL {} of VERDICT_NOTIFY_URLS has no scheme of Apprise",
    f"https://hooks.a.example/{SECRET}": "URL {} of VERDICT_NOTIFY_URLS has no scheme of Apprise",
    f"slack://{SECRET}": "URL {} of VERDICT_NOTIFY_URLS lacks something that its service needs: "
    "write slack://{{token_a}}/{{token_b}}/{{token_c}}, https://",
    f"jsons://[{SECRET}": "URL {} of VERDICT_NOTIFY_URLS lacks something that its service needs: "
    "write jsons://{{host}}, https://",
}


@pytest.mark.parametrize("place", [1, 3])
@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_cannot_be_read_is_told_before_a_message_is_due(
    workspace: Path,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    url: str,
    place: int,
) -> None:
    urls = os.environ[SERVICES].split()
    monkeypatch.setenv(SERVICES, " ".join([*urls[: place - 1], url, *urls[place - 1 :]]))
    assert run(workspace, START + timedelta(days=1)) == 0  # a hold, of which nobody is told
    told = capfd.readouterr().err
    [line] = (line for line in told.splitlines() if SERVICES in line)
    assert line.startswith(f"warning: {WRONG[url].format(place)}")
    assert main(["--root", str(workspace), "doctor"]) == 0
    out = capfd.readouterr()
    assert f"warn    notifications: {WRONG[url].format(place).split(': ')[0]}" in out.out
    assert SECRET not in told + out.out + out.err


def test_only_services_whose_urls_were_not_readable_before_are_read_at_the_start(
    workspace: Path, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    real = subprocess.run

    def noted(*words: Any, **how: Any) -> Any:
        asked.append(len(json.loads(how["input"])))
        return real(*words, **how)

    monkeypatch.setattr(subprocess, "run", noted)
    # The first run has no warehouse to note it in; then nobody is told of a hold.
    for _ in range(3):
        run(workspace, START + timedelta(days=1))
    assert (post.posts, asked) == ([], [2, 2])
    monkeypatch.setenv(SERVICES, f"{os.environ[SERVICES]} nosuch://{SECRET}")
    for _ in range(2):
        run(workspace, START + timedelta(days=1))
    assert asked == [2, 2, 1, 1]


def test_judgement_goes_on_where_urls_cannot_be_read_at_all(
    workspace: Path,
    post: Post,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(notify, "_CHILD", "/no/such/script.py")
    assert run(workspace, START + timedelta(days=1)) == 0
    out = capfd.readouterr()
    assert "warning: notifications: CalledProcessError" in out.err
    assert "quiz" in out.out
    assert SECRET not in out.out + out.err


def _let_time_pass(warehouse: Path) -> None:
    """Claims and pauses are over."""
    with open_writer(warehouse) as con:
        con.execute("update notifications set claimed_until = now() - interval 1 second")


def test_a_kill_while_sending_neither_loses_nor_doubles(workspace: Path, post: Post) -> None:
    post.stalls = True
    command = [sys.executable, "-m", "flows.cli", "--root", str(workspace), "run"]
    process = subprocess.Popen([*command, "--at", END.isoformat()], stdout=subprocess.DEVNULL)
    warehouse = workspace / "var" / "warehouse.duckdb"
    wait_until(lambda: _is_claimed(warehouse), what="a message to be claimed")
    process.kill()
    process.wait()
    # The stalled request has not been taken; while the claim lasts nobody else sends.
    post.status, post.stalls = 500, False
    time.sleep(0.3)
    post.status = 200
    assert send_notifications(warehouse, print) == 0
    _let_time_pass(warehouse)
    send_notifications(warehouse, print)
    send_notifications(warehouse, print)
    assert (post.titles, len(post.mails)) == (["quiz: rollback"], 1)


def _is_claimed(warehouse: Path) -> bool:
    from flows.warehouse.connection import WarehouseBusy, open_reader  # noqa: PLC0415

    if not warehouse.exists():
        return False
    try:
        with open_reader(warehouse) as con:
            found = con.execute(
                "select count(*) from notifications where claimed_until is not null"
            ).fetchone()
    except WarehouseBusy:
        return False
    return bool(found and found[0])


def test_failed_run_is_told_once_until_it_is_judged_again(workspace: Path, post: Post) -> None:
    users = workspace / "experiments" / "users.csv"
    kept = users.read_text()
    users.unlink()
    for _ in range(2):
        assert run(workspace, START + timedelta(days=1)) == 2
    assert post.titles == ["quiz: failed"]
    users.write_text(kept)
    assert run(workspace, START + timedelta(days=2)) == 0
    users.unlink()
    assert run(workspace, START + timedelta(days=3)) == 2
    assert post.titles == ["quiz: failed", "quiz: failed"]


def test_stages_waits_and_ends_of_a_delivery_are_told_once(tmp_path: Path, post: Post) -> None:
    shop = delivery_workspace(tmp_path)
    file = tmp_path / "experiments" / "exam.yaml"
    file.write_text(f"{file.read_text()}  blind_for: 1s\n")
    one_step(shop)
    assert post.titles == ["exam: stage 1 of 2: stable 95, canary 5"]
    time.sleep(1.1)
    one_step(shop)
    one_step(shop)
    assert post.titles[1:] == [
        "exam: invalid",
        "exam: waits for a person (verdict approve exam --stage 2, verdict abort exam)",
    ]
    tell(shop, "exam", DeliveryEventKind.ABORTED, "enough")
    one_step(shop)
    one_step(shop)
    assert post.titles[3:] == ["exam: aborted: stable 100, canary 0"]


def test_nothing_is_noted_where_no_service_is_named(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SERVICES, raising=False)
    run(workspace, END)
    with open_writer(workspace / "var" / "warehouse.duckdb") as con:
        assert con.execute("select count(*) from notifications").fetchone() == (0,)


def test_a_service_that_drips_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no further message is sent to it while it does."""
    asked: list[bytes] = []
    over = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, suppress(OSError):
            asked.append(client.recv(1 << 16))
            client.sendall(b"HTTP/1.1 200 OK\r\nX-More: ")
            while not over.wait(0.05):
                client.sendall(b"y")

    with tcp_server(drip) as url:
        message = Message("exam", "one", "a service", "title", "body")
        monkeypatch.setattr(notify, "_WAIT_S", at_load(2.0))
        said = notify._answers(url.replace("http", "json"), [message] * 3, time.monotonic() + 60)
        assert list(said) == ["refused"] * 3
        assert len(asked) == 1
        over.set()


def test_a_slow_service_delays_neither_a_look_nor_a_rollback(tmp_path: Path, post: Post) -> None:
    """Nor another service; what it has not taken comes when it does."""
    post.stalls = True
    shop = delivery_workspace(tmp_path)
    steps = deliver(shop, "exam", sleep=lambda _: None)
    next(steps)
    wait_until(lambda: len(post.mails) == 1, what="the mail beside the slow service")
    tell(shop, "exam", DeliveryEventKind.ABORTED, "enough")
    step = next(steps)
    assert (step.state.outcome, post.titles) == (DeliveryOutcome.ABORTED, [])
    assert canary_share(shop) == 0
    post.stalls = False
    assert list(steps) == []
    stage, end = "stage 1 of 2: stable 95, canary 5", "aborted: stable 100, canary 0"
    assert sorted(post.titles) == [f"exam: {end}", f"exam: {stage}"]
