"""What a source says and does when the server, or something before it, misbehaves.

Covers flows.ingest.sources.login.
"""

from __future__ import annotations

import base64
import json
import re
import socket
import ssl
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import Patience
from flows.ingest.sources.samples import Selector, SourceRefused, SourceUnavailable, TooMuch
from flows.spec.sources import PrometheusSource
from tests.places import at_load
from tests.servers.certificates import self_signed
from tests.servers.faulty_source import WIRES, Wire
from tests.servers.real_servers import free_port
from tests.servers.scripted_server import (
    EMPTY,
    MATRIX,
    ONE_SERIES,
    Reply,
    scripted,
    tcp_server,
)

HASTY = Patience(connect_s=1, read_s=0.6, whole_s=1.2, budget_s=5, attempts=3, first_pause_s=0.01)
UP = [Selector("up")]
HOUR = 3_600_000
GOOD = Reply(200, MATRIX % (ONE_SERIES, b""))


def _source(url: str) -> PrometheusSamples:
    return PrometheusSamples(PrometheusSource(url=url), HASTY)


def _error(kind: str, text: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": text}).encode()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply(400, _error("bad_data", "parse error: unexpected {")), "bad_data: parse error"),
        (Reply(200, _error("bad_data", "said with 200")), "said with 200"),
        (Reply(422, _error("execution", "found duplicate series")), "found duplicate series"),
        (Reply(401, b"Unauthorized"), r"401.*Unauthorized"),
        (Reply(403, b"<html>forbidden</html>"), r"403.*forbidden"),
        (Reply(200, b"<!DOCTYPE html><title>Log in</title>"), "no Prometheus answer.*Log in"),
        (Reply(404, b"404 page not found"), "404 page not found; is http.* the address to which"),
        (Reply(500, _error("internal", "corrupt block")), "corrupt block"),
    ],
)
def test_a_no_is_given_once_in_the_servers_words_with_its_url(reply: Reply, words: str) -> None:
    with scripted(reply) as server:
        with pytest.raises(SourceRefused, match=words) as caught:
            _source(server.url).read(UP, 0, HOUR)
        assert server.url in str(caught.value)
        assert server.queries == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(429, b"slow down"),
        Reply(502, b"<html>Bad Gateway</html>"),
        Reply(503, _error("timeout", "query timed out in query queue")),
        Reply(504, b"upstream request timeout"),
    ],
)
def test_passing_trouble_is_asked_again_until_it_has_passed(reply: Reply) -> None:
    with scripted(reply, reply, GOOD) as server:
        assert _source(server.url).read(UP, 0, HOUR).values.tolist() == [5]
        assert server.queries == 3
    with scripted(reply) as server, pytest.raises(SourceUnavailable, match="failed 3 times"):
        _source(server.url).read(UP, 0, HOUR)


def test_server_is_left_alone_for_as_long_as_it_asks() -> None:
    busy = Reply(429, b"slow down", {"Retry-After": "1"})
    with scripted(busy, GOOD) as server:
        began = time.monotonic()
        assert _source(server.url).read(UP, 0, HOUR).values.size == 1
        assert time.monotonic() - began > 0.95


