"""The same traffic gives the same decision from Prometheus 2 and 3 and from VictoriaMetrics.

From classic histograms, and from those that Prometheus 3 keeps as native ones with custom buckets.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests

from analysis.verdict import Decision
from flows.formats.time import instant
from flows.ingest.requests.pull_requests import pull_requests
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource
from tests.flows.ingest.sources.test_native_samples import (
    NAME,
    double,
    labels,
    nested,
    number,
    sample,
    varint,
    write,
    zigzag,
)
from tests.lab.http_calls import answers
from tests.lab.processes import wait_until
from tests.places import PATIENCE_S
from tests.servers.real_servers import free_port, program

STEP_MS, STEPS, BEFORE = 15_000, 48, 6
BOUNDS = (250.0, 500.0, 1000.0, 2500.0)
COARSE = (250.0, 500.0, 2500.0)  # lacks the edge that is asked for
_CUSTOM_BUCKETS = -53  # the schema that says so
# By latency class (at most 250, 500, 1000, 2500 ms, slower), of 200 requests a step.
FAST, SLOW = (150, 38, 10, 2, 0), (140, 30, 8, 20, 2)
Command = Callable[[Path, int], list[str]]


def _prometheus(path: str) -> Command:
    def command(folder: Path, port: int) -> list[str]:
        (folder / "prometheus.yml").write_text("global: {}\n")
        return [
            path,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            "--enable-feature=native-histograms",
        ]

    return command


def _victoria(path: str) -> Command:
    return lambda folder, port: [
        path,
        f"-storageDataPath={folder}/data",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
    ]


def _command(engine: str) -> Command:
    if engine == "prometheus":
        return _prometheus(program("prometheus", "prometheus"))
    if engine == "victoria-metrics":
        return _victoria(program("victoria-metrics", "victoria-metrics"))
    path = shutil.which("prometheus3")
    if path is None:
        pytest.skip("Prometheus 3 could not be fetched here: scripts/install-servers")
    return _prometheus(path)


@contextmanager
def _serving(engine: str, folder: Path) -> Iterator[str]:
    port = free_port()
    command = _command(engine)(folder, port)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    ready = "/health" if engine == "victoria-metrics" else "/-/ready"
    try:
        wait_until(lambda: answers(f"{url}{ready}"), what=engine)
        yield url
    finally:
        server.kill()
        server.wait()


def _custom(at_ms: int, bounds: Sequence[float], counts: Sequence[int]) -> bytes:
    """prometheus/prompb: types.proto, message Histogram; empty buckets left out."""
    spans, deltas, last_index, last = b"", b"", None, 0
    for index, count in enumerate(counts):
        if count:
            offset = index if last_index is None else index - last_index - 1
            spans += nested(11, number(1, zigzag(offset)) + number(2, 1))
            deltas += varint(zigzag(count - last))
            last_index, last = index, count
    values = np.array(bounds, "<f8").tobytes()
    return (
        number(1, sum(counts))
        + double(3, 1.0)
        + number(4, zigzag(_CUSTOM_BUCKETS))
        + spans
        + nested(12, deltas)
        + number(15, at_ms)
        + nested(16, values)
    )


@dataclass(frozen=True)
class Traffic:
    """Of the canary: its latency classes, its proxies' bounds, and from which step on they are
    those (before, both have the usual ones)."""

    classes: tuple[int, ...] = FAST
    bounds: tuple[float, ...] = BOUNDS
    from_step: int = 0


SCENARIOS = {
    "healthy": Traffic(),
    "slow": Traffic(SLOW),
    "slow, and its edges moved": Traffic(SLOW, COARSE),
    "slow, and its edges move meanwhile": Traffic(SLOW, COARSE, 20),
}


def _fill(url: str, traffic: Traffic, end_ms: int, *, native: bool) -> None:
    so_far = {"v1": np.zeros(5, int), "v2": np.zeros(5, int)}
    restarted = {"v1": np.zeros(5, int), "v2": np.zeros(5, int)}
    for step in range(STEPS):
        at_ms, series = end_ms - (STEPS - 1 - step) * STEP_MS, list[bytes]()
        for version, classes in (("v1", FAST), ("v2", traffic.classes)):
            moved = version == "v2" and step >= traffic.from_step
            pod = f"{version}-{'b' if moved and traffic.from_step else 'a'}"
            if moved and step == traffic.from_step:
                restarted[version] = so_far[version].copy()
            so_far[version] += np.array(classes)
            counts = so_far[version] - restarted[version]
            bounds = traffic.bounds if moved else BOUNDS
            series.append(labels("up", version, pod) + sample(at_ms, 1.0))
            total = labels("istio_requests_total", version, pod)
            series.append(total + sample(at_ms, float(counts.sum())))
            at_most = np.cumsum(counts)[[BOUNDS.index(each) for each in bounds]]
            if native:
                own = np.diff([0, *at_most, counts.sum()]).tolist()
                series.append(labels(NAME, version, pod) + nested(4, _custom(at_ms, bounds, own)))
                continue
            for le, count in zip(
                (*map(str, bounds), "+Inf"), (*at_most, counts.sum()), strict=True
            ):
                bucket = labels(f"{NAME}_bucket", version, pod, le=le)
                series.append(bucket + sample(at_ms, float(count)))
        write(url, series)
    requests.get(
        f"{url}/internal/force_flush", timeout=PATIENCE_S
    )  # VictoriaMetrics; others have none


def _spec(url: str, end_ms: int) -> Experiment:
    start = instant(end_ms - (STEPS - BEFORE) * STEP_MS)
    fields: dict[str, Any] = {
        "experiment": "exam",
        "service": "exam",
        "namespace": "shop",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "metrics": {"p99": {"kind": "slow_share", "above": "1s", "margin": 0.05}},
        "split": {"stable": 50, "canary": 50},
        "plan": {"start": start.isoformat(), "duration": "10m", "minimum_duration": "5m"},
        "sources": {"requests": {"prometheus": url, "scrape_interval": "15s"}},
    }
    return Experiment.model_validate(fields)


def _verdict(engine: str, folder: Path, traffic: Traffic, *, native: bool) -> VerdictDocument:
    folder.mkdir()
    with ExitStack() as stack:
        url = stack.enter_context(_serving(engine, folder))
        end_ms = (int(time.time()) - 60) // 15 * STEP_MS
        _fill(url, traffic, end_ms, native=native)
        spec, warehouse = _spec(url, end_ms), folder / "w.duckdb"
        source = PrometheusSamples(PrometheusSource(url=url))
        pull_requests(spec, source, warehouse, until_ms=end_ms)
        return score_experiment(spec, warehouse, at=instant(end_ms))


@pytest.mark.parametrize(
    ("engine", "native"),
    [
        ("prometheus", False),
        ("prometheus3", False),
        ("prometheus3", True),
        ("victoria-metrics", False),
    ],
)
def test_engines_and_kinds_of_histograms_agree(engine: str, native: bool, tmp_path: Path) -> None:
    found = {
        name: _verdict(engine, tmp_path / name.replace(" ", "-"), traffic, native=native)
        for name, traffic in SCENARIOS.items()
    }
    decided = {name: document.decision for name, document in found.items()}
    assert decided["healthy"] is Decision.PROMOTE, found["healthy"].reasons
    assert decided["slow"] is Decision.ROLLBACK, found["slow"].reasons
    # At 2500 ms, the next edge that both have, nothing is wrong: an edge that moved hides nothing.
    assert decided["slow, and its edges moved"] is Decision.HOLD
    assert decided["slow, and its edges move meanwhile"] in (Decision.HOLD, Decision.ROLLBACK)
    for document in found.values():
        p99 = next(one for one in document.metrics if one.metric == "p99")
        assert p99.edge_ms == 1000
