"""Two Prefect servers on one database, each with its scheduler and its runner of the same job."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb

from tests.chaos.tally import Tally
from tests.places import PATIENCE_S, REPOSITORY, at_load
from tests.servers.own_process import verdict
from tests.servers.postgres_server import running
from tests.servers.prefect_server import PrefectServer, serve_on

_EXPERIMENT = "exam-service-canary"
_SERVE = """\
import sys
from prefect import serve
from flows.prefect_flows import run_experiments
serve(run_experiments.to_deployment("chaos", interval=5, parameters={"root": sys.argv[1]}), limit=2)
"""
_RUNS = 4
_LEAVE_S = 20.0
_COUNTED = "select sum(requests), count(*) from request_buckets"


def two_schedulers(folder: Path) -> Tally:
    """Each run pulls the same window and looks: nothing is counted twice, no run stays behind."""
    tally = Tally("two Prefect schedulers")
    alone, both = _workspace(folder / "alone"), _workspace(folder / "both")
    if verdict("--root", alone, "run").returncode:
        tally.fail("other", "the job fails by itself")
    (folder / "one").mkdir()
    (folder / "other").mkdir()
    with running() as database:
        dsn = database.dsn.replace("postgresql:", "postgresql+asyncpg:")
        with serve_on(folder / "one", dsn) as one, serve_on(folder / "other", dsn) as other:
            logs = [folder / "one" / "runner.log", folder / "other" / "runner.log"]
            serving = [
                _serving(server, both, log) for server, log in zip((one, other), logs, strict=True)
            ]
            try:
                runs = _ended(one, tally)
            finally:
                _end(serving)
    tally.tried += len(runs)
    for run in runs:
        if run["state_type"] != "COMPLETED":
            tally.fail("other", f"a run ended as {run['state_type']}: {run['state']['message']}")
    starts = [run["expected_start_time"] for run in runs]
    if len(set(starts)) < len(starts):
        tally.fail("doubled", f"a time was run twice: {sorted(starts)}")
    wanted, found = _counted(alone), _counted(both)
    for counter, by in (("lost", wanted[1] - found[1]), ("doubled", found[1] - wanted[1])):
        if by > 0:
            tally.fail(counter, f"{found} instead of {wanted}", by)
    if found != wanted:
        tally.fail("other", f"{found} instead of {wanted}")
    return tally


def _workspace(root: Path) -> Path:
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    shutil.copy(REPOSITORY / "experiments" / f"{_EXPERIMENT}.yaml", root / "experiments")
    return root


def _serving(server: PrefectServer, root: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(root)],
            env=dict(server.environment),
            cwd=REPOSITORY,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _end(serving: Sequence[subprocess.Popen[bytes]]) -> None:
    """Prefect's runners wait for runs that wait for each other's slots: so long, and no longer."""
    for process in serving:
        process.terminate()
    for process in serving:
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_LEAVE_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _ended(server: PrefectServer, tally: Tally) -> list[dict[str, Any]]:
    """The first runs that came to an end."""
    ended = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}}
    began = time.monotonic()
    # Two servers and four runs are ten processes: of a busy machine each gets little.
    while time.monotonic() - began < at_load(PATIENCE_S):
        found = server.post(
            "/flow_runs/filter", flow_runs=ended, flows={"name": {"any_": ["run-experiments"]}}
        )
        if len(found) >= _RUNS:
            return list(found)
        time.sleep(0.5)
    tally.fail("hangs", f"fewer than {_RUNS} runs ended: {json.dumps(found)[:500]}")
    return list(found)


def _counted(root: Path) -> tuple[float, int]:
    with duckdb.connect(root / "var" / "warehouse.duckdb", read_only=True) as con:
        requests, rows = con.execute(_COUNTED).fetchall()[0]
    return float(requests), int(rows)
