"""What reads what others wrote: each takes bytes, and may say no, but must not break."""

from __future__ import annotations

import atexit
import contextlib
import json
import re
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess

from flows.formats.problems import UserError
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import Patience
from flows.ingest.sources.samples import Selector
from flows.spec.sources import PrometheusSource
from flows.warehouse.connection import open_writer
from flows.workspace.paths import Workspace
from tests.chaos.commands import Command, Running, start
from tests.servers.own_process import verdict
from tests.servers.service_process import demo_workspace, read_answer

CORPUS = Path(__file__).parent / "corpus"
Check = Callable[[bytes], None]


class Broken(AssertionError):
    """An input was answered by what no input may be answered by."""


@cache
def folder() -> Path:
    """Where this process writes its inputs."""
    made = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _expect(codes: set[int], *arguments: str | Path) -> CompletedProcess[str]:
    """Runs a command. Raises Broken for another code or a traceback."""
    done = verdict(*arguments)
    said = done.stdout + done.stderr
    if done.returncode not in codes or "Traceback" in said:
        raise Broken(f"{arguments[0]} ends with {done.returncode}: {said[-2000:]}")
    if done.returncode == 2 and not said.strip():
        raise Broken(f"{arguments[0]} fails without a word")
    return done


def _written(name: str, data: bytes) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def check_spec(data: bytes) -> None:
    """Bytes as a spec, in a file of the name that they give."""
    root = folder() / "specs"
    shutil.rmtree(root, ignore_errors=True)
    named = re.search(rb"^experiment: ([a-z-]{1,20})$", data, re.MULTILINE)
    _written(f"specs/experiments/{named[1].decode() if named else 'exam'}.yaml", data)
    _expect({0, 2}, "--root", root, "validate")


def check_manifest(data: bytes) -> None:
    """Bytes as a mesh manifest."""
    path = _written("manifests/some.yaml", data)
    output = ("--output", folder() / "manifests" / "out.yaml", "--force")
    _expect({0, 2}, "--root", folder() / "manifests", "init", "--from", path, *output)


_USERS = """\
experiment: quiz
service: quiz
variants: {a: {}, b: {}}
metrics: {spend: {kind: mean, outcome: purchase, window: 1d}}
plan: {start: 2026-01-01T00:00:00Z, duration: 9d}
sources:
  exposures: {files: ../rows.%s}
  outcomes: {files: ../rows.%s}
"""


def _check_users(data: bytes, ending: str) -> None:
    """Bytes as a file of users' rows, of exposures and of outcomes."""
    root = f"users-{ending.replace('.', '-')}"
    _written(f"{root}/experiments/quiz.yaml", (_USERS % (ending, ending)).encode())
    _written(f"{root}/rows.{ending}", data)
    _expect({0, 2}, "--root", folder() / root, "pull", "--until", "2026-01-09T00:00:00Z")


def check_csv(data: bytes) -> None:
    """Bytes as CSV."""
    _check_users(data, "csv")


def check_json(data: bytes) -> None:
    """Bytes as lines of JSON."""
    _check_users(data, "jsonl")


def check_parquet(data: bytes) -> None:
    """Bytes as Parquet."""
    _check_users(data, "parquet")


def check_sums(data: bytes) -> None:
    """Bytes as the rows of `verdict analyze`, by their first byte JSON or CSV."""
    ending = "json" if data[:1] in {b"[", b"{"} else "csv"
    path = _written(f"sums.{ending}", data)
    done = _expect({0, 2}, "analyze", path, "--json")
    if done.returncode == 0:
        _expect({0}, "analyze", path)


_SUMS = """\
experiment: quiz
service: quiz
variants: {a: {}, b: {}}
metrics:
  done: {kind: proportion, outcome: done, window: 1h}
  spend: {kind: mean, outcome: spend, window: 1h}
plan: {start: 2026-01-01T00:00:00Z, duration: 9d}
sources:
  users: {aggregates: ../sums.%s}
"""


@cache
def _new_warehouse() -> Path:
    warehouse = Workspace(folder() / "new").warehouse
    with open_writer(warehouse):
        return warehouse


def check_gate(data: bytes) -> None:
    """Bytes as the sums that a gate judges: 1 is a rollback, and then the answer says so."""
    ending = "json" if data[:1] in {b"[", b"{"} else "csv"
    _written("gate/experiments/quiz.yaml", (_SUMS % ending).encode())
    _written(f"gate/sums.{ending}", data)
    # Sums without times are judged once: each input has its own warehouse.
    shutil.rmtree(folder() / "gate" / "var", ignore_errors=True)
    shutil.copytree(_new_warehouse().parent, folder() / "gate" / "var")
    done = _expect({0, 1, 2, 3, 4}, "--root", folder() / "gate", "gate", "quiz", "--json")
    if done.returncode == 1 and '"decision": "rollback"' not in done.stdout:
        raise Broken(f"gate ends with 1 without a rollback: {done.stdout[-2000:]}")


