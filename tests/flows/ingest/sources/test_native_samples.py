"""Native histograms in a real Prometheus are read as exact counts at classic edges."""

from __future__ import annotations

import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cramjam
import pytest
import requests

from flows.formats.time import instant
from flows.ingest.requests.pull_requests import pull_requests
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.samples import Selector
from flows.spec.experiment import Experiment
from flows.spec.sources import PrometheusSource
from flows.warehouse.connection import open_reader
from tests.lab.http_calls import answers
from tests.lab.processes import wait_until
from tests.places import PATIENCE_S
from tests.servers.real_servers import free_port, program

NAME = "istio_request_duration_milliseconds"
STEP_MS, STEPS = 15_000, 20
# Schema 0: a bucket (2^(i-1), 2^i]; the latencies of 10 requests a step fall into (32, 64] and
# (64, 128], in the canary also into (1024, 2048].
BUCKETS = {"v1": {6: 7, 7: 3}, "v2": {6: 6, 7: 3, 11: 1}}


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def zigzag(value: int) -> int:
    return value << 1 if value >= 0 else -value * 2 - 1


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    return varint(field << 3 | 1) + struct.pack("<d", value)


def nested(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def labels(name: str, version: str, pod: str, **more: str) -> bytes:
    pairs = {
        "__name__": name,
        "destination_service_name": "exam",
        "destination_service_namespace": "shop",
        "destination_version": version,
        "destination_workload": "exam",
        "instance": f"{pod}:15020",
        "job": "pods",
        "pod": pod,
        "reporter": "destination",
        "response_code": "200",
        **more,
    }
    return b"".join(
        nested(1, nested(1, key.encode()) + nested(2, value.encode()))
        for key, value in sorted(pairs.items())
    )


def histogram(at_ms: int, counts: dict[int, int]) -> bytes:
    """prometheus/prompb: types.proto, message Histogram, with whole counts."""
    spans, deltas, last_index, last = b"", b"", None, 0
    for index, count in sorted(counts.items()):
        offset = index if last_index is None else index - last_index - 1
        spans += nested(11, number(1, zigzag(offset)) + number(2, 1))
        deltas += varint(zigzag(count - last))
        last_index, last = index, count
    return (
        number(1, sum(counts.values()))
        + double(3, 1.0)
        + number(4, zigzag(0))
        + double(5, 1e-9)
        + number(6, 0)
        + spans
        + nested(12, deltas)
        + number(15, at_ms)
    )


def sample(at_ms: int, value: float) -> bytes:
    return nested(2, double(1, value) + number(2, at_ms))


def write(url: str, series: Sequence[bytes]) -> None:
    body = b"".join(nested(1, one) for one in series)
    answer = requests.post(
        f"{url}/api/v1/write",
        data=bytes(cramjam.snappy.compress_raw(body)),
        headers={"Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"},
        timeout=PATIENCE_S,
    )
    assert answer.ok, answer.text


@pytest.fixture(scope="module")
def end_ms() -> int:
    return (int(time.time()) - 60) // 15 * STEP_MS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, end_ms: int) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("native"), free_port()
    (folder / "prometheus.yml").write_text("global: {}\n")
    server = subprocess.Popen(
        [program("prometheus", "prometheus"), f"--config.file={folder}/prometheus.yml",
         f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}",
         "--web.enable-remote-write-receiver", "--enable-feature=native-histograms"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{address}/-/ready"), what="Prometheus")
        fill(address, end_ms)
        yield address
    finally:
        server.kill()
        server.wait()


def fill(url: str, end_ms: int) -> None:
    """A stable pod and a canary pod; the stable one's proxy also keeps classic buckets."""
    times = [end_ms - (STEPS - 1 - step) * STEP_MS for step in range(STEPS)]
    for step, at_ms in enumerate(times):
        series = [
            labels("istio_requests_total", version, f"exam-{version}") + sample(at_ms, 10.0 * step)
            for version in BUCKETS
        ]
        series += [
            labels("up", version, f"exam-{version}") + sample(at_ms, 1.0) for version in BUCKETS
        ]
        for version, counts in BUCKETS.items():
            so_far = {index: count * (step + 1) for index, count in counts.items()}
            series.append(
                labels(NAME, version, f"exam-{version}") + nested(4, histogram(at_ms, so_far))
            )
        for le, count in (("64.0", 7), ("128.0", 10), ("+Inf", 10)):
            classic = labels(f"{NAME}_bucket", "v1", "exam-v1", le=le)
            series.append(classic + sample(at_ms, count * (step + 1)))
        write(url, series)


def test_counts_at_the_edges_are_exact(url: str, end_ms: int) -> None:
    source = PrometheusSamples(PrometheusSource(url=url))
    found = source.read([Selector(NAME, native=True)], end_ms - 3_600_000, end_ms)
    assert found.warnings == ()
    last = {
        (one["destination_version"], float(one["le"])): found.values[found.offsets[i + 1] - 1]
        for i, one in enumerate(found.labels)
    }
    for version, counts in BUCKETS.items():
        for edge, below in ((32, 0), (64, counts[6]), (128, counts[6] + counts[7])):
            assert last[version, edge] == below * STEPS
        assert last[version, float("inf")] == 10 * STEPS


def test_who_keeps_both_kinds_is_counted_once(url: str, end_ms: int) -> None:
    source = PrometheusSamples(PrometheusSource(url=url))
    both = [Selector(f"{NAME}_bucket"), Selector(NAME, native=True)]
    found = source.read(both, end_ms - 3_600_000, end_ms)
    edges = [one["le"] for one in found.labels if one["destination_version"] == "v1"]
    assert sorted(edges) == ["+Inf", "128.0", "64.0"]
    assert len([one for one in found.labels if one["destination_version"] == "v2"]) > 20


def test_a_pull_has_the_latencies_of_both_versions(url: str, end_ms: int, tmp_path: Path) -> None:
    spec = Experiment.model_validate(
        {
            "experiment": "exam",
            "service": "exam",
            "namespace": "shop",
            "mesh": "istio",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "plan": {
                "start": instant(end_ms - (STEPS - 2) * STEP_MS).isoformat(),
                "duration": "5m",
            },
            "sources": {"requests": {"prometheus": url, "scrape_interval": "15s"}},
        }
    )
    source = PrometheusSamples(PrometheusSource(url=url))
    warehouse = tmp_path / "w.duckdb"
    pull_requests(spec, source, warehouse, until_ms=end_ms)
    with open_reader(warehouse) as con:
        rows = con.execute(
            "select variant, le_ms, sum(requests) from latency_buckets "
            "where le_ms in (64, 128, 2048) and bucket_start >= ? group by all",
            [spec.plan.start],
        ).fetchall()
    counts = {(variant, le): requests for variant, le, requests in rows}
    steps = STEPS - 2
    assert counts["stable", 64.0] == 7 * steps
    assert counts["canary", 64.0] == 6 * steps
    assert counts["canary", 128.0] == 9 * steps
    assert counts["canary", 2048.0] == 10 * steps
