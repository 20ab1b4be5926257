"""From request to rows in DuckDB: the product's pull beside prometheus-api-client's frames.

`python -m benchmarks.pull_speed [--hours 24] [--quick]`: a real Prometheus holds --hours at 15 s of
100 pods (600 series of istio_requests_total). Each way runs in a process of its own, so that peak
memory is its own. Ratios are of CPU seconds, which a busy machine changes least; those to receiving
the bytes are of time, for who receives waits.
`whole` pulls are the product's, by JSON and by chunks: they also read which scrapes worked, take
differences and say why each is what it is, and write series, samples, buckets and losses into the
warehouse. `json` and `chunks` only store the samples as they were scraped, as the api-client's way
does.
`strategy` and `ratio` are the same pull of the same series as counters that a strategy (by pod) and
a metric of kind ratio name; the second also has those of one code, which the first reads as well.
Floors receive the same bytes, in the same windows, and parse nothing. Our window of chunks is a
day; `2 h floor` receives them by windows of a block each, as memory would have it where answers
aren't streamed.
--quick takes 2 hours: fixed costs weigh more there, so ratios are lower than a day's.
Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.results import Figure, write_results

_END = 1_760_000_000
_STEP_S = 15
_HOURS_OF_GOALS = 24
_PODS, _CODES = 100, ("200", "204", "404", "429", "500", "503")
_SERVICE = (
    'reporter="destination",destination_service_name="exam-service",'
    'destination_service_namespace="edtech-production",destination_workload="exam-service"'
)
_PADDING = ",".join(f'label_{i}="some value {i}"' for i in range(23))


def main() -> None:
    """Prints a table of seconds, ratios and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=_HOURS_OF_GOALS)
    parser.add_argument("--quick", action="store_true", help="2 hours instead of --hours")
    parser.add_argument("--way", nargs=3, metavar=("WAY", "URL", "FOLDER"))
    options = parser.parse_args()
    hours = 2.0 if options.quick else options.hours
    if options.way:
        way, url, folder = options.way
        _measure(way, url, folder, hours)
        return
    with tempfile.TemporaryDirectory(prefix="pull-speed-") as folder:
        print(f"filling a Prometheus with {hours:g} h", flush=True)
        url, server = _serve(Path(folder), hours)
        try:
            _compare(url, folder, hours)
        finally:
            server.kill()
            server.wait()


