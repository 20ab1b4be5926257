"""Both wire formats on a real Prometheus with a past: windows, labels, limits, lost connections."""

from __future__ import annotations

import itertools
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import Patience
from flows.ingest.sources.samples import Matcher, Samples, Selector, SourceUnavailable
from flows.spec.sources import PrometheusSource
from tests.lab.http_calls import answers
from tests.lab.processes import wait_until
from tests.places import at_load
from tests.servers.real_servers import free_port, program
from tests.servers.scripted_server import cutting_proxy

END_S = 1_760_000_000
HOURS = 7
START_MS, END_MS = (END_S - HOURS * 3600) * 1000 - 1, END_S * 1000
HASTY = Patience(connect_s=1, read_s=10, budget_s=3, attempts=3, first_pause_s=0.05)
REQUESTS, SUMS = Selector("requests_total"), Selector("seconds_sum")


def _history() -> Iterator[str]:
    """Integer counters, some with a label that equals an external one; sums with all bits used."""
    dice = random.Random(11)
    yield "# TYPE requests counter\n"
    for pod in range(6):
        own = ',cluster="east"' if pod == 5 else ""
        value = 0
        for second in range(END_S - HOURS * 3600, END_S, 15):
            value += dice.randrange(9)
            jitter = dice.randrange(40) if pod % 2 else 0
            yield f'requests_total{{pod="{pod}"{own}}} {value} {second}.{jitter:03}\n'
    yield "# TYPE seconds gauge\n"
    for pod in range(3):
        total = 0.0
        for second in range(END_S - HOURS * 3600, END_S, 15):
            total += dice.random()
            yield f'seconds_sum{{pod="{pod}"}} {total!r} {second}\n'
    yield "# EOF\n"


@pytest.fixture(scope="session")
def blocks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history as a server's data."""
    folder = tmp_path_factory.mktemp("history")
    (folder / "history.om").write_text("".join(_history()))
    command = [program("promtool", "prometheus"), "tsdb", "create-blocks-from", "openmetrics", "-q"]
    subprocess.run(
        [*command, str(folder / "history.om"), str(folder / "data")],
        check=True,
        capture_output=True,
    )
    return folder / "data"


