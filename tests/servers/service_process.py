"""`verdict serve` as a real process on a free port, over a copy of the demo's workspace."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import requests

from flows.service.http import Limits
from tests.places import PATIENCE_S, REPOSITORY

TOKEN = "a-token-for-the-tests-0123456789"

# What the command does, with limits that a test can reach.
_SERVE = """
import json, sys
from pathlib import Path
from flows.service.http import Limits
from flows.service.server import listen, serve
from flows.workspace.paths import Workspace
root, token, limits = sys.argv[1:]
serve(Workspace(Path(root)),
      listen("127.0.0.1", 0), token=token or None, limits=Limits(**json.loads(limits)))
"""


@dataclass(frozen=True, slots=True)
class Service:
    """A running service."""

    process: subprocess.Popen[str]
    url: str
    root: Path
    token: str

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    def get(self, path: str, **options: float) -> requests.Response:
        """The answer to an authenticated GET."""
        return requests.get(
            self.url + path, headers=self.headers, timeout=options.get("timeout", PATIENCE_S)
        )

    def post(self, path: str, body: object) -> requests.Response:
        """The answer to an authenticated POST of JSON."""
        return requests.post(self.url + path, json=body, headers=self.headers, timeout=PATIENCE_S)

    @property
    def headers(self) -> dict[str, str]:
        """What proves who calls."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def raw(self, sent: bytes, *, timeout: float = 30) -> bytes:
        """What the service answers to these bytes; empty if it hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
            connection.sendall(sent)
            return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    """One answer; or what came of it before the other side closed or reset the connection."""
    received = b""
    while not _is_whole(received):
        try:
            chunk = connection.recv(65536)
        except ConnectionResetError:
            break
        if not chunk:
            break
        received += chunk
    return received


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: (\d+)", head, re.IGNORECASE)
    return bool(end) and length is not None and len(body) >= int(length[1])


def demo_workspace(root: Path) -> Path:
    """A copy of the demo's specs and recordings, without a warehouse."""
    for folder in ("experiments", "demo"):
        shutil.copytree(REPOSITORY / folder, root / folder)
    return root


@contextmanager
def running(root: Path, *, token: str = TOKEN, limits: Limits | None = None) -> Iterator[Service]:
    """The service while the with block runs; it listens when this is entered."""
    given = json.dumps(asdict(limits or Limits()))
    with started([sys.executable, "-c", _SERVE, str(root), token, given], {}) as (process, url):
        yield Service(process, url, root, token)


@contextmanager
def started(
    command: list[str], environment: Mapping[str, str]
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and its URL, once it has printed where it listens."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            # Not a pipe: one that nobody reads would stop the service when it is full.
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith(("listening on http://", "listening on https://")):
                process.wait()
                log.seek(0)
                raise AssertionError(log.read())
            yield process, line.split()[-1]
        finally:
            process.kill()
            process.communicate()


def wait_until_ready(url: str) -> None:
    """Returns as soon as /readyz says yes."""
    began = time.monotonic()
    while time.monotonic() - began < PATIENCE_S:
        if requests.get(f"{url}/readyz", timeout=PATIENCE_S).ok:
            return
        time.sleep(0.01)
    raise AssertionError("the service did not become ready")
