"""The service as its operators see it: start, readiness, metrics, trouble, and its end.

Covers flows.service.application, flows.service.connections, flows.service.health,
flows.service.verdicts.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.places import PATIENCE_S, REPOSITORY, at_load
from tests.servers.service_process import (
    TOKEN,
    Service,
    demo_workspace,
    running,
    started,
    wait_until_ready,
)

# `verdict serve` alone, without the other commands.
_COMMAND = """
import argparse, sys
from pathlib import Path
from flows.cli import serve_command as serve
from flows.cli.arguments import workspace_of
parser = argparse.ArgumentParser()
parser.add_argument("--root", type=Path)
serve.add(parser.add_subparsers())
options = parser.parse_args()
options.workspace = workspace_of(options)
sys.exit(options.run(options))
"""


def _command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-c", _COMMAND, "--root", str(root), "serve", *arguments]


def test_service_becomes_ready_after_its_start(tmp_path: Path) -> None:
    with running(demo_workspace(tmp_path)) as service:
        wait_until_ready(service.url)


def test_command_serves_with_the_token_of_the_environment(tmp_path: Path) -> None:
    command = _command(demo_workspace(tmp_path), "--port", "0", "--token-env", "GATE_TOKEN")
    with started(command, {"GATE_TOKEN": TOKEN}) as (_, url):
        assert requests.get(f"{url}/metrics", timeout=PATIENCE_S).status_code == 401
        bearer = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.get(f"{url}/metrics", headers=bearer, timeout=PATIENCE_S).ok


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--host", "0.0.0.0"), "callers need a token"),
        (("--token-env", "NO_SUCH_VARIABLE"), "NO_SUCH_VARIABLE must hold a token"),
        (("--port", "70000"), "must be a whole number from 0 to 65535"),
        (("--host", "192.0.2.1", "--token-env", "GATE_TOKEN"), "can't listen on 192.0.2.1"),
    ],
)
def test_wrong_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("GATE_TOKEN", TOKEN)
    done = subprocess.run(
        _command(tmp_path, *arguments), cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_taken_port_is_one_sentence(service: Service) -> None:
    done = subprocess.run(
        _command(service.root, "--port", str(service.port)),
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"port {service.port}: the port is in use; choose another --port\n" in done.stderr


def test_metrics_are_those_of_the_experiments_and_the_service(service: Service) -> None:
    service.get("/argo/exam-service-canary")
    service.get("/no/such/path")
    # An answer may be a second old.
    time.sleep(1.1)
    answered = service.get("/metrics")
    assert answered.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(answered.text)}
    scores = {
        sample.labels["deployment_version"]: sample.value
        for sample in families["edtech_canary_health_score"].samples
    }
    assert scores["v2.1.0"] == 100.0
    counted = {
        (sample.labels["path"], sample.labels["status"])
        for sample in families["verdict_requests"].samples
        if sample.name == "verdict_requests_total"
    }
    assert {("/argo", "200"), ("other", "404")} <= counted
    assert families["verdict_warehouse_readable"].samples[0].value == 1


def test_verdict_is_what_the_gate_prints(service: Service) -> None:
    at = "2026-11-23T17:31:00Z"
    got, posted = (
        ask(
            f"{service.url}/verdict/quiz-format?at={at}",
            headers=service.headers,
            timeout=PATIENCE_S,
        )
        for ask in (requests.get, requests.post)
    )
    gate = [sys.executable, "-m", "flows.cli", "--root", str(service.root), "gate", "--json"]
    printed = subprocess.run(
        [*gate, "quiz-format", "--at", at],
        cwd=REPOSITORY, capture_output=True, check=False,
    )  # fmt: skip
    assert got.content == posted.content == printed.stdout


def test_broken_spec_stops_its_own_experiment_only(tmp_path: Path) -> None:
    root = demo_workspace(tmp_path)
    (root / "experiments" / "broken.yaml").write_text("experiment: broken\nvariants: 7\n")
    with running(root) as service:
        ready = service.get("/readyz")
        assert ready.status_code == 200
        assert any("broken.yaml" in problem for problem in ready.json()["problems"])
        refused = service.get("/argo/broken")
        assert refused.status_code == 503
        assert "broken can't be judged" in refused.json()["error"]
        assert service.get("/argo/exam-service-canary").json()["decision"] == "promote"


def test_no_specs_and_no_warehouse_are_not_ready(tmp_path: Path) -> None:
    with running(tmp_path) as service:
        assert service.get("/readyz").status_code == 503
        (tmp_path / "experiments").mkdir()
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "warehouse.duckdb").write_text("this is no database")
        time.sleep(1.1)
        ready = service.get("/readyz")
        assert ready.status_code == 503
        assert ready.json()["warehouse"] == "unusable"
        assert len(ready.json()["problems"]) == 2
        metrics = service.get("/metrics")
        assert metrics.status_code == 200
        assert "verdict_warehouse_readable 0.0" in metrics.text
        assert requests.get(f"{service.url}/readyz", timeout=PATIENCE_S).json() == {"ready": False}


def test_source_that_is_gone_is_a_503_with_the_reason(tmp_path: Path) -> None:
    root = demo_workspace(tmp_path)
    spec = root / "experiments" / "exam-service-canary.yaml"
    recording = "{recording: ../demo/requests.parquet, scrape_interval: 2s}"
    text = spec.read_text()
    assert recording in text
    spec.write_text(
        text.replace(recording, '{prometheus: "http://127.0.0.1:9", scrape_interval: 2s}')
    )
    with running(root) as service:
        refused = service.get("/argo/exam-service-canary")
        assert refused.status_code == 503
        assert "127.0.0.1:9" in refused.json()["error"]
        assert "Traceback" not in refused.text


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_finishes_what_runs(tmp_path: Path, sign: signal.Signals) -> None:
    with running(demo_workspace(tmp_path)) as service:
        answers: list[requests.Response] = []
        caller = threading.Thread(
            target=lambda: answers.append(service.get("/argo/exam-service-canary"))
        )
        caller.start()
        # The look makes the warehouse's folder first.
        while not (tmp_path / "var").exists():
            time.sleep(0.005)
        service.process.send_signal(sign)
        caller.join()
        assert service.process.wait(at_load(15)) == 0
        assert [answer.status_code for answer in answers] == [200]
        with pytest.raises(requests.ConnectionError):
            requests.get(f"{service.url}/healthz", timeout=PATIENCE_S)
