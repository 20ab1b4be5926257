"""An exchange is bounded as a whole, wherever the server sends a byte now and then.

Covers flows.formats.apart.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from flows.delivery import hooks
from flows.delivery.targets import envoy_admin
from flows.delivery.targets.target import TargetUnavailable
from flows.formats import apart
from flows.formats.bounded_http import bound
from flows.ingest.sources.prometheus_connection import AskForLess, Patience, PrometheusConnection
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.publish.pushgateway import PushFailed, push_text
from flows.spec.sources import PrometheusSource
from tests.places import PATIENCE_S, at_load
from tests.servers.certificates import self_signed
from tests.servers.faulty_source import SLOW_WIRES, WIRES, Wire
from tests.servers.scripted_server import tcp_server

# Longer than any of the clients waits here, shorter than a test may hang.
_DRIPS_S = 60.0
WHOLE_S = 0.5
PATIENCE = Patience(connect_s=1, read_s=1, whole_s=WHOLE_S, budget_s=1, attempts=1)
_HEAD = b"HTTP/1.1 200 OK\r\n"
PLACES = {
    "status": b"HTTP/1.1 2",
    "headers": _HEAD + b"X-More: ",
    "body": _HEAD + b"Content-Length: 100000\r\n\r\n",
    "a chunk's length": _HEAD + b"Transfer-Encoding: chunked\r\n\r\n1;",
    "a redirect": b"HTTP/1.1 307 Go\r\nLocation: /\r\nX-More: ",
}


def drip(begin: bytes) -> Callable[[socket.socket], None]:
    """A server that begins its answer, and then sends a byte each twentieth of a second."""

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            if client.recv(1 << 16):
                client.sendall(begin)
            until = time.monotonic() + _DRIPS_S
            while time.monotonic() < until:
                client.sendall(b"y")
                time.sleep(0.05)

    return serve


def prometheus(url: str) -> None:
    patience = Patience(connect_s=1, read_s=1, whole_s=WHOLE_S, budget_s=1, attempts=1)
    with pytest.raises(SourceUnavailable):
        PrometheusConnection(PrometheusSource(url=url), patience).answer("/api/v1/query")


def prometheus_time(url: str) -> None:
    patience = Patience(connect_s=1, read_s=1, whole_s=WHOLE_S)
    assert PrometheusConnection(PrometheusSource(url=url), patience).server_time() is None


def envoy(url: str) -> None:
    with pytest.raises(TargetUnavailable, match="doesn't answer"):
        envoy_admin.count_refused(url, {"exam"})


def hook(url: str) -> None:
    said = hooks._post(url, {"when": "before_stage"}, WHOLE_S)
    assert said == f"the hook before_stage took longer than {WHOLE_S} s"


def pushgateway(url: str) -> None:
    with pytest.raises(PushFailed):
        push_text("x 1\n", url, timeout_s=WHOLE_S / 2)


_OF_HEAD = ("status", "headers")
CASES = [(prometheus, place) for place in PLACES]
CASES += [(envoy, place) for place in PLACES]
CASES += [(each, place) for each in (prometheus_time, hook, pushgateway) for place in _OF_HEAD]


@pytest.mark.parametrize(("ask", "place"), CASES)
def test_a_server_that_drips_is_cut_off(
    ask: Callable[[str], None], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_admin, "_WAIT_S", WHOLE_S)
    with tcp_server(drip(PLACES[place])) as url:
        began = time.monotonic()
        ask(url)
        assert time.monotonic() - began < _DRIPS_S / 2


_ENDS: dict[Callable[[str], object], tuple[type[Exception], ...]] = {
    lambda url: PrometheusConnection(PrometheusSource(url=url), PATIENCE).answer("/api"): (
        SourceUnavailable,
        SourceRefused,
        AskForLess,
    ),
    lambda url: envoy_admin.count_refused(url, {"exam"}): (TargetUnavailable,),
    lambda url: push_text("x 1\n", url, timeout_s=WHOLE_S / 2): (PushFailed,),
    lambda url: hooks._post(url, {"when": "before_stage"}, WHOLE_S): (),
}
_REFUSAL = b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nx\r\n"
_AGAIN = b"HTTP/1.1 307 Go\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"
FAULTS: dict[str, Wire] = {
    **WIRES,
    **SLOW_WIRES,
    "a refusal in a negative chunk": lambda client: client.sendall(_REFUSAL),
    "a redirect to itself": lambda client: client.sendall(_AGAIN),
}


@pytest.mark.parametrize("wire", FAULTS.values(), ids=FAULTS)
def test_each_client_says_in_time_what_is_wrong_on_the_wire(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(envoy_admin, "_WAIT_S", WHOLE_S)

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(1 << 16)
            wire(client)

    with tcp_server(serve) as url:
        for ask, errors in _ENDS.items():
            began = time.monotonic()
            with suppress(*errors):
                ask(url)
            assert time.monotonic() - began < _DRIPS_S / 2


@pytest.mark.parametrize("body", [b"", b"moved"])
def test_redirect_on_the_same_connection_is_followed(body: bytes) -> None:
    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            while asked := client.recv(1 << 16):
                is_first = b" /stats?" in asked
                head = b"307 Go\r\nLocation: /there" if is_first else b"200 OK"
                text = body if is_first else b"cluster.a.rds.exam.update_rejected: 3"
                length = b"\r\nContent-Length: %d\r\n\r\n" % len(text)
                client.sendall(b"HTTP/1.1 " + head + length + text)

    with tcp_server(serve) as url:
        assert envoy_admin.count_refused(url, {"exam"}) == 3


def test_so_is_one_that_drips_its_handshake(tmp_path: Path) -> None:
    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            # A record of the largest size, of which a byte comes now and then.
            client.sendall(b"\x16\x03\x03\x3f\xff")
            until = time.monotonic() + _DRIPS_S
            while time.monotonic() < until:
                client.sendall(b"\x02")
                time.sleep(0.05)

    with tcp_server(serve) as url:
        began = time.monotonic()
        prometheus(url.replace("http", "https"))
        assert time.monotonic() - began < _DRIPS_S / 2


def test_a_connection_that_is_kept_is_bounded_anew_each_time(tmp_path: Path) -> None:
    """By TLS, too: two answers that together take longer than one may."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    connections = 0
    pause_s = at_load(0.6)

    def serve(client: socket.socket) -> None:
        nonlocal connections
        connections += 1
        with suppress(OSError), context.wrap_socket(client, server_side=True) as tls:
            while tls.recv(1 << 16):
                time.sleep(pause_s)
                tls.sendall(_HEAD + b"Content-Length: 2\r\n\r\nok")

    with tcp_server(serve) as url, requests.Session() as session:
        bound(session, 1.8 * pause_s)
        secure = url.replace("http", "https")
        asked = [session.get(secure, verify=str(certificate), timeout=PATIENCE_S) for _ in range(2)]
        assert [answer.text for answer in asked] == ["ok", "ok"]
        assert connections == 1


def test_work_apart_tells_what_came_of_it() -> None:
    def fails() -> None:
        raise KeyError("nothing")

    assert apart.begin(lambda: 5).result(PATIENCE_S) == 5
    with pytest.raises(KeyError, match="nothing"):
        apart.begin(fails).result(PATIENCE_S)


def test_what_takes_its_time_keeps_nobody_of_its_key_waiting() -> None:
    both = threading.Barrier(2)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(apart.within, PATIENCE_S, "busy", both.wait) for _ in range(2)]
        assert sorted(each.result() for each in asked) == [0, 1]


def test_what_hangs_is_begun_once() -> None:
    over, begun = threading.Event(), []

    def hang() -> bool:
        begun.append(1)
        return over.wait(_DRIPS_S)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            apart.within(0.1, "key", hang)
    assert len(begun) == 1
    over.set()
    deadline = time.monotonic() + _DRIPS_S
    while True:
        with suppress(TimeoutError):
            assert apart.within(_DRIPS_S, "key", hang)
            break
        assert time.monotonic() < deadline