@pytest.mark.parametrize(
    "reply",
    [
        Reply(422, _error("execution", "query processing would load too many samples into memory")),
        Reply(422, _error("execution", "expanding series: context deadline exceeded")),
        Reply(503, _error("timeout", "query timed out in expression evaluation")),
    ],
)
def test_too_long_a_window_is_asked_for_in_halves(reply: Reply) -> None:
    with scripted(reply, reply, Reply(200, EMPTY)) as server:
        assert _source(server.url).read(UP, 0, HOUR).labels == ()
        asked = [body for path, _, body in server.asked if path == "/api/v1/query"]
        lengths = [int(body.split(b"%5B")[1].split(b"ms")[0]) for body in asked]
        assert lengths == [HOUR, HOUR // 2, *[HOUR // 4] * 4]
    with scripted(reply) as server, pytest.raises(SourceRefused, match=r"even for \d+"):
        _source(server.url).read(UP, 0, HOUR)


def test_warnings_of_every_window_reach_the_caller_once() -> None:
    def reply(*texts: str) -> Reply:
        return Reply(200, MATRIX % (ONE_SERIES, b',"warnings":' + json.dumps(texts).encode()))

    with scripted(reply("store a is down"), reply("store a is down", "store b")) as server:
        found = _source(server.url).read(UP, 0, 4 * HOUR)
    assert found.warnings == ("store a is down", "store b")


def test_compression_is_not_asked_for_and_the_query_is_in_the_body() -> None:
    with scripted(Reply(200, EMPTY)) as server:
        _source(server.url).read(UP, 0, HOUR)
        path, headers, body = server.asked[-1]
    assert headers["Accept-Encoding"] == "identity"
    assert (path, b"query=up" in body, b"timeout=500ms" in body) == ("/api/v1/query", True, True)


def test_token_is_sent_and_its_absence_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Reply(200, EMPTY)) as server:
        settings = PrometheusSource(url=server.url, token_env="PROM_TOKEN")
        monkeypatch.delenv("PROM_TOKEN", raising=False)
        with pytest.raises(SourceRefused, match="PROM_TOKEN is not set"):
            PrometheusSamples(settings)
        monkeypatch.setenv("PROM_TOKEN", "open sesame")
        PrometheusSamples(settings, HASTY).read(UP, 0, HOUR)
        assert all(h["Authorization"] == "Bearer open sesame" for _, h, _ in server.asked)


def test_user_and_password_of_the_environment_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with scripted(Reply(200, EMPTY)) as server:
        settings = PrometheusSource(url=server.url, user_env="PROM_USER", password_env="PROM_PASS")
        monkeypatch.setenv("PROM_USER", "joe")
        with pytest.raises(SourceRefused, match=r"password_env: .* PROM_PASS is not set"):
            PrometheusSamples(settings)
        monkeypatch.setenv("PROM_PASS", "s3cr/et")
        PrometheusSamples(settings, HASTY).read(UP, 0, HOUR)
        basic = "Basic " + base64.b64encode(b"joe:s3cr/et").decode()
        assert all(headers["Authorization"] == basic for _, headers, _ in server.asked)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("url", "fields", "hint"),
    [
        ("http://", {}, "where it needs a login, set token_env, or user_env and password_env"),
        ("http://joe:s3cret@", {}, "are the URL's user and password right?"),
        ("http://", {"token_env": "PROM_TOKEN"}, "is the token in PROM_TOKEN"),
        ("http://", {"user_env": "U", "password_env": "P"}, "user and password in U and P"),
    ],
)
def test_refused_login_names_the_field_to_look_at(
    monkeypatch: pytest.MonkeyPatch, status: int, url: str, fields: dict[str, str], hint: str
) -> None:
    for name in fields.values():
        monkeypatch.setenv(name, "s3cret")
    with scripted(Reply(status, b"no")) as server:
        settings = PrometheusSource(url=server.url.replace("http://", url), **fields)
        with pytest.raises(SourceRefused) as refused:
            PrometheusSamples(settings, HASTY).read(UP, 0, HOUR)
    assert f"refused ({status}): no; " in str(refused.value)
    assert hint in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_password_in_the_url_is_sent_but_never_said() -> None:
    with scripted(Reply(403, b"<html>forbidden</html>")) as server:
        host = server.url.removeprefix("http://")
        source = _source(f"http://joe%40home:s3cr%2Fet@{host}/")
        with pytest.raises(SourceRefused, match=f"^http://{host} refused") as refused:
            source.read(UP, 0, HOUR)
        basic = "Basic " + base64.b64encode(b"joe@home:s3cr/et").decode()
        assert all(headers["Authorization"] == basic for _, headers, _ in server.asked)
    # Where requests can't make sense of the URL it repeats it in its own words.
    for url in (f"http://joe:s3cret@127.0.0.1:{free_port()}", "http://joe:s3/cret@prometheus:9090"):
        with pytest.raises((SourceUnavailable, SourceRefused)) as away:
            _source(url).read(UP, 0, HOUR)
        with pytest.raises((SourceUnavailable, SourceRefused)) as unknown:
            _source(url).metric_names()
        for said in (str(refused.value), str(away.value), str(unknown.value)):
            assert not re.search("joe|s3|cret", said)


