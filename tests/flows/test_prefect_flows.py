"""The Prefect flows on a real Prefect server: a schedule fires, and failures stay apart."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from flows.look.look import look_at_experiment
from flows.prefect_artifacts import dashboard_link
from flows.publish.marts import latest_marts
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import canary_share, delivery_workspace
from tests.lab.processes import Child
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers.prefect_server import PrefectServer, prefect_server

GOOD, BAD = "exam-service-canary", "progress-service-canary"

_SERVE = """\
import sys
from prefect import serve
from flows.prefect_flows import run_experiments
served = [
    run_experiments.to_deployment(name, interval=5, parameters={"root": root})
    for name, root in zip(("test-whole", "test-broken"), sys.argv[1:], strict=True)
]
serve(*served, limit=2)
"""
_CALL = """\
import json, sys
from flows.prefect_flows import decide, deliver_traffic, score
name, root, delivered = sys.argv[1:]
print("ANSWER" + json.dumps(score(name, root=root)))
print("ANSWER" + deliver_traffic("exam", root=delivered, once=True))
decide("exam", "abort", "seen enough", root=delivered)
print("ANSWER" + deliver_traffic("exam", root=delivered, once=True))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One server for all tests."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


def _workspace(root: Path, *, broken: bool) -> Path:
    """A workspace with a good experiment; if broken, one without its recording, one no spec."""
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    for name in (GOOD, BAD) if broken else (GOOD,):
        text = (REPOSITORY / "experiments" / f"{name}.yaml").read_text()
        if name == BAD:
            text = text.replace("requests.parquet", "missing.parquet")
        (root / "experiments" / f"{name}.yaml").write_text(text)
    if broken:
        (root / "experiments" / "unreadable.yaml").write_text("experiment: unreadable\n")
    return root


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which every experiment can be judged."""
    return _workspace(tmp_path_factory.mktemp("whole"), broken=False)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which one of two experiments can't be judged."""
    return _workspace(tmp_path_factory.mktemp("broken"), broken=True)


