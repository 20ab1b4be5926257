"""Both wire formats on a real Prometheus: the same samples, and errors told apart."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from flows.ingest.sources import prometheus
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import Remedy, classify_failure
from flows.ingest.sources.samples import (
    Matcher,
    Samples,
    Selector,
    SourceRefused,
    SourceUnavailable,
)
from flows.spec.sources import PrometheusSource
from tests.lab.http_calls import answers
from tests.lab.processes import wait_until
from tests.places import at_load
from tests.servers.real_servers import program

END_S = 1_760_000_000
HOURS = 5
EVERYTHING = [Selector("requests_total"), Selector("seconds_sum")]


class Server:
    """A Prometheus with five hours of history and an external label."""

    def __init__(self, history: Path, folder: Path, *options: str) -> None:
        shutil.copytree(history / "data", folder / "data")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (folder / "prometheus.yml").write_text("global:\n  external_labels: {cluster: east}\n")
        self.process = subprocess.Popen(
            [
                program("prometheus", "prometheus"),
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                "--storage.tsdb.retention.time=100y",
                f"--web.listen-address=127.0.0.1:{port}",
                *options,
            ],
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: answers(f"{self.url}/-/ready"), what="Prometheus")

    def source(self, *, remote_read: bool) -> PrometheusSamples:
        """A source that reads chunks, or JSON only."""
        source = PrometheusSamples(PrometheusSource(url=self.url))
        source.remote_read = remote_read
        return source

    def kill(self) -> None:
        """Ends the server at once."""
        self.process.kill()
        self.process.wait()


def _history() -> Iterator[str]:
    """Integer counters with a reset, and sums with all bits in use, at irregular times."""
    dice = random.Random(5)
    yield "# TYPE requests counter\n"
    for pod in range(4):
        value = 0
        for second in range(END_S - HOURS * 3600, END_S, 15):
            value = 0 if dice.random() < 0.002 else value + dice.randrange(9)
            jitter = dice.randrange(1000) if pod else 0
            yield f'requests_total{{pod="p],[{pod}",job="mesh"}} {value} {second}.{jitter:03}\n'
    yield "# TYPE seconds gauge\n"
    total = 0.0
    for second in range(END_S - HOURS * 3600, END_S, 15):
        total += dice.random()
        yield f'seconds_sum{{job="mesh",pod="a\\"b"}} {total!r} {second}\n'
    yield "# EOF\n"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of history on disk."""
    folder = tmp_path_factory.mktemp("prometheus")
    (folder / "history.om").write_text("".join(_history()))
    subprocess.run(
        [
            program("promtool", "prometheus"),
            *("tsdb", "create-blocks-from", "openmetrics", "-q"),
            *(str(folder / "history.om"), str(folder / "data")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def server(history: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that leave it alive."""
    server = Server(history, tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


def _by_labels(samples: Samples) -> dict[str, tuple[list[int], list[float]]]:
    return {
        str(sorted(labels.items())): (
            samples.ts_ms[samples.offsets[i] : samples.offsets[i + 1]].tolist(),
            samples.values[samples.offsets[i] : samples.offsets[i + 1]].tolist(),
        )
        for i, labels in enumerate(samples.labels)
    }


def test_chunks_and_json_give_the_same_samples_bit_for_bit(server: Server) -> None:
    chunks, text = server.source(remote_read=True), server.source(remote_read=False)
    start, end = (END_S - HOURS * 3600) * 1000 - 1, END_S * 1000
    from_chunks = chunks.read(EVERYTHING, start, end)
    assert chunks.remote_read
    assert from_chunks.ts_ms.size == 5 * HOURS * 240
    assert _by_labels(from_chunks) == _by_labels(text.read(EVERYTHING, start, end))


def test_chunks_of_windows_one_after_the_other_hold_each_sample_once(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Chunks reach over the windows' edges, so that two answers hold the same ones.
    monkeypatch.setattr(prometheus, "STREAMED_WINDOW_MS", 2_700_000)
    chunks, text = server.source(remote_read=True), server.source(remote_read=False)
    start, end = (END_S - HOURS * 3600) * 1000 - 1, END_S * 1000
    found = chunks.read([EVERYTHING[0]], start, end)
    assert chunks.remote_read
    assert found.ts_ms.size == 4 * HOURS * 240
    assert _by_labels(found) == _by_labels(text.read([EVERYTHING[0]], start, end))


@pytest.mark.parametrize("remote_read", [True, False])
def test_window_leaves_out_its_start_and_holds_its_end(
    server: Server, *, remote_read: bool
) -> None:
    source = server.source(remote_read=remote_read)
    first = Selector("requests_total", (Matcher("pod", "=", "p],[0"),))
    start, end = (END_S - 3600) * 1000, (END_S - 3600 + 60) * 1000
    assert source.read([first], start, end).ts_ms.tolist() == list(
        range(start + 15000, end + 1, 15000)
    )


@pytest.mark.parametrize("remote_read", [True, False])
def test_label_values_are_escaped(server: Server, *, remote_read: bool) -> None:
    source = server.source(remote_read=remote_read)
    quoted = Selector("seconds_sum", (Matcher("pod", "=", 'a"b'),))
    assert source.read([quoted], (END_S - 60) * 1000, END_S * 1000).labels[0]["pod"] == 'a"b'


def test_nothing_found_is_empty_not_an_error(server: Server) -> None:
    found = server.source(remote_read=False).read([Selector("no_such_metric")], 0, 1000)
    assert (found.labels, found.offsets.tolist()) == ((), [0])


def test_bad_selector_is_refused_in_the_servers_words(server: Server) -> None:
    with pytest.raises(SourceRefused, match=r"bad_data.*parse error"):
        server.source(remote_read=False).read([Selector("bad{")], 0, 1000)


def test_metrics_are_discovered(server: Server) -> None:
    assert "requests_total" in server.source(remote_read=False).metric_names()


def test_too_many_samples_are_read_in_halves(history: Path, tmp_path: Path) -> None:
    small = Server(history, tmp_path, "--query.max-samples=300")
    try:
        start, end = (END_S - 2 * 3600) * 1000, END_S * 1000
        halves = small.source(remote_read=False).read(EVERYTHING, start, end)
        assert halves.ts_ms.size == pytest.approx(5 * 2 * 240, abs=5)
        assert (np.diff(halves.ts_ms[: halves.offsets[1]]) > 0).all()
    finally:
        small.kill()


def test_dead_server_is_unavailable_within_seconds(history: Path, tmp_path: Path) -> None:
    dying = Server(history, tmp_path)
    source = dying.source(remote_read=True)
    dying.kill()
    began = time.monotonic()
    with pytest.raises(SourceUnavailable, match="Is the URL right, and the server up"):
        source.read(EVERYTHING, 0, 1000)
    assert time.monotonic() - began < at_load(15)


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (400, b'{"status":"error","errorType":"bad_data","error":"parse error"}', Remedy.REFUSE),
        (
            422,
            b'{"errorType":"execution","error":"query processing would load too many samples"}',
            Remedy.HALVE,
        ),
        (
            422,
            b'{"errorType":"execution","error":"expanding series: context deadline exceeded"}',
            Remedy.HALVE,
        ),
        (
            503,
            b'{"errorType":"timeout","error":"query timed out in expression evaluation"}',
            Remedy.HALVE,
        ),
        (
            503,
            b'{"status":"error","errorType":"timeout","error":"query timed out in query queue"}',
            Remedy.RETRY,
        ),
        (429, b"slow down", Remedy.RETRY),
        (401, b"<html>log in</html>", Remedy.REFUSE),
        (400, b"exceeded sample limit (50000000)", Remedy.HALVE),
    ],
)
def test_each_answer_has_its_remedy(status: int, body: bytes, remedy: Remedy) -> None:
    assert classify_failure(status, body)[0] is remedy
