"""Input that means harm, on real sockets: an answer with a sentence, and the others go on.

Covers flows.service.guard.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from flows.service.http import Limits
from tests.places import PATIENCE_S, at_load
from tests.servers.service_process import (
    TOKEN,
    Service,
    demo_workspace,
    read_answer,
    running,
)

HEAD = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n".encode()


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with short deadlines."""
    limits = Limits(body_timeout_s=0.5, header_timeout_s=0.7, connections_per_client=40)
    with running(demo_workspace(tmp_path_factory.mktemp("strict")), limits=limits) as found:
        yield found


def _status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def _error(answer: bytes) -> str:
    error: str = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    return error


def _post(path: bytes, body: bytes, *extra: bytes) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %b HTTP/1.1\r\n" % path + HEAD + b"".join(extra) + length + b"\r\n" + body


def test_declared_huge_body_is_refused_before_it_is_read(strict: Service) -> None:
    request = b"POST /flagger/rollout HTTP/1.1\r\n" + HEAD + b"Content-Length: 99999999999\r\n\r\n"
    answer = strict.raw(request)
    assert _status(answer) == 413
    assert "too large" in _error(answer)


@pytest.mark.parametrize("path", [b"/flagger/rollout", b"/verdict/quiz-format"])
def test_huge_chunked_body_is_refused(strict: Service, path: bytes) -> None:
    head = b"POST %b HTTP/1.1\r\n" % path + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    assert _status(strict.raw(head + chunk * 3)) == 413


def test_declared_length_of_thousands_of_digits_is_refused(strict: Service) -> None:
    request = b"POST /flagger/rollout HTTP/1.1\r\n" + HEAD
    request += b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"
    assert _status(strict.raw(request)) in (400, 413)


def test_slow_body_is_cut_off(strict: Service) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE_S) as connection:
        head = b"POST /flagger/rollout HTTP/1.1\r\n" + HEAD + b"Content-Length: 100\r\n\r\n{"
        connection.sendall(head)
        began = time.monotonic()
        answer = read_answer(connection)
    assert 0.4 < time.monotonic() - began < at_load(2)
    assert _status(answer) == 408
    assert "within 0.5 s" in _error(answer)


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nX: y\r\n"])
def test_slow_head_is_cut_off(strict: Service, sent: bytes) -> None:
    began = time.monotonic()
    assert strict.raw(sent, timeout=PATIENCE_S) == b""
    assert 0.5 < time.monotonic() - began < at_load(2)


def _drip(connection: socket.socket) -> None:
    for _ in range(50):
        connection.sendall(b"X-Drip: 1\r\n")
        time.sleep(0.05)


def test_head_that_drips_is_cut_off_all_the_same(strict: Service) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        began = time.monotonic()
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _drip(connection)
        assert time.monotonic() - began < at_load(2)


def test_slow_second_request_of_a_connection_is_cut_off(strict: Service) -> None:
    with socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE_S) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in read_answer(connection)
        connection.sendall(b"GET /healthz HT")
        began = time.monotonic()
        assert read_answer(connection) == b""
        assert time.monotonic() - began < at_load(2)


def test_slow_clients_do_not_block_others(strict: Service) -> None:
    held = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(30)]
    try:
        for connection in held:
            connection.sendall(b"POST /flagger/rollout HTTP/1.1\r\nHost: x\r\n")
        began = time.monotonic()
        assert strict.get("/healthz").ok
        assert time.monotonic() - began < at_load(0.5)
    finally:
        for connection in held:
            connection.close()


def test_one_client_has_only_so_many_connections(strict: Service) -> None:
    def asking() -> socket.socket:
        """At once: who waits with the head is cut off, too."""
        connection = socket.create_connection(("127.0.0.1", strict.port), timeout=PATIENCE_S)
        with suppress(OSError):
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection

    held = [asking() for _ in range(60)]
    try:
        closed = 0
        for connection in held:
            try:
                closed += not connection.recv(1000)
            except OSError:
                closed += 1
        assert closed == 20
    finally:
        for connection in held:
            connection.close()


