"""A source that never answers: others are judged, /readyz names it, and the service can end."""

from __future__ import annotations

import re
import socket
import threading
import time
from pathlib import Path

from flows.service.http import Limits
from tests.places import PATIENCE_S, at_load
from tests.servers.scripted_server import tcp_server
from tests.servers.service_process import demo_workspace, running, wait_until_ready

HANGING = ("exam-service-canary", "progress-service-canary")


def hang(connection: socket.socket) -> None:
    """Takes what is asked and never answers."""
    while connection.recv(1 << 16):
        time.sleep(0.1)


def test_experiments_that_hang_stop_neither_the_others_nor_the_end(tmp_path: Path) -> None:
    root = demo_workspace(tmp_path)
    limits = Limits(workers=2, verdict_timeout_s=2.0)
    with tcp_server(hang) as url, running(root, limits=limits) as service:
        for name in HANGING:
            spec = root / "experiments" / f"{name}.yaml"
            recording = r"requests: \{recording: [^,}]+"
            text, found = re.subn(recording, f'requests: {{prometheus: "{url}"', spec.read_text())
            assert found == 1
            spec.write_text(text)
        wait_until_ready(service.url)
        callers = [
            threading.Thread(target=service.get, args=(f"/argo/{name}",), daemon=True)
            for name in HANGING
        ]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(PATIENCE_S)
        deadline = time.monotonic() + PATIENCE_S
        while set(service.get("/readyz").json()["stuck"]) != set(HANGING):
            assert time.monotonic() < deadline
        while service.get("/argo/payment-service-blue-green").status_code != 200:
            assert time.monotonic() < deadline
        told = service.get("/readyz").json()
        assert told["ready"]
        assert told["stuck"][HANGING[0]].startswith("its look runs for ")
        service.process.terminate()
        assert service.process.wait(at_load(30)) == 0