def _check_judge(config: bytes, values: bytes) -> None:
    """A failing canary is 1, and then the answer says so."""
    files = "--config", _written("canary.json", config), "--metrics", _written("v.json", values)
    for judge in ("kayenta", "verdict"):
        done = _expect({0, 1, 2, 3, 4}, "judge", *files, "--judge", judge, "--json")
        if done.returncode == 1 and '"decision": "fail"' not in done.stdout:
            raise Broken(f"judge ends with 1 without a failure: {done.stdout[-2000:]}")


def check_canary(data: bytes) -> None:
    """Bytes as a canary config."""
    _check_judge(data, (CORPUS / "values" / "two.json").read_bytes())


def check_values(data: bytes) -> None:
    """Bytes as the values that a canary is judged by."""
    _check_judge((CORPUS / "canary" / "one.json").read_bytes(), data)


@dataclass
class _Source:
    url: str
    query: bytes = b""
    read: bytes = b""


@cache
def _source() -> _Source:
    """A server that answers whatever it is told to."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._send(200, b'{"status":"success","data":{"yaml":""}}', "application/json")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path == "/api/v1/read":
                kind = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse"
                self._send(200 if source.read else 404, source.read, kind)
            else:
                self._send(200, source.query, "application/json")

        def _send(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing on the output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    source = _Source(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return source


def _check_source(*, native: bool = False) -> None:
    hasty = Patience(connect_s=1, read_s=3, whole_s=4, budget_s=0.1, attempts=1)
    samples = PrometheusSamples(PrometheusSource(url=_source().url), hasty)
    with contextlib.suppress(UserError):
        samples.read([Selector("requests_total", native=native)], 0, 3_600_000)


def check_query(data: bytes) -> None:
    """Bytes as Prometheus' answer to a query, of counters and of native histograms."""
    _source().query, _source().read = data, b""
    _check_source()
    _check_source(native=True)


def check_remote_read(data: bytes) -> None:
    """Bytes as Prometheus' answer to a remote read."""
    _source().query, _source().read = b'{"status":"success","data":{"resultType":"matrix"}}', data
    _check_source()


@cache
def _service() -> tuple[int, Running]:
    """The port of a running service, and its process."""
    root = demo_workspace(folder() / "served")
    running = start(root, Command(root, ("serve", "--port", "0")))
    # Before anything else that happens at the end, the folder's removal too.
    atexit.register(running.kill)
    while "listening on " not in running.output:
        if not running.process.is_alive():
            raise Broken(f"the service does not start: {running.output}")
        time.sleep(0.02)
    return int(running.output.partition("listening on ")[2].split()[0].rpartition(":")[2]), running


def check_http(data: bytes) -> None:
    """Bytes as a request to the service, whose next answer must still come."""
    port, running = _service()
    for sent in (data, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
            answer = read_answer(connection)
    if b" 200 " not in answer.partition(b"\r\n")[0]:
        raise Broken(f"the service is not well afterwards: {answer[:500]!r}")
    if "Traceback" in (said := running.output):
        running.log.write_text("")
        raise Broken(said[-4000:])
    if (peak := running.peak_mb) > 1024:
        raise Broken(f"the service takes {peak:.0f} MB")


TARGETS: dict[str, Check] = {
    "spec": check_spec,
    "manifest": check_manifest,
    "csv": check_csv,
    "jsonl": check_json,
    "parquet": check_parquet,
    "sums": check_sums,
    "gate": check_gate,
    "canary": check_canary,
    "values": check_values,
    "query": check_query,
    "remote-read": check_remote_read,
    "http": check_http,
}

# Of the time: a pull or a gate takes ten times as long as a spec that is read.
SHARES = {"csv": 3, "jsonl": 2, "parquet": 3, "gate": 3, "http": 2}


def seeds(target: str) -> Iterator[bytes]:
    """The kept inputs of a target."""
    for path in sorted((CORPUS / target).iterdir()):
        yield path.read_bytes()


def tokens(target: str) -> list[bytes]:
    """Pieces that the target's inputs are made of, and what readers trip over."""
    text = b"\n".join(seeds(target))
    words = {
        word for word in text.replace(b":", b" ").replace(b",", b" ").split() if len(word) < 40
    }
    odd = (
        *(b"\x00", b"\xff\xfe", b"\xc2\xb2", b"1e999", b"-1", b"NaN", b"9" * 40, b"null", b"true"),
        *(b"[" * 3000, b"{" * 3000, b"[]", b"{}", b'""', b"&a *a", b"!!python/object", b"<<"),
        *(b"\x1b[2J", b"\r\n", b"\t", b"'", b'"', b"2026-13-45", b"\xf0\x9f\xa6\x86"),
        json.dumps("\ud800").encode(),
    )
    return [*sorted(words), *odd]