@pytest.mark.parametrize("headers", [200, 1000, 20_000])
def test_flood_of_headers_is_refused(strict: Service, headers: int) -> None:
    flood = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 100) for n in range(headers))
    _is_refused(strict, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")


def test_endless_path_is_refused(strict: Service) -> None:
    _is_refused(strict, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")


def _is_refused(strict: Service, request: bytes) -> None:
    """Told so, or hung up on while still sending; and others are answered."""
    try:
        answer = strict.raw(request)
    except (BrokenPipeError, ConnectionResetError):
        answer = b""
    assert answer == b"" or _status(answer) in (400, 431)
    assert strict.get("/healthz").ok


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"x"',
        b"[" * 60_000,
        b'{"name":' * 8000,
        b'{"name": ' + b"9" * 60_000 + b"}",
        b'{"name": "x"}{"name": "y"}',
    ],
)
def test_body_that_is_no_json_object_is_refused(strict: Service, body: bytes) -> None:
    answer = strict.raw(_post(b"/flagger/rollout", body, b"Connection: close\r\n"))
    assert _status(answer) == 400
    assert b"Traceback" not in answer
    assert _error(answer)


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2fexperiments%2fquiz-format",
        "../../etc/passwd",
        "quiz-format%00",
        "quiz-format%0a",
        "quiz-format.yaml",
        "QUIZ-FORMAT",
        "%ff%fe",
        "-",
        "a" * 300,
        "%5c..%5c..",
        "",
    ],
)
@pytest.mark.parametrize("endpoint", ["argo", "verdict"])
def test_experiment_name_reaches_no_other_file(strict: Service, endpoint: str, name: str) -> None:
    request = f"GET /{endpoint}/{name} HTTP/1.1\r\nConnection: close\r\n".encode() + HEAD
    answer = strict.raw(request + b"\r\n")
    assert _status(answer) == 404
    assert b"root:" not in answer
    assert str(strict.root).encode() not in answer
    assert _error(answer)


@pytest.mark.parametrize(
    "name", ["../experiments/quiz-format", "/etc/passwd", "x\ny", "ü", "\ud800"]
)
def test_experiment_name_in_a_body_reaches_no_other_file(strict: Service, name: str) -> None:
    answered = strict.post("/flagger/rollout", {"metadata": {"experiment": name}})
    assert answered.status_code == 404
    assert "there is no experiment" in answered.json()["error"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("at=yesterday", "is not a time"),
        ("at=", "is not a time"),
        ("at=2026-11-23T17:31:00Z%00", "is not a time"),
        ("at=9999-12-31T23:59:59-12:00", "is not a time"),
        ("at=0001-01-01", "is not a time"),
        ("at=2999-01-01T00:00:00Z", "in the future"),
        ("att=2026-11-23T17:31:00Z", "no parameter 'att'"),
    ],
)
def test_wrong_time_is_told(strict: Service, query: str, message: str) -> None:
    answered = strict.get(f"/verdict/quiz-format?{query}")
    assert answered.status_code == 400
    assert message in answered.json()["error"]


def test_unknown_paths_and_wrong_methods_are_told(strict: Service) -> None:
    assert strict.get("/nothing").status_code == 404
    assert strict.get("/argo/quiz-format/").status_code == 404
    assert strict.get("/docs").json() == {"error": "there is nothing at this path"}
    wrong = strict.get("/flagger/rollout")
    assert wrong.status_code == 405
    assert wrong.headers["Allow"] == "POST"
    assert wrong.json() == {"error": "GET is not answered here"}
    assert strict.post("/argo/quiz-format", {}).status_code == 405
    assert strict.post("/flagger/pre-rollout", {}).status_code == 404


def test_bytes_that_are_no_http_are_refused(strict: Service) -> None:
    assert _status(strict.raw(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")) == 400
    assert strict.get("/healthz").ok
