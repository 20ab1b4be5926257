"""The Prefect flows under trouble, on a real server: retries, time-outs, a worker, two writers."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from flows.project.new_project import write_project
from flows.publish.marts import publish
from tests.builders.planted_series import Planted, planted_series
from tests.lab.processes import Child, PortPool, wait_until
from tests.lab.prometheus_server import PrometheusServer
from tests.places import PATIENCE_S, REPOSITORY, at_load
from tests.servers.other_process import HOLD, process
from tests.servers.prefect_server import PrefectServer, prefect_server
from tests.servers.real_servers import program

EXAM, PROGRESS = "exam-service-canary", "progress-service-canary"
PAST_S, STEP_S = 1200, 15
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]

# One pull, with the task's own options but for one: nobody waits for minutes here.
_PULL = """\
import json, sys
from flows import prefect_flows
prefect_flows.pull_one = prefect_flows.pull_one.with_options(**json.loads(sys.argv[2]))
state = prefect_flows.pull("late", root=sys.argv[1], return_state=True)
print("STATE", state.name, state.message)
"""
# What a pipeline does that called `score/on-demand` and waited for its end.
_CLIENT = """\
import json, sys
from prefect.client.orchestration import get_client
with get_client(sync_client=True) as client:
    for run_id in sys.argv[1:]:
        run = client.read_flow_run(run_id)
        said = {"run": run.name, "state": run.state.name, "message": run.state.message}
        print(json.dumps({**said, "result": run.state.result()}))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    """One server for all tests."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as server:
        yield server


def prefect(server: PrefectServer, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments],
        env=dict(server.environment),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def live_workspace(root: Path, url: str) -> Path:
    """One experiment whose requests come from the server at the URL."""
    (root / "experiments").mkdir(parents=True)
    (root / "experiments" / "late.yaml").write_text(
        "experiment: late\nservice: exam-service\nnamespace: edtech-production\nmesh: istio\n"
        "variants: {stable: {version: v1}, canary: {version: v2}}\n"
        "plan: {duration: 1h}\n"
        f'sources:\n  requests: {{prometheus: "{url}"}}\n'
    )
    return root


@contextmanager
def pulling(server: PrefectServer, root: Path, **options: float) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the pull flow once, its task with the options."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PULL, str(root), json.dumps(options)],
        env={**server.environment, "PREFECT_LOGGING_LEVEL": "ERROR"},
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def state_of(process: subprocess.Popen[str]) -> str:
    """Name and message of the state in which the flow ended."""
    printed, _ = process.communicate(timeout=PATIENCE_S)
    return printed.partition("STATE ")[2].strip()


def latest_run(server: PrefectServer, flow: str) -> dict[str, Any]:
    found = server.post(
        "/flow_runs/filter", flows={"name": {"any_": [flow]}}, sort="EXPECTED_START_TIME_DESC"
    )
    return dict(found[0])


def prometheus_with_a_past(folder: Path, port: int) -> PrometheusServer:
    """Not started yet; its last 20 minutes hold the planted series of Istio."""
    server = PrometheusServer(folder, port=port, scrape_interval_s=15, jobs=[])
    series = [p for p in planted_series() if p.labels.get("reporter") == "destination"]
    history = folder / "history.om"
    history.write_text(open_metrics(series, until_s=int(time.time())))
    promtool = program("promtool", "prometheus")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", "-q", history, folder / "data"],
        check=True,
        capture_output=True,
    )
    return server


def open_metrics(series: list[Planted], *, until_s: int) -> str:
    """Samples every 15 s; every version has a workload, which the planted series don't say."""
    lines = [
        f"{one.name}{{{labels}}} {round(one.slope * age)} {until_s - PAST_S + age}"
        for one in series
        for known in [{**one.labels, "destination_workload": "exams"}]
        for labels in [",".join(f'{name}="{value}"' for name, value in known.items())]
        for age in range(0, PAST_S + 1, STEP_S)
    ]
    return "\n".join([*lines, "# EOF\n"])


