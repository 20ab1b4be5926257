"""No client of ours follows a server to another host, nor reads what a redirect is wrapped in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from flows.delivery.targets.envoy_admin import count_refused
from flows.delivery.targets.target import TargetUnavailable
from flows.ingest.sources.prometheus_connection import Patience, PrometheusConnection
from flows.ingest.sources.samples import SourceRefused
from flows.publish.pushgateway import PushFailed, push_text
from flows.spec.sources import PrometheusSource

HASTY = Patience(connect_s=1, read_s=2, whole_s=3, budget_s=3, attempts=1)


def connection(url: str) -> PrometheusConnection:
    return PrometheusConnection(PrometheusSource(url=url), HASTY)


CLIENTS: dict[str, tuple[Callable[[str], object], type[Exception]]] = {
    "Prometheus": (lambda url: connection(url).answer("/api/v1/query", []), SourceRefused),
    "metric names": (lambda url: connection(url).metric_names(), SourceRefused),
    "remote read": (lambda url: connection(url).answer("/api/v1/read", b"x"), SourceRefused),
    "Envoy": (lambda url: count_refused(url, {"routes"}), TargetUnavailable),
    "Pushgateway": (lambda url: push_text("", url), PushFailed),
}


@contextmanager
def redirecting(to: str, status: int) -> Iterator[tuple[str, list[int]]]:
    """Its URL, and how many bytes of each redirect's endless text were taken."""
    taken: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Location", f"{to}{self.path}")
            self.end_headers()
            taken.append(0)
            try:
                while taken[-1] < 1 << 30:
                    taken[-1] += self.wfile.write(bytes(1 << 20))
            except OSError:
                return

        do_GET = do_POST = do_PUT = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", taken
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [302, 307])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_redirect_to_another_host_is_refused_in_one_line(client: str, status: int) -> None:
    call, refusal = CLIENTS[client]
    with redirecting("http://127.0.0.1:9", 302) as (other, asked):
        elsewhere = other.replace("127.0.0.1", "localhost")
        with redirecting(elsewhere, status) as (url, taken):
            with pytest.raises(refusal, match="redirects to another") as refused:
                call(url)
            assert url in str(refused.value)
            assert "\n" not in str(refused.value)
        assert not asked
    assert all(size < 1 << 26 for size in taken)


def test_of_a_redirect_on_the_same_host_the_text_is_not_read() -> None:
    with redirecting("", 302) as (url, taken), pytest.raises(TargetUnavailable, match="redirects"):
        count_refused(url, {"routes"})
    assert len(taken) > 5
    assert all(size < 1 << 26 for size in taken)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_redirect_to_what_is_no_url_is_refused_in_one_line(client: str) -> None:
    call, refusal = CLIENTS[client]
    with (
        redirecting("http://[x", 302) as (url, _),
        pytest.raises(refusal, match="redirects to") as refused,
    ):
        call(url)
    assert "\n" not in str(refused.value)
