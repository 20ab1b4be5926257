"""The Prefect flows on a real Prefect server: a schedule fires, and failures stay apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.look import look_at_experiment
from flows.workspace import Workspace
from tests.flows.prefect_server import PrefectServer, prefect_server

REPOSITORY = Path(__file__).parents[2]
GOOD, BAD = "exam-service-canary", "progress-service-canary"

_SERVE = """\
import sys
from flows.prefect_flows import run_experiments
run_experiments.serve(name="test", interval=5, parameters={"root": sys.argv[1]})
"""
_SCORE = """\
import json, sys
from flows.prefect_flows import score
print("ANSWER" + json.dumps(score(sys.argv[2], root=sys.argv[1])))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One server for all tests."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a good experiment, and one whose recording is missing."""
    root = tmp_path_factory.mktemp("workspace")
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    for name in (GOOD, BAD):
        text = (REPOSITORY / "experiments" / f"{name}.yaml").read_text()
        if name == BAD:
            text = text.replace("requests.parquet", "missing.parquet")
        (root / "experiments" / f"{name}.yaml").write_text(text)
    return root


def _finished_run(server: PrefectServer) -> dict[str, Any]:
    """The first scheduled run that came to an end."""
    for _ in range(180):
        runs = server.post(
            "/flow_runs/filter",
            flows={"name": {"any_": ["run-experiments"]}},
            flow_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
        )
        if runs:
            return dict(runs[0])
        time.sleep(0.5)
    raise AssertionError("no scheduled run came to an end within 90 s")


def test_schedule_fires_and_one_failing_experiment_does_not_stop_the_other(
    server: PrefectServer, root: Path
) -> None:
    serving = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(root)],
        env=dict(server.environment),
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        run = _finished_run(server)
    finally:
        serving.terminate()
        serving.wait(timeout=30)
    assert run["auto_scheduled"]
    assert run["state_type"] == "FAILED"
    assert BAD in run["state"]["message"]
    assert "missing.parquet: no such recording" in run["state"]["message"]
    (verdict,) = (root / "verdicts" / GOOD).glob("*.json")
    assert json.loads(verdict.read_text())["decision"] == "promote"
    tables = server.post("/artifacts/filter", artifacts={"key": {"any_": ["verdicts"]}})
    rows = {row["experiment"]: row["verdict"] for row in json.loads(tables[0]["data"])}
    assert rows == {GOOD: "promote", BAD: "failed"}
    names = {task["name"] for task in server.post("/task_runs/filter")}
    assert {f"score-{GOOD}", f"score-{BAD}"} <= names
    (limit,) = server.post("/v2/concurrency_limits/filter")
    assert (limit["name"], limit["limit"]) == ("warehouse-writer", 1)


def test_flow_and_gate_give_the_same_verdict(server: PrefectServer, root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCORE, str(root), GOOD],
        env=dict(server.environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    answer = done.stdout.partition("ANSWER")[2]
    expected = look_at_experiment(Workspace(root), GOOD)
    assert json.loads(answer) == json.loads(expected.to_json())


def test_deployments_register_with_their_schedules(server: PrefectServer) -> None:
    for arguments in (
        ("work-pool", "create", "verdict", "--type", "process"),
        ("--no-prompt", "deploy", "--all"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *arguments],
            env={**server.environment, "VERDICT_ROOT": "."},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    found = {
        one["entrypoint"].partition(":")[2]: [s["schedule"].get("cron") for s in one["schedules"]]
        for one in server.post("/deployments/filter")
        if one["name"] != "test"
    }
    assert found == {
        "run_experiments": ["* * * * *"],
        "score": [],
        "pull": [],
        "publish": ["7 * * * *"],
    }