def test_server_that_comes_up_late_is_asked_again(server: PrefectServer, tmp_path: Path) -> None:
    """It is down at the first attempt, which fails, and only then started."""
    program("prometheus", "prometheus")
    (tmp_path / "prometheus").mkdir()
    late = prometheus_with_a_past(tmp_path / "prometheus", PortPool().take())
    root = live_workspace(tmp_path / "workspace", late.url)
    retried = {"state": {"name": {"any_": ["AwaitingRetry"]}}}
    with pulling(server, root, retry_delay_seconds=2) as process:
        wait_until(
            lambda: bool(server.post("/task_runs/filter", task_runs=retried)),
            what="the first attempt's failure",
            timeout_s=PATIENCE_S,
        )
        late.start()
        try:
            assert state_of(process).startswith("Completed")
        finally:
            late.stop()
    run = latest_run(server, "pull")
    (task,) = server.post("/task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert (task["name"], task["state_name"]) == ("pull-late", "Completed")
    assert task["run_count"] > 1
    with duckdb.connect(root / "var" / "warehouse.duckdb", read_only=True) as con:
        rows = con.execute(
            "select variant, sum(requests) > 1000 from request_buckets group by variant order by 1"
        ).fetchall()
    assert rows == [("canary", True), ("stable", True)]


@contextmanager
def silent_server() -> Iterator[str]:
    """The URL of a server that takes connections and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_time_out_ends_a_run_in_a_state_that_names_it(
    server: PrefectServer, tmp_path: Path
) -> None:
    with silent_server() as url:
        root = live_workspace(tmp_path, url)
        began = time.monotonic()
        with pulling(server, root, timeout_seconds=3) as process:
            said = state_of(process)
        # The source itself would have waited 60 s.
        assert time.monotonic() - began < at_load(40)
    run = latest_run(server, "pull")
    (task,) = server.post("/task_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    assert (run["state_type"], run["state_name"]) == ("FAILED", "TimedOut")
    assert said == f"TimedOut {run['state']['message']}"
    assert "timed out after 3.0 second(s)" in said
    assert (task["state_name"], task["state"]["message"]) == (
        "TimedOut",
        "Task run exceeded timeout of 3.0 second(s)",
    )
    # What took too long once isn't tried again at once, and the next writer needn't wait.
    assert task["run_count"] == 1
    (limit,) = server.post("/v2/concurrency_limits/filter")
    assert limit["active_slots"] == 0


@pytest.fixture(scope="module")
def worked(
    server: PrefectServer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[dict[str, Any]]]:
    """A workspace on which two workers ran three scores at once, two of the same experiment.

    The deployment is prefect.yaml's; the workers are told the folder by VERDICT_ROOT, as in the
    README.
    """
    root = tmp_path_factory.mktemp("worked")
    shutil.copytree(REPOSITORY / "demo", root / "demo")
    (root / "experiments").mkdir()
    for name in (EXAM, PROGRESS):
        shutil.copy(REPOSITORY / "experiments" / f"{name}.yaml", root / "experiments")
    server.post("/work_pools/", name="verdict", type="process")
    prefect(server, "--no-prompt", "deploy", "--name", "score/on-demand")
    (deployment,) = server.post("/deployments/filter")
    runs = [
        server.post(
            f"/deployments/{deployment['id']}/create_flow_run",
            parameters={"experiment": name, "root": str(root), "at": "2026-11-23T17:32:28Z"},
            state={"type": "SCHEDULED"},
        )["id"]
        for name in (EXAM, EXAM, PROGRESS)
    ]
    # Neither of the two can take all three.
    with worker(server, root, "first", limit=2), worker(server, root, "second", limit=2):
        # None can end before all have begun.
        with process(HOLD, "writer", str(root / "var" / "warehouse.duckdb")):
            runs_in(server, runs, ["RUNNING"])
        return root, runs_in(server, runs, ENDED)


@contextmanager
def worker(server: PrefectServer, root: Path, name: str, *, limit: int) -> Iterator[None]:
    """A worker of the pool, with a log called after it in the root."""
    running = Child(
        [sys.executable, "-m", "prefect", "worker", "start", "--pool", "verdict", "--type",
         "process", "--name", name, "--limit", str(limit)],
        log=root / f"{name}.log",
        env={**server.environment, "VERDICT_ROOT": str(REPOSITORY),
             "PREFECT_WORKER_QUERY_SECONDS": "1"},
        cwd=root,
    )  # fmt: skip
    try:
        yield
    except TimeoutError as error:
        raise AssertionError(running.log.read_text()) from error
    finally:
        running.stop()


def runs_in(server: PrefectServer, runs: list[str], states: list[str]) -> list[dict[str, Any]]:
    """The runs, as soon as each is in one of the states."""
    wanted = {"id": {"any_": runs}, "state": {"type": {"any_": states}}}

    def found() -> list[dict[str, Any]]:
        return list(server.post("/flow_runs/filter", flow_runs=wanted, sort="START_TIME_ASC"))

    wait_until(
        lambda: len(found()) == len(runs), what=f"{states} runs", timeout_s=PATIENCE_S, every_s=0.5
    )
    return found()


def test_worker_runs_the_deployment_to_its_verdicts(
    worked: tuple[Path, list[dict[str, Any]]],
) -> None:
    root, runs = worked
    assert [run["state_type"] for run in runs] == ["COMPLETED"] * 3
    assert sorted(run["name"] for run in runs) == [
        f"score-{name}" for name in (EXAM, EXAM, PROGRESS)
    ]
    assert {run["work_pool_name"] for run in runs} == {"verdict"}
    for name in ("first", "second"):
        assert "All deployment steps completed" in (root / f"{name}.log").read_text(), name
    decisions = {}
    for name in (EXAM, PROGRESS):
        (path,) = (root / "verdicts" / name).glob("*.json")
        decisions[name] = json.loads(path.read_text())["decision"]
    assert decisions == {EXAM: "promote", PROGRESS: "rollback"}


def test_a_gate_gets_its_verdict_over_the_api(
    server: PrefectServer, worked: tuple[Path, list[dict[str, Any]]]
) -> None:
    """By Prefect's own client: the state's name and message, the artifact, and the result."""
    root, runs = worked
    shown = subprocess.run(
        [sys.executable, "-c", _CLIENT, *(run["id"] for run in runs)],
        env=dict(server.environment),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    answers = {one["run"]: one for one in map(json.loads, shown.splitlines())}
    decided = {EXAM: ("Promote", "promote", 0), PROGRESS: ("Rollback", "rollback", 1)}
    for run in runs:
        experiment = run["name"].removeprefix("score-")
        answer = answers[run["name"]]
        (path,) = (root / "verdicts" / experiment).glob("*.json")
        document = json.loads(path.read_text())
        assert answer["result"] == document
        assert answer["message"] == "; ".join(document["reasons"]) != ""
        result = answer["result"]
        assert (answer["state"], result["decision"], result["exit_code"]) == decided[experiment]
        (artifact,) = server.post(
            "/artifacts/filter",
            artifacts={
                "key": {"any_": [f"verdict-{experiment}"]},
                "flow_run_id": {"any_": [run["id"]]},
            },
        )
        assert artifact["data"].startswith(f"**{document['decision']}** at ")
        assert all(reason in artifact["data"] for reason in document["reasons"])


def test_overlapping_runs_lose_and_double_nothing(
    worked: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """Two first pulls of the same window at once would double its rows without a guard."""
    root, runs = worked
    overlaps = [run["start_time"] < other["end_time"] for other, run in pairwise(runs)]
    assert all(overlaps)
    session = json.loads((root / "demo" / "session.json").read_text())["answered_by_pods"]
    marts = publish(root / "var" / "warehouse.duckdb", tmp_path)
    with duckdb.connect(marts, read_only=True) as con:
        rows = con.execute(
            "select experiment, variant, response_code, sum(requests) "
            "from request_counts group by all"
        ).fetchall()
        looks = con.execute("select experiment, count(*) from looks group by 1 order by 1")
        assert looks.fetchall() == [(EXAM, 1), (PROGRESS, 1)]
        verdicts = con.execute("select experiment, count(*) from verdicts group by 1 order by 1")
        assert verdicts.fetchall() == [(EXAM, 1), (PROGRESS, 1)]
    counted = {(e, v, code): int(n) for e, v, code, n in rows}
    for service in ("exam-service", "progress-service"):
        pulled = {
            variant: {code: counted[f"{service}-canary", variant, code] for code in codes}
            for variant, codes in session[service].items()
        }
        assert pulled == session[service]


def test_tutorial_leads_to_a_scheduled_run(server: PrefectServer, tmp_path: Path) -> None:
    """Its own commands, in its own project; only the wait for the next minute is left out."""
    section = (REPOSITORY / "docs" / "tutorial.md").read_text().partition("## 6. ")[2]
    lines = [line for part in section.split("```")[1::2] for line in part.splitlines()[1:]]
    start, export, *once, work = lines
    assert start == "prefect server start"  # that is the fixture's
    assert export.startswith("export PREFECT_API_URL=http://127.0.0.1:4200/api VERDICT_ROOT=$PWD")
    list(write_project(tmp_path))
    requests.delete(f"{server.api}/work_pools/verdict", timeout=PATIENCE_S)  # another test's
    environment = {
        **server.environment,
        "VERDICT_ROOT": str(tmp_path),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    environment["PYTHONPATH"] = str(REPOSITORY)
    now = re.findall(r"`(prefect deployment run [^`]+)`", section)
    for line in [*once, *now]:
        done = prefect_line(line, tmp_path, environment)
        assert done.wait(PATIENCE_S) == 0, (line, (tmp_path / "prefect.log").read_text())
    flow = {"flows": {"name": {"any_": ["run-experiments"]}}}
    scheduled = {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}, **flow}
    ended = {"flow_runs": {"state": {"type": {"any_": ENDED}}}, **flow}
    worker = prefect_line(work, tmp_path, environment)
    try:
        wait_until(
            lambda: bool(server.post("/flow_runs/filter", **ended)),
            what="the run's end",
            timeout_s=PATIENCE_S,
            every_s=0.5,
        )
        assert latest_end(server, ended) == "COMPLETED", (tmp_path / "prefect.log").read_text()
    finally:
        worker.stop()
    assert (tmp_path / "var" / "report" / "index.html").is_file()
    assert any(run["auto_scheduled"] for run in server.post("/flow_runs/filter", **scheduled))


def prefect_line(line: str, folder: Path, environment: dict[str, str]) -> Child:
    """A documented command, as it stands there; what it prints goes to prefect.log."""
    words = shlex.split(line)
    assert words[0] == "prefect"
    command = [sys.executable, "-m", *words]
    return Child(command, log=folder / "prefect.log", env=environment, cwd=folder)


def latest_end(server: PrefectServer, ended: dict[str, Any]) -> str:
    return str(server.post("/flow_runs/filter", **ended, sort="END_TIME_DESC")[0]["state_type"])
