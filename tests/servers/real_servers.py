"""Real servers for the tests: a Prometheus with a past, a Pushgateway, an Alertmanager."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from dashboards.promql import quote
from tests.builders.planted_series import Planted
from tests.places import PATIENCE_S

STEP_S = 15
PAST_S = 40 * 60


def program(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped, or fails where CI=true."""
    found = shutil.which(name)
    if found:
        return found
    reason = f"{name} is not installed; install it with: apt-get install -y {package}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


ENGINES = ("prometheus", "prometheus3", "victoria-metrics")


@contextmanager
def prometheus_with(
    series: Sequence[Planted], folder: Path, engine: str = "prometheus", ahead_s: int = 0
) -> Iterator[str]:
    """The URL of a Prometheus whose last 40 minutes hold the series.

    engine: one of ENGINES. ahead_s: so much of what is to come, for what is asked later.
    """
    if engine == "victoria-metrics":
        with _victoria_with(series, folder, ahead_s) as url:
            yield url
        return
    server = shutil.which(engine) or program("prometheus", "prometheus")
    if engine == "prometheus3" and not server.endswith(engine):
        pytest.skip("Prometheus 3 could not be fetched here: scripts/install-servers")
    promtool = program("promtool", "prometheus")
    history, data, config = folder / "history.om", folder / "data", folder / "prometheus.yml"
    history.write_text(_open_metrics(series, until_s=int(time.time()), ahead_s=ahead_s))
    command = [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q"]
    subprocess.run([*command, str(history), str(data)], check=True, capture_output=True)
    config.write_text("global: {}\n")
    with _serving(
        lambda port: [
            server,
            f"--config.file={config}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
    ) as url:
        yield url


@contextmanager
def _victoria_with(series: Sequence[Planted], folder: Path, ahead_s: int) -> Iterator[str]:
    server = program("victoria-metrics", "victoria-metrics")
    with _serving(
        lambda port: [
            server,
            f"-storageDataPath={folder / 'data'}",
            f"-httpListenAddr=127.0.0.1:{port}",
            "-search.latencyOffset=0s",
        ]
    ) as url:
        # Its import takes milliseconds.
        lines = _open_metrics(series, until_s=int(time.time()), ahead_s=ahead_s).splitlines()[:-1]
        body = "".join(f"{line}000\n" for line in lines)
        requests.post(
            f"{url}/api/v1/import/prometheus", body, timeout=PATIENCE_S
        ).raise_for_status()
        requests.get(f"{url}/internal/force_flush", timeout=PATIENCE_S).raise_for_status()
        yield url


@contextmanager
def pushgateway() -> Iterator[str]:
    """The URL of an empty Pushgateway."""
    server = program("prometheus-pushgateway", "prometheus-pushgateway")
    # Debian's default is to keep what was pushed in a file of the system, for the next start.
    in_memory = "--persistence.file="
    with _serving(
        lambda port: [server, in_memory, f"--web.listen-address=127.0.0.1:{port}"]
    ) as url:
        yield url


@contextmanager
def alertmanager(folder: Path) -> Iterator[str]:
    """The URL of an Alertmanager that tells nobody."""
    server = program("prometheus-alertmanager", "prometheus-alertmanager")
    config = folder / "alertmanager.yml"
    config.write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    with _serving(
        lambda port: [
            server,
            f"--config.file={config}",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
    ) as url:
        yield url


def _open_metrics(series: Sequence[Planted], *, until_s: int, ahead_s: int) -> str:
    """Samples every 15 s, from PAST_S before until_s to ahead_s after it."""
    lines = []
    for planted in series:
        labels = ",".join(f"{name}={quote(value)}" for name, value in planted.labels.items())
        for age_s in range(PAST_S, -ahead_s - 1, -STEP_S):
            value = planted.level + planted.slope * (PAST_S - age_s)
            lines.append(f"{planted.name}{{{labels}}} {value!r} {until_s - age_s}")
    return "\n".join([*lines, "# EOF\n"])


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(command_for: Callable[[int], list[str]]) -> Iterator[str]:
    """The URL of a server that dies with the block; ready when it says so."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        command_for(port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_until_ready(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            if any(requests.get(url + path, timeout=10).ok for path in ("/-/ready", "/health")):
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"{process.args!r} was not ready after {PATIENCE_S} s")