@contextmanager
def _prometheus(data: Path, folder: Path, config: str, *options: str) -> Iterator[_Server]:
    """A server on a copy of the data, alive until the block ends."""
    shutil.copytree(data, folder / "data")
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    command = [program("prometheus", "prometheus"), f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{port}"]
    command += ["--storage.tsdb.retention.time=100y", *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}")
        yield _Server(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()


class _Server:
    def __init__(self, url: str, process: subprocess.Popen[bytes]) -> None:
        self.url, self.process = url, process


def _wait_until_ready(url: str) -> None:
    wait_until(lambda: answers(f"{url}/-/ready"), what=url)


EAST = "global:\n  external_labels: {cluster: east, region: eu}\n"


@pytest.fixture(scope="session")
def server(blocks: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server with external labels, for all tests that leave it alive."""
    with _prometheus(blocks, tmp_path_factory.mktemp("server"), EAST) as running:
        yield running.url


def _source(url: str, *, remote_read: bool) -> PrometheusSamples:
    source = PrometheusSamples(PrometheusSource(url=url), HASTY)
    source.remote_read = remote_read
    return source


def _rows(samples: Samples) -> dict[str, list[tuple[int, str]]]:
    """Times and values to the bit, by labels."""
    assert (np.diff(samples.ts_ms)[np.diff(samples.series_of_sample) == 0] > 0).all()
    rows: dict[str, list[tuple[int, str]]] = {
        str(sorted(one.items())): [] for one in samples.labels
    }
    keys = list(rows)
    assert len(keys) == len(samples.labels)
    for series, ts_ms, value in zip(
        samples.series_of_sample, samples.ts_ms.tolist(), samples.values.tolist(), strict=True
    ):
        rows[keys[series]].append((ts_ms, value.hex()))
    return rows


@pytest.mark.parametrize(
    "selectors",
    [
        [SUMS],
        [REQUESTS],  # one of its series has a label of its own that equals an external one
        [SUMS, REQUESTS],
        [Selector("requests_total", (Matcher("cluster", "=", "east"),))],
        [Selector("requests_total", (Matcher("cluster", "!=", "east"),))],
        [Selector("seconds_sum", (Matcher("region", "=", "eu"),))],
        [Selector("requests_total", (Matcher("pod", "=~", "1|2"), Matcher("pod", "!~", "2.*")))],
        [REQUESTS, Selector("requests_total", (Matcher("pod", "=", "3"),))],
    ],
)
def test_both_formats_give_the_same_samples_and_labels(
    server: str, selectors: list[Selector]
) -> None:
    chunks, text = _source(server, remote_read=True), _source(server, remote_read=False)
    found = _rows(chunks.read(selectors, START_MS, END_MS))
    assert chunks.remote_read
    assert found == _rows(text.read(selectors, START_MS, END_MS))


def test_sums_are_read_by_chunks_and_all_of_them(server: str) -> None:
    source = _source(server, remote_read=True)
    source._ask_json = None  # type: ignore[assignment, method-assign]
    assert source.read([SUMS], START_MS, END_MS).ts_ms.size == 3 * HOURS * 240


@pytest.mark.parametrize("remote_read", [True, False])
def test_windows_side_by_side_are_the_whole_window(server: str, *, remote_read: bool) -> None:
    source = _source(server, remote_read=remote_read)
    whole = _rows(source.read([REQUESTS, SUMS], START_MS, END_MS))
    # At samples, between them, within a chunk, and across the windows that the source cuts.
    edges = [
        START_MS,
        START_MS + 1,
        END_MS - 20_000_000,
        END_MS - 9_000_007,
        END_MS - 15_000,
        END_MS,
    ]
    parts = [
        _rows(source.read([REQUESTS, SUMS], begin, end)) for begin, end in itertools.pairwise(edges)
    ]
    joined = {key: [row for part in parts for row in part.get(key, [])] for key in whole}
    assert joined == whole


def test_sample_limit_is_met_by_shorter_windows(server: str, blocks: Path, tmp_path: Path) -> None:
    whole = _rows(_source(server, remote_read=False).read([REQUESTS], START_MS, END_MS))
    with _prometheus(blocks, tmp_path, EAST, "--query.max-samples=400") as small:
        source = _source(small.url, remote_read=False)
        assert _rows(source.read([REQUESTS], START_MS, END_MS)) == whole


def test_staleness_markers_are_no_samples(tmp_path: Path) -> None:
    page = b"# TYPE jobs counter\njobs_total 7\n"
    jobs = Selector("jobs_total")
    (tmp_path / "none").mkdir()
    (tmp_path / "server").mkdir()
    fast = "--scrape.discovery-reload-interval=200ms"
    with (
        _target(page) as target,
        _prometheus(tmp_path / "none", tmp_path / "server", _scraping(target), fast) as running,
    ):
        chunks, plain = (_source(running.url, remote_read=is_read) for is_read in (True, False))
        _wait_for_samples(plain, 3)
        target.page = b""
        time.sleep(1)
        target.page = page
        _wait_for_samples(plain, 7)
        now_ms = time.time_ns() // 1_000_000
        found = chunks.read([jobs, Selector("up")], now_ms - 60_000, now_ms - 300)
        assert chunks.remote_read
        assert _rows(found) == _rows(
            plain.read([jobs, Selector("up")], now_ms - 60_000, now_ms - 300)
        )
        assert found.warnings == ()
        assert np.diff(chunks.read([jobs], now_ms - 60_000, now_ms).ts_ms).max() > 900  # away


def _wait_for_samples(source: PrometheusSamples, count: int) -> None:
    for _ in range(100):
        now_ms = time.time_ns() // 1_000_000
        if source.read([Selector("jobs_total")], now_ms - 60_000, now_ms).ts_ms.size >= count:
            return
        time.sleep(0.1)
    raise RuntimeError("nothing was scraped")


def _scraping(target: _Target) -> str:
    return (
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        f"- {{job_name: j, static_configs: [{{targets: ['{target.address}']}}]}}\n"
    )


class _Target:
    """Something to scrape; an empty page leaves its series out."""

    def __init__(self, page: bytes) -> None:
        self.page, self.address = page, ""


@contextmanager
def _target(page: bytes) -> Iterator[_Target]:
    target = _Target(page)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(target.page)

        def log_message(self, *_: object) -> None:
            """Nothing on the test's output."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target.address = f"127.0.0.1:{http.server_port}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield target
    finally:
        http.shutdown()
        http.server_close()


@pytest.mark.parametrize("remote_read", [True, False])
def test_connection_cut_half_way_is_asked_again(server: str, *, remote_read: bool) -> None:
    whole = _rows(_source(server, remote_read=False).read([SUMS], START_MS, END_MS))
    with cutting_proxy(server, cut_after=[20_000, 30_000]) as url:
        assert _rows(_source(url, remote_read=remote_read).read([SUMS], START_MS, END_MS)) == whole


@pytest.mark.parametrize("remote_read", [True, False])
def test_connection_that_is_always_cut_is_unavailable(server: str, *, remote_read: bool) -> None:
    with (
        cutting_proxy(server, cut_after=[8_000] * 99) as url,
        pytest.raises(SourceUnavailable, match=f"{url} failed 3 times"),
    ):
        _source(url, remote_read=remote_read).read([SUMS], START_MS, END_MS)


@pytest.mark.parametrize("remote_read", [True, False])
def test_server_killed_in_the_middle_is_unavailable(
    blocks: Path, tmp_path: Path, *, remote_read: bool
) -> None:
    with _prometheus(blocks, tmp_path, "global: {}\n") as running:
        source = _source(running.url, remote_read=remote_read)
        source.read([SUMS], START_MS, END_MS)
        killer = threading.Timer(0.3, running.process.kill)
        killer.start()
        began = time.monotonic()
        with pytest.raises(SourceUnavailable, match="Is the URL right, and the server up"):
            _read_for(source, seconds=20)
        killer.join()
        assert time.monotonic() - began < at_load(10)


def _read_for(source: PrometheusSamples, seconds: float) -> None:
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        source.read([SUMS, REQUESTS], START_MS, END_MS)


def test_a_store_behind_the_server_that_fails_is_told(blocks: Path, tmp_path: Path) -> None:
    """Its answers in chunks lack the warning, and may lack harm."""
    away = "remote_read: [{url: http://127.0.0.1:1/read, read_recent: true}]\n"
    with _prometheus(blocks, tmp_path, away) as running:
        found = _source(running.url, remote_read=True).read([REQUESTS], START_MS, END_MS)
    assert any("remote_read" in one for one in found.warnings)
    assert found.labels
