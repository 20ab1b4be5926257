"""A server of Istio's request counters that grow with the clock, and go wrong on demand."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from tests.servers.scripted_server import Reply

_SCRAPE_S = 1
# So far is the server's clock ahead: what it scraped a moment ago is complete for who asks now.
_AHEAD_S = 30
_WINDOW = re.compile(r"^(?P<name>[a-z_]+)\{.*\}\[(?P<ms>\d+)ms\]$", re.DOTALL)


@dataclass
class LiveCounters:
    """Two versions of a service: 380 requests a second go to the baseline, 20 to the candidate.

    harm_since: from when on half of the candidate's fail. reply: in place of the next answers.
    """

    url: str = ""
    harm_since: float | None = None
    reply: Callable[[], Reply] | None = None
    asked: int = 0
    _began_s: float = field(default_factory=lambda: time.time() - 600)

    def answer(self, query: str, at_s: float) -> Reply:
        """The matrix of a range selector; empty for other metrics."""
        self.asked += 1
        if self.reply is not None:
            return self.reply()
        match = _WINDOW.match(query)
        named = match and match["name"] == "istio_requests_total"
        result = self._series(at_s, int(match["ms"]) / 1000) if match and named else []
        data = {"resultType": "matrix", "result": result}
        return Reply(200, json.dumps({"status": "success", "data": data}).encode())

    def fail(self) -> None:
        """From now on half of the candidate's requests fail."""
        self.harm_since = time.time()

    def _series(self, at_s: float, window_s: float) -> list[dict[str, Any]]:
        times = range(int(at_s - window_s) + 1, int(at_s) + 1, _SCRAPE_S)
        return [
            {
                "metric": _labels(version, code),
                "values": [[t, str(self._count(version, code, t))] for t in times],
            }
            for version, code in (("v2.0.0", "200"), ("v2.1.0", "200"), ("v2.1.0", "503"))
        ]

    def _count(self, version: str, code: str, at_s: int) -> int:
        elapsed = at_s - int(self._began_s)
        if version == "v2.0.0":
            return 380 * elapsed
        failed = 0 if self.harm_since is None else 10 * max(0, at_s - int(self.harm_since))
        return failed if code == "503" else 20 * elapsed - failed


def _labels(version: str, code: str) -> dict[str, str]:
    return {
        "__name__": "istio_requests_total",
        "reporter": "destination",
        "destination_service_name": "exam-service",
        "destination_service_namespace": "edtech-production",
        "destination_workload": f"exam-{version}",
        "destination_version": version,
        "response_code": code,
        "response_flags": "-",
        "instance": version,
        "job": "mesh",
    }


@contextmanager
def live_counters() -> Iterator[LiveCounters]:
    """The running server."""
    counters = LiveCounters()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(Reply(404, b"404 page not found"))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/api/v1/query":
                self._send(Reply(404, b"404 page not found"))
                return
            form = parse_qs(body.decode())
            self._send(counters.answer(form["query"][0], float(form["time"][0])))

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate((timestamp or time.time()) + _AHEAD_S, usegmt=True)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    counters.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield counters
    finally:
        server.shutdown()
        server.server_close()