@pytest.fixture(scope="module")
def runs(
    server: PrefectServer, whole: Path, broken: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The first run that each schedule made and that came to an end, by deployment."""
    # A Child, as Prefect's `serve` at times goes on after SIGTERM: then it is killed.
    serving = Child(
        [sys.executable, "-c", _SERVE, str(whole), str(broken)],
        log=tmp_path_factory.mktemp("serve") / "serve.log",
        env=server.environment,
        cwd=REPOSITORY,
    )
    try:
        return {name: _finished_run(server, name) for name in ("test-whole", "test-broken")}
    finally:
        serving.stop()


def _finished_run(server: PrefectServer, deployment: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = server.post(
            "/flow_runs/filter",
            deployments={"name": {"any_": [deployment]}},
            flow_runs={"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED"]}}},
        )
        if found:
            return dict(found[0])
        time.sleep(0.5)
    raise AssertionError(f"no scheduled run of {deployment} came to an end within {PATIENCE_S:g} s")


def _task_names(server: PrefectServer, run: dict[str, Any]) -> set[str]:
    found = server.post("/task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    return {task["name"] for task in found}


def _verdict_rows(server: PrefectServer, run: dict[str, Any]) -> dict[str, str]:
    """The run's table of verdicts, by experiment."""
    of_run = {"key": {"any_": ["verdicts"]}, "flow_run_id": {"any_": [run["id"]]}}
    (table,) = server.post("/artifacts/filter", artifacts=of_run)
    return {row["experiment"]: row["verdict"] for row in json.loads(table["data"])}


def _assert_promoted(root: Path) -> None:
    paths = list((root / "verdicts" / GOOD).glob("*.json"))
    assert paths
    assert {json.loads(path.read_text())["decision"] for path in paths} == {"promote"}
    assert latest_marts(root / "var" / "marts") is not None


def test_schedule_fires_and_leaves_verdicts_and_marts(
    server: PrefectServer, runs: dict[str, dict[str, Any]], whole: Path
) -> None:
    run = runs["test-whole"]
    assert run["auto_scheduled"]
    assert run["state_type"] == "COMPLETED", run["state"]["message"]
    assert run["state"]["message"] == f"{GOOD}: promote"
    _assert_promoted(whole)
    assert _verdict_rows(server, run) == {GOOD: "promote"}
    assert f"score-{GOOD}" in _task_names(server, run)


def test_no_run_warns_of_a_time_out_that_cannot_be_kept(
    server: PrefectServer, runs: dict[str, dict[str, Any]]
) -> None:
    """Prefect warns where a task with a time-out runs in a thread; logs are sent within seconds."""
    of_run = {"flow_run_id": {"any_": [runs["test-broken"]["id"]]}}
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        logs = server.post("/logs/filter", logs=of_run)
        if any("Finished in state" in log["message"] for log in logs):
            break
        time.sleep(0.5)
    else:
        raise AssertionError(f"the run's last log is missing among {len(logs)}")
    assert [log["message"] for log in logs if "Timeout of" in log["message"]] == []


@pytest.mark.usefixtures("runs")
def test_artifacts_link_to_the_verdict_and_the_dashboard(
    server: PrefectServer, whole: Path
) -> None:
    def link(key: str) -> Path:
        """The file that the latest link of the whole workspace leads to."""
        found = server.post("/artifacts/filter", artifacts={"key": {"any_": [key]}})
        (address, *_) = re.findall(r"\((file://[^)]*)\)", " ".join(each["data"] for each in found
            if str(whole) in each["data"]))  # fmt: skip
        return Path(unquote(urlsplit(address).path))

    document = json.loads(link(f"verdict-json-{GOOD}").read_text())
    assert (document["experiment"], document["decision"]) == (GOOD, "promote")
    assert json.loads(link(f"dashboard-{GOOD}").read_text())["uid"] == f"sv-{GOOD}"


def test_dashboard_is_linked_in_grafana_where_one_is_named(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, spec = find_spec(whole / "experiments", GOOD)
    monkeypatch.setenv("VERDICT_GRAFANA_URL", "https://grafana.example/base/")
    link = dashboard_link(Workspace(whole), spec)
    assert link == f"https://grafana.example/base/d/sv-{GOOD}"
    monkeypatch.delenv("VERDICT_GRAFANA_URL")
    assert dashboard_link(Workspace(whole / "elsewhere"), spec) is None


def test_one_failing_experiment_does_not_stop_the_other(
    server: PrefectServer, runs: dict[str, dict[str, Any]], broken: Path
) -> None:
    run = runs["test-broken"]
    assert run["state_type"] == "FAILED"
    assert BAD in run["state"]["message"]
    assert "missing.parquet: no such recording" in run["state"]["message"]
    _assert_promoted(broken)
    assert "unreadable.yaml:1: variants: is missing" in run["state"]["message"]
    assert _verdict_rows(server, run) == {GOOD: "promote", BAD: "failed", "unreadable": "failed"}
    assert {f"score-{GOOD}", f"score-{BAD}"} <= _task_names(server, run)


@pytest.mark.usefixtures("runs")
def test_flow_runs_write_one_at_a_time(server: PrefectServer) -> None:
    (limit,) = server.post("/v2/concurrency_limits/filter")
    assert (limit["name"], limit["limit"], limit["active"]) == ("warehouse-writer", 1, True)


@pytest.fixture(scope="module")
def called(
    server: PrefectServer, whole: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[str], Workspace]:
    """What the flows answered that another process called, and where it delivered."""
    workspace = delivery_workspace(tmp_path_factory.mktemp("delivered"))
    shown = subprocess.run(
        [sys.executable, "-c", _CALL, GOOD, str(whole), str(workspace.root)],
        env=dict(server.environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = shown.splitlines()
    return [line[6:] for line in lines if line.startswith("ANSWER")], workspace


def test_flow_and_gate_give_the_same_verdict(
    server: PrefectServer, whole: Path, called: tuple[list[str], Workspace]
) -> None:
    expected = look_at_experiment(Workspace(whole), GOOD)
    assert json.loads(called[0][0]) == json.loads(expected.to_json())
    flow_runs = server.post("/flow_runs/filter", flows={"name": {"any_": ["score"]}})
    assert [run["name"] for run in flow_runs] == [f"score-{GOOD}"]


def test_a_delivery_goes_step_by_step_and_a_person_ends_it(
    called: tuple[list[str], Workspace],
) -> None:
    answers, workspace = called
    assert answers[1:] == ["stage 1 of 2", "aborted"]
    assert canary_share(workspace) == 0


def test_deployments_register_with_their_schedules(server: PrefectServer) -> None:
    server.post("/work_pools/", name="verdict", type="process")
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"],
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
        if not one["name"].startswith("test-")
    }
    assert found == {
        "run_experiments": ["* * * * *"],
        "score": [],
        "pull": [],
        "publish": ["7 * * * *"],
        "deliver_traffic": [],
        "decide": [],
    }
