"""The published rules, kept by promtool and by a real Prometheus with an Alertmanager."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from analysis.metric_result import Classification, MetricResult
from analysis.plan import Role
from analysis.quality.checks import QualityCheck
from analysis.verdict import Decision
from dashboards.pipeline_metrics import PipelineRun, render_run
from dashboards.provisioning import RULES, dashboard_files
from dashboards.report_view import ExperimentReport
from dashboards.verdict_metrics import render_verdicts
from flows.publish.pushgateway import push_text
from tests.builders import reports
from tests.builders.reports import samples_of
from tests.lab.processes import PortPool, wait_until
from tests.lab.prometheus_server import Job, PrometheusServer, Target
from tests.places import PATIENCE_S
from tests.servers.real_servers import alertmanager, program, pushgateway

PASSED, FAILED = (
    tuple(QualityCheck(name, passed, "said") for name in ("fresh data", "split of requests"))
    for passed in (True, False)
)


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    text = dashboard_files([], folder)[folder / RULES]
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def signal() -> MetricResult:
    found = reports.metric("abandoned", "canary")
    return replace(found, role=Role.SIGNAL, classification=Classification.FAIL)


def looked_at(name: str, decision: Decision, **changed: Any) -> ExperimentReport:
    return reports.report(name, decision, **{"quality": PASSED, "metrics": (), **changed})


FLEET = {
    "healthy": looked_at("healthy", Decision.PROMOTE),
    "harmed": looked_at("harmed", Decision.ROLLBACK),
    "off": looked_at("off", Decision.INVALID, quality=FAILED),
    "signalled": looked_at("signalled", Decision.HOLD, metrics=(signal(),)),
    "asked": looked_at("asked", Decision.HOLD),
}
RUN = PipelineRun(0.0, 1.0, 5, ("broken",), 4096, 0.1)
FIRING = {
    ("CanaryFails", "harmed"),
    ("DataIsStale", "off"),
    ("SplitIsOff", "off"),
    ("PersonMustDecide", "signalled"),
    ("PersonMustDecide", "asked"),
    ("RunFailed", "broken"),
}


# promtool's own test: a run that never came, and one that is too long ago.
KEEPS_TIME = """
rule_files: [rules.yaml]
tests:
  - interval: 1m
    input_series:
      - {series: split_verdict_run_timestamp_seconds, values: "1x200"}
      - {series: 'split_verdict_look_timestamp_seconds{experiment="e"}', values: "60x200"}
    promql_expr_test:
      - expr: experiment:split_verdict_look_age:seconds
        eval_time: 10m
        exp_samples:
          - {labels: 'experiment:split_verdict_look_age:seconds{experiment="e"}', value: 540}
    alert_rule_test:
      - {eval_time: 2h, alertname: RunsStopped, exp_alerts: []}
      - eval_time: 2h10m
        alertname: RunsStopped
        exp_alerts:
          - exp_labels: {severity: warning}
            exp_annotations: &said
              summary: no run of the verdicts' pipeline has ended for two hours
              description: Check the schedule, the Prefect worker and the machine it runs on.
  - interval: 1m
    input_series: [{series: up, values: "1x200"}]
    alert_rule_test:
      - {eval_time: 4m, alertname: RunsStopped, exp_alerts: []}
      - eval_time: 10m
        alertname: RunsStopped
        exp_alerts: [{exp_labels: {severity: warning}, exp_annotations: *said}]
"""


@contextmanager
def watching(folder: Path, gateway: str, alerts_to: str, rules: Path) -> Iterator[PrometheusServer]:
    """A Prometheus that scrapes the gateway and evaluates the rules each second."""
    server = PrometheusServer(
        folder, port=PortPool().take(), scrape_interval_s=1, jobs=[Job("pushed")]
    )
    path = folder / "prometheus.yml"
    config = json.loads(path.read_text())
    config["scrape_configs"][0]["honor_labels"] = True
    config["global"]["evaluation_interval"] = "1s"
    config["rule_files"] = [str(rules)]
    managers = [{"targets": [alerts_to.removeprefix("http://")]}]
    config["alerting"] = {"alertmanagers": [{"static_configs": managers}]}
    path.write_text(json.dumps(config))
    server.add_targets(Target("pushed", int(gateway.rpartition(":")[2]), {}))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def test_what_needs_somebody_fires_and_what_is_healthy_does_not(
    rules: Path, tmp_path: Path
) -> None:
    with pushgateway() as gateway, alertmanager(tmp_path) as manager:
        for name, report in FLEET.items():
            text = render_verdicts([samples_of(report, waits=name == "asked")])
            push_text(text, gateway, experiment=name)
        push_text(render_run(RUN), gateway, job="split-verdict-pipeline")

        def fired() -> set[tuple[str, str]]:
            alerts = requests.get(f"{manager}/api/v2/alerts", timeout=PATIENCE_S).json()
            labels = [alert["labels"] for alert in alerts]
            return {(each["alertname"], each["experiment"]) for each in labels}

        with watching(tmp_path, gateway, manager, rules) as prometheus:
            wait_until(lambda: fired() >= FIRING, what="the alerts", timeout_s=PATIENCE_S)
            assert fired() == FIRING
            # Its group has its own turn.
            name = "experiment_variant:split_verdict_split_deviation:ratio"
            wait_until(lambda: bool(prometheus.query(name)), what="the recorded deviation")
            for found in prometheus.query(name):
                assert found["metric"]["variant"] == "stable"
                assert float(found["value"][1]) == pytest.approx(0.737 - 0.75)


def test_the_rules_keep_time(rules: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(rules.read_text())
    (tmp_path / "test.yaml").write_text(KEEPS_TIME)
    done = subprocess.run(
        [program("promtool", "prometheus"), "test", "rules", "test.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
