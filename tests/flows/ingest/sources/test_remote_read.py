"""Remote read that fails or arrives damaged, beside a JSON API that works: all servers are real."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from flows.ingest.sources.prometheus import AnswerDamaged, PrometheusSamples
from flows.ingest.sources.prometheus_connection import Patience
from flows.ingest.sources.remote_read import HEADERS, encode_request
from flows.ingest.sources.samples import Samples, Selector, SourceUnavailable
from flows.ingest.sources.series_frames import Damaged, NotReadable, check_frames
from flows.spec.sources import PrometheusSource
from tests.builders.planted_series import Planted
from tests.places import PATIENCE_S
from tests.servers.real_servers import prometheus_with

READ, QUERY = "/api/v1/read", "/api/v1/query"
HASTY = Patience(connect_s=1, read_s=5, whole_s=9, budget_s=5, attempts=3, first_pause_s=0.01)
PODS = [Selector("requests_total")]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    content_type: str
    body: bytes


Change = Callable[[str, _Answer], _Answer]


@dataclass
class _Proxy:
    """A running proxy: its URL, and the paths it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return self.asked.count(path)


@contextlib.contextmanager
def _changing_proxy(target: str, change: Change) -> Iterator[_Proxy]:
    """An HTTP server that passes on what another one answers, changed."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes | None) -> None:
            proxy.asked.append(self.path)
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            found = requests.request(
                self.command, target + self.path, data=body, headers=headers, timeout=PATIENCE_S
            )
            kind = found.headers.get("Content-Type", "")
            answer = change(self.path, _Answer(found.status_code, kind, found.content))
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    proxy = _Proxy(f"http://127.0.0.1:{server.server_port}")
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        running.join(timeout=5)


def _for_the_first(times: int, path: str, change: Callable[[_Answer], _Answer]) -> Change:
    """Changes the first so many answers to a path; those to no other."""
    left = [times]

    def changed(asked: str, answer: _Answer) -> _Answer:
        if asked != path or not left[0]:
            return answer
        left[0] -= 1
        return change(answer)

    return changed


def _overloaded(_: _Answer) -> _Answer:
    return _Answer(503, "text/plain", b"no store is ready")


def _damaged(answer: _Answer) -> _Answer:
    """One bit in the middle of the body is another one."""
    body = bytearray(answer.body)
    body[len(body) // 2] ^= 0x10
    return _Answer(answer.status, answer.content_type, bytes(body))


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server whose last 40 minutes hold three counters."""
    series = [
        Planted("requests_total", {"pod": f"p{pod}"}, 7.0 * pod, float(pod + 1)) for pod in range(3)
    ]
    with prometheus_with(series, tmp_path_factory.mktemp("prometheus")) as url:
        yield url


def _window() -> tuple[int, int]:
    """The last half hour and what is to come, so that both formats see the same end."""
    now_ms = int(time.time() * 1000)
    return now_ms - 1_800_000, now_ms + 60_000


def _read(
    url: str, window: tuple[int, int], *, remote_read: bool = True
) -> tuple[Samples, PrometheusSamples]:
    source = PrometheusSamples(PrometheusSource(url=url), HASTY)
    source.remote_read = remote_read
    return source.read(PODS, *window), source


def _rows(samples: Samples) -> dict[str, list[tuple[int, float]]]:
    edges = samples.offsets.tolist()
    pairs = list(zip(samples.ts_ms.tolist(), samples.values.tolist(), strict=True))
    return {
        labels["pod"]: pairs[begin:end]
        for labels, begin, end in zip(samples.labels, edges, edges[1:], strict=False)
    }


def test_remote_read_that_goes_on_failing_is_replaced_by_json_with_a_warning(
    prometheus: str,
) -> None:
    window = _window()
    whole, _ = _read(prometheus, window, remote_read=False)
    assert whole.ts_ms.size > 300
    with _changing_proxy(prometheus, _for_the_first(99, READ, _overloaded)) as proxy:
        found, source = _read(proxy.url, window)
        assert _rows(found) == _rows(whole)
        (warning,) = found.notes
        assert found.warnings == ()  # the answer is whole
        assert warning.startswith("remote read failed, so JSON was read instead")
        assert f"{proxy.url} failed 3 times: 503 no store is ready" in warning
        # Not tried again in this pull, and the reader is told with each answer.
        again = source.read(PODS, *window)
        assert (again.notes, proxy.count(READ)) == (found.notes, 3)


def test_remote_read_that_fails_once_is_asked_again_without_a_warning(prometheus: str) -> None:
    window = _window()
    with _changing_proxy(prometheus, _for_the_first(2, READ, _overloaded)) as proxy:
        found, source = _read(proxy.url, window)
        assert (source.remote_read, proxy.count(READ), proxy.count(QUERY)) == (True, 3, 0)
    assert found.warnings == ()
    assert _rows(found) == _rows(_read(prometheus, window, remote_read=False)[0])


def test_server_that_fails_at_everything_is_unavailable(prometheus: str) -> None:
    with (
        _changing_proxy(prometheus, lambda _, answer: _overloaded(answer)) as proxy,
        pytest.raises(SourceUnavailable, match=f"{proxy.url} failed 3 times: 503 no store"),
    ):
        _read(proxy.url, _window())


def test_damaged_answer_is_asked_for_again(prometheus: str) -> None:
    window = _window()
    with _changing_proxy(prometheus, _for_the_first(2, READ, _damaged)) as proxy:
        found, source = _read(proxy.url, window)
        assert (source.remote_read, proxy.count(READ)) == (True, 3)
    assert found.warnings == ()
    assert _rows(found) == _rows(_read(prometheus, window, remote_read=False)[0])


def test_answers_that_are_always_damaged_are_never_rows(prometheus: str) -> None:
    with _changing_proxy(prometheus, _for_the_first(99, READ, _damaged)) as proxy:
        with pytest.raises(AnswerDamaged, match=f"{proxy.url} failed 3 times: .*checksum") as told:
            _read(proxy.url, _window())
        # JSON has no checksum: it would be believed.
        assert (proxy.count(READ), proxy.count(QUERY)) == (3, 0)
    assert isinstance(told.value, SourceUnavailable)


def test_every_flipped_bit_of_an_answer_is_noticed(prometheus: str) -> None:
    request = encode_request(PODS[0], *_window())
    body = requests.post(
        prometheus + READ, data=request, headers=HEADERS, timeout=PATIENCE_S
    ).content
    check_frames(body)
    assert len(body) > 300
    for bit in range(8 * len(body)):
        damaged = bytearray(body)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Damaged, NotReadable)):
            check_frames(bytes(damaged))
