"""How many looks a second a machine takes, by the number of worker processes.

`python -m benchmarks.side_by_side [--experiments 40] [--flow-runs 8] [--workers 1 2 4]`. Each
number has a project of its own, in which everything is new. First the processes of one run
(`run_experiments`), which are warm: each has looked once. Then the workers of a Prefect work pool,
on a real server: each takes one run of the deployment `score/on-demand` at a time, which is a
process of its own that loads Prefect first. Wall time, so that only an idle machine shows the
limit, which is its number of cores: what more workers cost shows on any. Writes
benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benchmarks.news import make_project
from benchmarks.results import Figure, write_results
from flows.formats.text import counted
from flows.look.side_by_side import look_apart
from tests.lab.processes import wait_until
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers.prefect_server import PrefectServer, prefect_server

_AT = datetime(2026, 11, 1, tzinfo=UTC)
_POOL = "verdict"
_ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=40)
    parser.add_argument("--flow-runs", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    figures = _figures(
        "looks side by side", {n: _rate(n, options.experiments) for n in options.workers}
    )
    with tempfile.TemporaryDirectory() as folder, prefect_server(Path(folder)) as server:
        deployment = _deployed(server)
        rates = {
            n: _rate_of_pool(server, deployment, n, options.flow_runs) for n in options.workers
        }
    write_results([*figures, *_figures("looks over a Prefect work pool", rates)])


def _figures(work: str, rates: dict[int, float]) -> list[Figure]:
    first, *_ = rates.values()
    return [
        Figure(f"{work}, {counted(n, 'worker')}", rate, " a second", "", first, "the first row")
        for n, rate in rates.items()
    ]


def _rate(workers: int, experiments: int) -> float:
    """Looks a second."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2 * workers) as threads:
        root = Path(folder)
        make_project(root, experiments + workers, 100, is_shared=False)
        time.sleep(3)  # files that changed just now are never trusted
        look = partial(look_apart, root, at=_AT, workers=workers)
        names = [f"exp-{k:04}" for k in range(experiments + workers)]
        list(threads.map(look, names[:workers]))
        began = time.monotonic()
        list(threads.map(look, names[workers:]))
        return experiments / (time.monotonic() - began)


def _deployed(server: PrefectServer) -> str:
    """The id of prefect.yaml's deployment of a score, in a work pool."""
    server.post("/work_pools/", name=_POOL, type="process")
    deploy = ["--no-prompt", "deploy", "--name", "score/on-demand"]
    _prefect(server, Path(server.environment["PREFECT_HOME"]), *deploy).wait(PATIENCE_S)
    (deployment,) = server.post("/deployments/filter")
    return str(deployment["id"])


def _rate_of_pool(server: PrefectServer, deployment: str, workers: int, runs: int) -> float:
    """Looks a second, from when the workers are there and the first run is asked for."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        make_project(root, runs, 100, is_shared=False)
        names = {f"{workers} of {k}" for k in range(workers)}
        for name in names:
            stack.enter_context(_worker(server, root, name))
        wait_until(lambda: names <= _online(server), what="the workers", timeout_s=PATIENCE_S)
        began = time.monotonic()
        asked = [_asked(server, deployment, root, k) for k in range(runs)]
        wanted = {"id": {"any_": asked}, "state": {"type": {"any_": _ENDED}}}
        ended: list[str] = []
        while len(ended) < runs:
            time.sleep(0.5)
            found = server.post("/flow_runs/filter", flow_runs=wanted)
            ended = [run["state_type"] for run in found]
        rate = runs / (time.monotonic() - began)
        if set(ended) != {"COMPLETED"}:
            raise SystemExit(f"runs ended as {ended}: {(root / 'prefect.log').read_text()}")
        return rate


def _asked(server: PrefectServer, deployment: str, root: Path, number: int) -> str:
    """The id of a run that the pool is to take."""
    looked = {"experiment": f"exp-{number:04}", "root": str(root), "at": _AT.isoformat()}
    made = server.post(
        f"/deployments/{deployment}/create_flow_run",
        parameters=looked,
        state={"type": "SCHEDULED"},
    )
    return str(made["id"])


def _online(server: PrefectServer) -> set[str]:
    found = server.post(f"/work_pools/{_POOL}/workers/filter")
    return {each["name"] for each in found if each["status"] == "ONLINE"}


@contextmanager
def _worker(server: PrefectServer, root: Path, name: str) -> Iterator[None]:
    """A worker that takes one run at a time, for the with block."""
    start = ["worker", "start", "--pool", _POOL, "--type", "process", "--limit", "1"]
    process = _prefect(server, root, *start, "--name", name)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


def _prefect(server: PrefectServer, folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    settings = {"VERDICT_ROOT": str(REPOSITORY), "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with (folder / "prefect.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            env={**server.environment, **settings},
            cwd=REPOSITORY,
            stdout=log,
            stderr=subprocess.STDOUT,
        )


if __name__ == "__main__":
    main()
