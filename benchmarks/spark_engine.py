"""The users' pass on a real Spark standalone cluster, beside the same pull on DuckDB.

`python -m benchmarks.spark_engine [--spark-home DIR] [--users 1e6] [--quick]`. DIR: a Spark 4
distribution (also the folder `pyspark` of the package pyspark); by default the one that
`make spark` puts into build/spark. It needs a Java runtime; where something is missing, it says so
and measures nothing. A master, two workers and a Connect server are started as processes;
`verdict pull` and `verdict gate` run with and without `engine`. Counts must be equal, sums and all
numbers of the verdict to 1e-12. The first pull meets a cluster that has compiled nothing yet; the
second, of another project, one that has. --quick takes 20,000 users, and only the first of Java's
compilers: the second one pays for itself on a cluster that lives longer. Writes
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.results import Figure, write_results

_SPEC = """experiment: shop
service: shop
variants: {{control: {{}}, treatment: {{}}}}
split: {{control: 50, treatment: 50}}
metrics:
  conversion: {{kind: proportion, role: goal, outcome: bought, window: 1d}}
  revenue: {{kind: mean, role: guardrail, outcome: bought, window: 3d, margin: 5%, cap: 99%,
    adjust: [{{before: 7d}}], stratify: true}}
  basket: {{kind: ratio, role: guardrail, outcome: bought, per: visited, margin: 10%}}
sources:
  exposures: {{files: {data}/exposures*.parquet, segments: [country]}}
  outcomes: {{files: {data}/outcomes*.parquet}}
plan: {{start: 2026-10-01T00:00:00Z, duration: 14d}}
{engine}
"""
_AT = "2026-10-20T00:00:00Z"
_READY_S = 300.0
_HOME = Path(__file__).parents[1] / "build" / "spark" / "pyspark"
# Six of these processes share the machine.
_JAVA = "-XX:+UseSerialGC"


def main() -> None:
    """Measures, compares, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spark-home", type=Path, default=_HOME)
    parser.add_argument("--users", type=float, default=1e6)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    home: Path = options.spark_home.resolve()
    if not (home / "bin" / "spark-submit").exists() or shutil.which("java") is None:
        print(f"spark_engine: skipped, there is no Spark in {home}, or no Java runtime")
        return
    users = 20_000 if options.quick else int(options.users)
    java = f"{_JAVA} -XX:TieredStopAtLevel=1" if options.quick else _JAVA
    with tempfile.TemporaryDirectory(prefix="spark-engine-") as name:
        root = Path(name)
        _write_files(root / "data", users)
        own = _project(root / "own", root / "data", "")
        with _spark(home, root, java) as address:
            engine = f'engine: {{spark: "{address}"}}'
            far, again = (_project(root / each, root / "data", engine) for each in ("far", "again"))
            time.sleep(3)  # files that changed just now are never trusted
            own_s, far_s, again_s = _pull(own), _pull(far), _pull(again)
            same = _compared(_verdict(own), _verdict(far))
        counts, sums = _kept(own), _kept(far)
        _alike(counts, sums, "user_sums")
    n = f"{users:,} users"
    print(f"{n}: {len(counts)} rows of sums and the verdict agree to 1e-12; the document is {same}")
    here = "pull on DuckDB"
    pull = f"{n}: pull on Spark, 2 workers"
    write_results(
        [
            Figure(f"{pull} just started", far_s, "s wall", "", own_s, here),
            Figure(pull, again_s, "s wall", "", own_s, here),
        ]
    )


def _compared(own: str, far: str) -> str:
    _alike(json.loads(own), json.loads(far), "verdict")
    return "the same to the byte" if own == far else "the same but for last digits"


def _alike(mine: Any, other: Any, where: str) -> None:
    """Raises AssertionError where they differ by more than the order of a sum."""
    if isinstance(mine, dict | list | tuple):
        if len(mine) != len(other):
            raise AssertionError(f"{where}: {len(mine)} and {len(other)} values")
        for key, value in mine.items() if isinstance(mine, dict) else enumerate(mine):
            _alike(value, other[key], f"{where}.{key}")
    elif isinstance(mine, float):
        if not math.isclose(mine, other, rel_tol=1e-12, abs_tol=1e-12):
            raise AssertionError(f"{where}: {mine!r} and {other!r}")
    elif mine != other:
        raise AssertionError(f"{where}: {mine!r} and {other!r}")


