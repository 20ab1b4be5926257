"""From request to rows in DuckDB: our two wire formats beside prometheus-api-client's frames.

`python -m benchmarks.pull_speed [--hours 24]`: a real Prometheus holds --hours at 15 s of 100 pods
(600 series of istio_requests_total). Each way runs in a process of its own, so that peak memory is
its own; floors receive the same bytes and parse nothing.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

_END = 1_760_000_000
_STEP_S = 15
_PODS, _CODES = 100, ("200", "204", "404", "429", "500", "503")
_PADDING = ",".join(f'label_{i}="some value {i}"' for i in range(28))


def main() -> None:
    """Prints a table of seconds, ratios and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24)
    parser.add_argument("--way", nargs=3, metavar=("WAY", "URL", "FOLDER"))
    options = parser.parse_args()
    if options.way:
        way, url, folder = options.way
        _measure(way, url, folder, options.hours)
        return
    with tempfile.TemporaryDirectory(prefix="pull-speed-") as folder:
        url, server = _serve(Path(folder), options.hours)
        try:
            _compare(url, folder, options.hours)
        finally:
            server.kill()
            server.wait()


def _serve(folder: Path, hours: float) -> tuple[str, subprocess.Popen[bytes]]:
    print("filling a Prometheus", flush=True)
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
    time.sleep(5)
    return f"http://127.0.0.1:{port}", server


def _exposition(hours: float) -> Iterator[str]:
    yield "# TYPE istio_requests counter\n"
    samples = int(hours * 3600 / _STEP_S)
    for pod in range(_PODS):
        for index, code in enumerate(_CODES):
            labels = f'pod="p{pod}",instance="10.0.0.{pod}:15020",job="mesh",response_code="{code}"'
            series = f"istio_requests_total{{{labels},{_PADDING}}}"
            for i in range(samples):
                ts = _END - (samples - i) * _STEP_S
                yield f"{series} {i * (7 + index) + (i * i) % 11} {ts}\n"
    yield "# EOF\n"


WAYS = ("json floor", "json", "chunks floor", "chunks", "api-client")


def _compare(url: str, folder: str, hours: float) -> None:
    found = {}
    for way in WAYS:
        command = [sys.executable, "-m", "benchmarks.pull_speed", "--hours", str(hours)]
        runs = 1 if way == "api-client" else 3
        results = [
            json.loads(
                subprocess.run(
                    [*command, "--way", way, url, folder], check=True, capture_output=True
                ).stdout
            )
            for _ in range(runs)
        ]
        found[way] = sorted(results, key=lambda one: float(one["seconds"]))[runs // 2]
        print(
            f"{way:13} {found[way]['seconds']:8.2f} s {found[way]['peak_mb']:8.0f} MB peak "
            f"{found[way]['rows']:>10,} rows",
            flush=True,
        )
    client = found["api-client"]["seconds"]
    for way, target in (("json", 25), ("chunks", 60)):
        ours = found[way]["seconds"]
        floor = found[f"{way} floor"]["seconds"]
        print(
            f"{way}: {client / ours:.1f} times the api-client's speed (wanted {target}), "
            f"{floor / ours:.2f} of the speed of receiving the bytes (wanted 0.5), "
            f"peak {found[way]['peak_mb']:.0f} MB (wanted below 600)"
        )


def _measure(way: str, url: str, folder: str, hours: float) -> None:
    """Runs one way and prints its seconds, rows and peak memory as JSON."""
    start_ms, end_ms = round((_END - hours * 3600) * 1000) - 1, _END * 1000
    run: Callable[[], int] = {
        "json": lambda: _ours(url, folder, start_ms, end_ms, is_json=True),
        "chunks": lambda: _ours(url, folder, start_ms, end_ms, is_json=False),
        "json floor": lambda: _floor(url, start_ms, end_ms, is_json=True),
        "chunks floor": lambda: _floor(url, start_ms, end_ms, is_json=False),
        "api-client": lambda: _api_client(url, folder, start_ms, end_ms),
    }[way]
    _import_all()
    began = time.perf_counter()
    rows = run()
    seconds = time.perf_counter() - began
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "rows": rows, "peak_mb": peak_mb}))


def _import_all() -> None:
    """Imports are no part of a pull."""
    import duckdb  # noqa: F401, PLC0415
    import pyarrow  # noqa: F401, PLC0415

    import flows.sources.prometheus  # noqa: F401, PLC0415


def _ours(url: str, folder: str, start_ms: int, end_ms: int, *, is_json: bool) -> int:
    import pyarrow as pa  # noqa: PLC0415

    from flows.sources.prometheus import PrometheusSamples  # noqa: PLC0415
    from flows.sources.samples import Selector  # noqa: PLC0415
    from flows.spec import PrometheusSource  # noqa: PLC0415

    source = PrometheusSamples(PrometheusSource(url=url))
    source.remote_read = not is_json
    samples = source.read([Selector("istio_requests_total")], start_ms, end_ms)
    table = pa.table(
        {
            "series_id": samples.series_of_sample,
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


def _floor(url: str, start_ms: int, end_ms: int, *, is_json: bool) -> int:
    """Receives what our way receives, in the same windows, and parses nothing."""
    import requests  # noqa: PLC0415

    from flows.sources.remote_read import HEADERS, encode_request  # noqa: PLC0415
    from flows.sources.samples import Selector  # noqa: PLC0415

    session = requests.Session()
    session.headers["Accept-Encoding"] = "identity"
    received, step = 0, (2 if is_json else 12) * 3_600_000
    for begin in range(start_ms, end_ms, step):
        end = min(begin + step, end_ms)
        if is_json:
            query = f"istio_requests_total[{end - begin}ms]"
            form = {"query": query, "time": f"{end / 1000:.3f}"}
            answer = session.post(f"{url}/api/v1/query", data=form, timeout=60)
        else:
            body = encode_request(Selector("istio_requests_total"), begin, end)
            answer = session.post(f"{url}/api/v1/read", data=body, headers=HEADERS, timeout=60)
        received += len(answer.content)
    return received


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
