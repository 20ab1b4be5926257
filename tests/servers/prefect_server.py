"""A real Prefect server for the tests, with a home and a PostgreSQL database of its own.

On SQLite, its default, runs that report at once wait for each other's writes; on a busy disk that
stopped every answer for over 30 s.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.lab.processes import Child
from tests.places import PATIENCE_S
from tests.servers import postgres_server


@dataclass(frozen=True, slots=True)
class PrefectServer:
    """A running server: its API's address, and the environment that points to it."""

    api: str
    environment: Mapping[str, str]

    def post(self, path: str, **body: object) -> Any:
        """The answer to a POST with a JSON body."""
        answer = requests.post(f"{self.api}{path}", json=body, timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json()


@contextmanager
def prefect_server(folder: Path) -> Iterator[PrefectServer]:
    """Starts a server, and ends it with the with block."""
    with postgres_server.running() as database:
        dsn = database.dsn.replace("postgresql:", "postgresql+asyncpg:")
        with serve_on(folder, dsn) as server:
            yield server


@contextmanager
def serve_on(folder: Path, database: str) -> Iterator[PrefectServer]:
    """Starts a server on a database that is there, and ends it with the with block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api = f"http://127.0.0.1:{port}/api"
    environment = {
        **os.environ,
        "PREFECT_HOME": str(folder),
        "PREFECT_API_URL": api,
        "PREFECT_API_DATABASE_CONNECTION_URL": database,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # Schedules become runs, and runs are picked up, within seconds instead of a minute.
        "PREFECT_SERVER_SERVICES_SCHEDULER_LOOP_SECONDS": "2",
        "PREFECT_RUNNER_POLL_FREQUENCY": "2",
    }
    command = [sys.executable, "-m", "prefect", "server", "start"]
    server = Child(
        [*command, "--host", "127.0.0.1", "--port", str(port)],
        log=folder / "server.log",
        env=environment,
    )
    try:
        _await_health(api, server)
        yield PrefectServer(api, environment)
    finally:
        server.stop()


def _await_health(api: str, server: Child) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and server.is_running:
        try:
            if requests.get(f"{api}/health", timeout=10).ok:
                return
        except requests.RequestException:
            time.sleep(0.25)
    raise RuntimeError("the Prefect server did not become ready")
