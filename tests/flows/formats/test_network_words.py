"""What is said of a server that can't be asked names the reason, and nothing of the libraries."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import requests

from flows.delivery.targets import envoy_admin
from flows.delivery.targets.target import TargetUnavailable
from flows.formats.bounded_http import bound
from flows.formats.network_words import network_words
from flows.publish.pushgateway import PushFailed, push_text
from tests.servers.scripted_server import tcp_server


@pytest.fixture
def closed() -> Iterator[str]:
    """A port that is taken, so that nobody else gets it, and where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


def test_refused_connection_is_said_by_its_reason_alone(closed: str) -> None:
    with pytest.raises(TargetUnavailable) as of_envoy:
        envoy_admin.count_refused(f"http://{closed}", {"exam"})
    assert str(of_envoy.value).endswith("doesn't answer: Connection refused")
    with pytest.raises(PushFailed) as of_gateway:
        push_text("", f"http://{closed}")
    assert str(of_gateway.value).endswith("can't be reached: Connection refused")


def test_server_without_tls_is_told_by_what_to_write() -> None:
    def plain(connected: socket.socket) -> None:
        connected.recv(1000)
        connected.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with tcp_server(plain) as url, requests.Session() as session:
        bound(session, 5)
        with pytest.raises(requests.exceptions.SSLError) as refused:
            session.get(url.replace("http://", "https://"), timeout=5)
    assert network_words(refused.value).startswith("the server doesn't speak TLS")
    assert "Pool" in str(refused.value)