def _kept(root: Path) -> list[Any]:
    with duckdb.connect(str(root / "var" / "warehouse.duckdb"), read_only=True) as con:
        return con.execute(
            "select exposed_on, split, variant, dimension, segment, users, converted, totals, "
            "products, maxima, amounts, len(totals) as columns from user_sums "
            "order by columns, exposed_on, split, variant, dimension, segment"
        ).fetchall()


def _pull(root: Path) -> float:
    begin = time.perf_counter()
    _run(root, "pull", "--at", _AT)
    return time.perf_counter() - begin


def _verdict(root: Path) -> str:
    _run(root, "gate", "shop", "--at", _AT)
    (file,) = (root / "verdicts" / "shop").glob("*.json")
    return file.read_text()


def _run(root: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "flows.cli", "--root", str(root), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")


def _project(root: Path, data: Path, engine: str) -> Path:
    (root / "experiments").mkdir(parents=True)
    text = _SPEC.format(data=data, engine=engine)
    (root / "experiments" / "shop.yaml").write_text(text)
    return root


def _write_files(folder: Path, users: int) -> None:
    folder.mkdir()
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        con.execute(
            "create table e as select 'u' || i as user_id, "
            "['control', 'treatment'][1 + (hash(i) % 2)::int] as variant, "
            "timestamptz '2026-10-01 00:00:00+00' + to_seconds(i * 864000.0 / ?) as exposed_at, "
            "['DE', 'PH', null][1 + (hash(i, 3) % 3)::int] as country from range(?) as r(i)",
            [users, users],
        )
        con.execute(
            "create table o as select user_id, 'bought' as outcome, exposed_at + to_seconds("
            "(hash(user_id, 9, k) % 400000)::bigint - 150000) as occurred_at, "
            "(hash(user_id, 2, k) % 10000) / 100 as value from e, range(3) as r(k) "
            "where hash(user_id, k, 1) % 10 < 3 union all select user_id, 'visited', exposed_at + "
            "to_seconds((hash(user_id, 19, k) % 80000)::bigint), 1 from e, range(4) as r(k) "
            "where hash(user_id, k, 11) % 10 < 5"
        )
        for table, kind in (("e", "exposures"), ("o", "outcomes")):
            for part in range(2):
                file = folder / f"{kind}{part}.parquet"
                con.execute(f"copy (from {table} where hash(user_id) % 2 = {part}) to '{file}'")


@contextmanager
def _spark(home: Path, root: Path, java: str) -> Iterator[str]:
    """The address of a Connect server on a master with two workers, for the with block."""
    environment = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    start = partial(_start, environment={**environment, "SPARK_DAEMON_JAVA_OPTS": java})
    with ExitStack() as stack:
        master, connect = _free_port(), _free_port()
        at = f"spark://127.0.0.1:{master}"
        deploy = "org.apache.spark.deploy"
        one = ["--host", "127.0.0.1", "--port"]
        start(stack, home, root, "spark-class", f"{deploy}.master.Master", *one, str(master))
        _wait_for(master)
        for number in range(2):
            size = ["--cores", "1", "--memory", "2g", "--work-dir", str(root / f"work{number}")]
            named = [f"{deploy}.worker.Worker", "--host", "127.0.0.1", *size, at]
            start(stack, home, root, "spark-class", *named)
        settings = {
            "spark.connect.grpc.binding.port": connect,
            "spark.driver.host": "127.0.0.1",
            "spark.driver.extraJavaOptions": java,
            "spark.executor.extraJavaOptions": java,
            "spark.executor.memory": "1500m",
            "spark.sql.shuffle.partitions": 4,
        }
        given = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        server = "org.apache.spark.sql.connect.service.SparkConnectServer"
        submitted = ["--master", at, "--class", server, *given, "spark-internal"]
        start(stack, home, root, "spark-submit", *submitted)
        _wait_for(connect)
        yield f"sc://127.0.0.1:{connect}"


def _start(
    stack: ExitStack,
    home: Path,
    root: Path,
    program: str,
    *arguments: str,
    environment: Mapping[str, str],
) -> None:
    log = stack.enter_context((root / "spark.log").open("ab"))
    command = [str(home / "bin" / program), *arguments]
    process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **environment})

    def stop() -> None:
        process.terminate()
        process.wait(timeout=60)

    stack.callback(stop)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.5)
        else:
            return
    raise SystemExit(f"nothing listens on port {port}")


if __name__ == "__main__":
    main()