def _serve(folder: Path, hours: float) -> tuple[str, subprocess.Popen[bytes]]:
    text, data = folder / "metrics.txt", folder / "data"
    with text.open("w") as file:
        file.writelines(_exposition(hours))
    subprocess.run(
        ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(text), str(data)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (folder / "prometheus.yml").write_text("global: {}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            shutil.which("prometheus") or "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={data}",
            "--storage.tsdb.retention.time=100y",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    _wait_until_ready(url, server)
    return url, server


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    import requests  # noqa: PLC0415

    for _ in range(300):
        if server.poll() is not None:
            raise RuntimeError(f"Prometheus ended with {server.returncode}")
        try:
            if requests.get(f"{url}/-/ready", timeout=1).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    server.kill()
    raise RuntimeError("Prometheus was not ready after 30 s")


def _exposition(hours: float) -> Iterator[str]:
    yield "# TYPE istio_requests counter\n"
    samples = int(hours * 3600 / _STEP_S)
    times = [_END - (samples - i) * _STEP_S for i in range(samples)]
    for pod in range(_PODS):
        version = f'destination_version="v{1 + pod % 2}"'
        for index, code in enumerate(_CODES):
            labels = f'{_target(pod)},response_code="{code}",{version},{_SERVICE},{_PADDING}'
            for i, ts in enumerate(times):
                count = i * (7 + index) + (i * i) % 11
                yield f"istio_requests_total{{{labels}}} {count} {ts}\n"
    yield "# TYPE up gauge\n"
    for pod in range(_PODS):
        yield from (f"up{{{_target(pod)}}} 1 {ts}\n" for ts in times)
    yield "# EOF\n"


def _target(pod: int) -> str:
    return f'pod="p{pod}",instance="10.0.0.{pod}:15020",job="mesh"'


WAYS = ("json floor", "json", "whole json", "chunks floor", "2 h floor", "chunks", "whole chunks")
COUNTERS = {"strategy": "a strategy's counter", "ratio": "a ratio's counters"}
_BLOCK_MS = 7_200_000
_ROUNDS = 5


def _per_million(way: dict[str, float]) -> float:
    return way["cpu_s"] / way["count"] * 1e6


def _compare(url: str, folder: str, hours: float) -> None:
    """Ways take turns, so that a busy moment of the machine doesn't hit one of them only."""
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in (*WAYS, *COUNTERS)}
    for _ in range(_ROUNDS):
        for way, results in runs.items():
            results.append(_run(way, url, folder, hours))
    found = {way: _median(results) for way, results in runs.items()}
    for way, one in found.items():
        _print_way(way, one)
    client = _run("api-client", url, folder, hours)
    _print_way("api-client", client)
    for wire, target in (("json", 25), ("chunks", 50)):
        for way in (wire, f"whole {wire}"):
            ours, floor = found[way], found[f"{wire} floor"]
            print(
                f"{way}: {client['cpu_s'] / ours['cpu_s']:.1f} times the api-client's speed by CPU "
                f"(wanted {target}), {client['seconds'] / ours['seconds']:.1f} by time, "
                f"{floor['seconds'] / ours['seconds']:.2f} of the speed of receiving the bytes "
                f"(wanted 0.5), peak {ours['peak_mb']:.0f} MB (wanted below 600)"
            )
    whole = _per_million(found["whole chunks"])
    write_results(
        [
            Figure(
                f"{hours:g} h of 600 series: whole pull, {wire}",
                found[f"whole {wire}"]["cpu_s"],
                "s",
                goal,
                floor=client["cpu_s"],
                floor_of="prometheus-api-client's frame",
            )
            for wire, goal in (("json", "0.04"), ("chunks", "0.02"))
        ]
        + [
            Figure(
                f"{hours:g} h of 100 pods: a million samples of {name}",
                _per_million(found[way]),
                "s",
                "1",
                floor=whole,
                floor_of="of requests",
            )
            for way, name in COUNTERS.items()
        ],
        at_size_of_goals=hours >= _HOURS_OF_GOALS,
    )
    chunks = found["chunks"]["seconds"]
    for name, way in (("chunks by 2 h", "2 h floor"), ("the same samples' JSON", "json floor")):
        ratio = found[way]["seconds"] / chunks
        print(f"chunks: {ratio:.2f} of the speed of receiving {name}")
    print(f"medians of {_ROUNDS} runs, api-client 1; load {os.getloadavg()[0]:.1f}")


def _run(way: str, url: str, folder: str, hours: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.pull_speed", "--hours", str(hours)]
    command += ["--way", way, url, folder]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return dict(json.loads(found))


def _median(results: list[dict[str, float]]) -> dict[str, float]:
    return {
        name: statistics.median(one[name] for one in results) for name in ("seconds", "cpu_s")
    } | {name: results[0][name] for name in ("count", "peak_mb")}


def _print_way(way: str, one: dict[str, float]) -> None:
    unit = "bytes" if way.endswith("floor") else "rows"
    seconds, cpu_s, peak_mb = one["seconds"], one["cpu_s"], one["peak_mb"]
    print(
        f"{way:13} {cpu_s:8.2f} CPU s {seconds:8.2f} s {peak_mb:8.0f} MB peak "
        f"{one['count']:>12,.0f} {unit}",
        flush=True,
    )


def _measure(way: str, url: str, folder: str, hours: float) -> None:
    """Runs one way and prints its seconds, rows and peak memory as JSON."""
    # A selector leaves out its start, where the first sample is; the last is before _END.
    start_ms, end_ms = round((_END - hours * 3600) * 1000) - 1, _END * 1000 - 1
    run: Callable[[], int] = {
        "json": lambda: _ours(url, folder, start_ms, end_ms, is_json=True),
        "chunks": lambda: _ours(url, folder, start_ms, end_ms, is_json=False),
        "whole json": lambda: _whole(url, folder, start_ms, end_ms, is_json=True),
        "whole chunks": lambda: _whole(url, folder, start_ms, end_ms, is_json=False),
        "strategy": lambda: _counters(url, folder, start_ms, end_ms, _STRATEGY),
        "ratio": lambda: _counters(url, folder, start_ms, end_ms, _RATIO),
        "json floor": lambda: _floor(url, start_ms, end_ms, is_json=True),
        "chunks floor": lambda: _floor(url, start_ms, end_ms, is_json=False),
        "2 h floor": lambda: _floor(url, start_ms, end_ms, is_json=False, step_ms=_BLOCK_MS),
        "api-client": lambda: _api_client(url, folder, start_ms, end_ms),
    }[way]
    _import_all()
    began, had = time.perf_counter(), time.process_time()
    count = run()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - had
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_s": cpu_s, "count": count, "peak_mb": peak_mb}))


def _import_all() -> None:
    """Imports are no part of a pull."""
    import duckdb  # noqa: F401, PLC0415
    import pandas  # noqa: F401, PLC0415  # pyarrow, too, imports it at its first array
    import pyarrow  # noqa: F401, PLC0415
    import yaml  # noqa: F401, PLC0415

    import flows.ingest.measured.pull_measured  # noqa: PLC0415
    import flows.ingest.requests.pull_requests  # noqa: PLC0415
    import flows.ingest.sources.prometheus  # noqa: F401, PLC0415


def _whole(url: str, folder: str, start_ms: int, end_ms: int, *, is_json: bool) -> int:
    """The product's own pull, into a warehouse that it creates."""
    from flows.ingest.requests.pull_requests import pull_requests  # noqa: PLC0415
    from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.spec.experiment import Experiment  # noqa: PLC0415
    from flows.spec.sources import PrometheusSource  # noqa: PLC0415
    from flows.warehouse.kept_open import keep_open  # noqa: PLC0415

    spec = Experiment.model_validate(_spec(url, start_ms, end_ms))
    source = PrometheusSamples(PrometheusSource(url=url))
    source.remote_read = not is_json
    warehouse = Path(tempfile.mkdtemp(dir=folder)) / "warehouse.duckdb"
    with keep_open(warehouse):  # as `verdict pull` and `verdict run` do
        return pull_requests(spec, source, warehouse, until_ms=end_ms + 1).samples


def _spec(url: str, start_ms: int, end_ms: int) -> dict[str, Any]:
    return {
        "experiment": "pull-speed",
        "service": "exam-service",
        "namespace": "edtech-production",
        "mesh": "istio",
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "split": {"stable": 50, "canary": 50},
        "plan": {
            "start": datetime.fromtimestamp(start_ms / 1000, UTC),
            "duration": f"{(end_ms - start_ms) // 1000 + 60}s",
        },
        "sources": {"requests": {"prometheus": url}},
    }


_OF = 'istio_requests_total{destination_version="{{version}}"'
_STRATEGY = {"strategy": {"kind": "rate-limiting", "label": "pod"}}
_RATIO = {
    "metrics": {
        "refused": {"kind": "ratio", "bad": f'{_OF},response_code="429"}}', "of": f"{_OF}}}"}
    }
}


def _counters(url: str, folder: str, start_ms: int, end_ms: int, own: dict[str, Any]) -> int:
    """The product's pull of counters that a spec names, into a warehouse that it creates."""
    from flows.ingest.measured.pull_measured import pull_measured  # noqa: PLC0415
    from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.spec.experiment import Experiment  # noqa: PLC0415
    from flows.spec.sources import PrometheusSource  # noqa: PLC0415
    from flows.warehouse.kept_open import keep_open  # noqa: PLC0415

    spec = Experiment.model_validate(_spec(url, start_ms, end_ms) | own)
    source = PrometheusSamples(PrometheusSource(url=url))
    warehouse = Path(tempfile.mkdtemp(dir=folder)) / "warehouse.duckdb"
    with keep_open(warehouse):
        pull_measured(spec, source, warehouse, until_ms=end_ms + 1)
    series = _PODS * (len(_CODES) + 1)  # those of one code are in both counters
    return series * (end_ms - start_ms) // (_STEP_S * 1000)


def _ours(url: str, folder: str, start_ms: int, end_ms: int, *, is_json: bool) -> int:
    import numpy as np  # noqa: PLC0415
    import pyarrow as pa  # noqa: PLC0415

    from flows.ingest.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.ingest.sources.samples import Selector  # noqa: PLC0415
    from flows.spec.sources import PrometheusSource  # noqa: PLC0415

    source = PrometheusSamples(PrometheusSource(url=url))
    source.remote_read = not is_json
    samples = source.read([Selector("istio_requests_total")], start_ms, end_ms)
    series = np.arange(len(samples.labels), dtype=np.int32)
    table = pa.table(
        {
            "series_id": np.repeat(series, np.diff(samples.offsets)),
            "ts_ms": samples.ts_ms,
            "value": samples.values,
        }
    )
    return _insert(folder, table)


def _insert(folder: str, table: object) -> int:
    import duckdb  # noqa: PLC0415

    path = Path(tempfile.mkdtemp(dir=folder)) / "rows.duckdb"
    with duckdb.connect(path) as con:
        con.register("incoming", table)
        con.execute("create table samples as select * from incoming")
        con.execute("checkpoint")
        row = con.execute("select count(*) from samples").fetchone()
    return int(row[0]) if row else 0


def _floor(
    url: str, start_ms: int, end_ms: int, *, is_json: bool, step_ms: int | None = None
) -> int:
    """Receives what our way receives, by default in the same windows, and parses nothing."""
    import requests  # noqa: PLC0415

    from flows.ingest.sources.prometheus import JSON_WINDOW_MS, STREAMED_WINDOW_MS  # noqa: PLC0415
    from flows.ingest.sources.remote_read import HEADERS, encode_request  # noqa: PLC0415
    from flows.ingest.sources.samples import Selector  # noqa: PLC0415

    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"
    received, step = 0, step_ms or (JSON_WINDOW_MS if is_json else STREAMED_WINDOW_MS)
    for begin in range(start_ms, end_ms, step):
        end = min(begin + step, end_ms)
        if is_json:
            query = f"istio_requests_total[{end - begin}ms]"
            form = {"query": query, "time": f"{end / 1000:.3f}"}
            received += _received(session, f"{url}/api/v1/query", data=form)
        else:
            body = encode_request(Selector("istio_requests_total"), begin, end)
            received += _received(session, f"{url}/api/v1/read", data=body, headers=HEADERS)
    return received


def _received(session: Any, url: str, **request: Any) -> int:
    """The bytes of one answer, received as our connection does, not by requests' 10 kB pieces."""
    with session.post(url, timeout=60, stream=True, **request) as answer:
        parts = []
        while part := answer.raw.read1(1 << 20, decode_content=True):
            parts.append(part)
    return len(b"".join(parts))


def _api_client(url: str, folder: str, start_ms: int, end_ms: int) -> int:
    from prometheus_api_client import MetricRangeDataFrame, PrometheusConnect  # noqa: PLC0415

    client = PrometheusConnect(url=url)
    data = client.get_metric_range_data(
        "istio_requests_total",
        start_time=datetime.fromtimestamp(start_ms / 1000, UTC).replace(tzinfo=None),
        end_time=datetime.fromtimestamp(end_ms / 1000, UTC).replace(tzinfo=None),
    )
    return _insert(folder, MetricRangeDataFrame(data).reset_index())


if __name__ == "__main__":
    main()