def test_nobody_listening_is_unavailable_with_what_to_check() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(SourceUnavailable, match=f"{url}.*Is the URL right, and the server up"):
        _source(url).read(UP, 0, HOUR)
    with pytest.raises(SourceUnavailable, match=url):
        _source(url).metric_names()


def _hang_up(connection: socket.socket) -> None:
    connection.recv(65536)


BROKEN = {name: WIRES[name] for name in ("reset", "cut", "no HTTP")} | {"it hangs up": _hang_up}


@pytest.mark.parametrize("wire", BROKEN.values(), ids=BROKEN)
def test_connection_that_breaks_is_one_error(wire: Wire) -> None:
    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            wire(connection)

    with tcp_server(answer) as url, pytest.raises(SourceUnavailable, match=url):
        _source(url).read(UP, 0, HOUR)


def test_silent_server_is_given_up_in_bounded_time() -> None:
    over = threading.Event()

    def say_nothing(connection: socket.socket) -> None:
        with connection:
            over.wait(10)

    began = time.monotonic()
    with (
        tcp_server(say_nothing) as url,
        pytest.raises(SourceUnavailable, match=f"{url} did not answer"),
    ):
        _source(url).read(UP, 0, HOUR)
    over.set()
    assert time.monotonic() - began < at_load(3)


def test_answer_drop_by_drop_is_given_up_in_bounded_time() -> None:
    over = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n")
            while not over.wait(0.1):
                connection.sendall(b" ")

    began = time.monotonic()
    with tcp_server(drip) as url, pytest.raises(SourceUnavailable, match=f"{url} did not answer"):
        _source(url).read(UP, 0, HOUR)
    over.set()
    assert time.monotonic() - began < at_load(4)


def test_own_authority_is_trusted_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = self_signed(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = self_signed(tmp_path / "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with scripted(GOOD, tls=context) as server:
        with pytest.raises(SourceRefused, match="no trusted connection"):
            _source(server.url).read(UP, 0, HOUR)
        with pytest.raises(SourceRefused, match="no trusted connection"):
            _source(server.url).metric_names()
        settings = PrometheusSource(url=server.url, ca_file=str(certificate))
        assert PrometheusSamples(settings, HASTY).read(UP, 0, HOUR).values.tolist() == [5]


def test_answers_to_one_read_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is small; a day in windows of two hours has twelve of them."""
    monkeypatch.setattr("flows.ingest.sources.prometheus._MOST_BYTES", 5 * len(GOOD.body))
    with scripted(GOOD) as server:
        assert _source(server.url).read(UP, 0, 10 * HOUR).values.size
        with pytest.raises(TooMuch, match=rf"{server.url} answers 1440 minutes with more than"):
            _source(server.url).read(UP, 0, 24 * HOUR)
        monkeypatch.setattr("flows.ingest.sources.prometheus._MOST_IN_A_LOOK", 7 * len(GOOD.body))
        source = _source(server.url)
        source.read(UP, 0, 10 * HOUR)
        with pytest.raises(TooMuch, match="what was read is kept"):
            source.read(UP, 0, 10 * HOUR)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_brackets_without_an_end_are_one_line(status: int) -> None:
    with (
        scripted(Reply(status, b"[" * 200_000)) as server,
        pytest.raises(SourceRefused, match=server.url) as refused,
    ):
        _source(server.url).read(UP, 0, HOUR)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1000
