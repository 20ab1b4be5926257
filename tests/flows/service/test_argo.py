"""The calls that Argo Rollouts makes by docs/how-to/argo-analysis-template.yaml."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import requests
import yaml

from tests.places import REPOSITORY
from tests.servers.service_process import TOKEN, Service

MANIFESTS = REPOSITORY / "docs" / "how-to" / "argo-analysis-template.yaml"
DOCUMENTED = "http://verdict.verdict.svc.cluster.local:8080"


def _of_kind(kind: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all(MANIFESTS.read_text())
    return [document for document in documents if document["kind"] == kind]


def _template(name: str) -> dict[str, Any]:
    found = {item["metadata"]["name"]: item for item in _of_kind("AnalysisTemplate")}
    return found[name]


def _measure(service: Service, metric: dict[str, Any], experiment: str) -> tuple[str, Any]:
    """The phase and the value of one measurement, as the web provider takes it."""
    web = metric["provider"]["web"]

    def filled(text: str) -> str:
        text = text.replace("{{args.experiment}}", experiment).replace("{{args.token}}", TOKEN)
        return text.replace(DOCUMENTED, service.url)

    headers = {header["key"]: filled(header["value"]) for header in web["headers"]}
    answered = requests.get(filled(web["url"]), headers=headers, timeout=web["timeoutSeconds"])
    if not 200 <= answered.status_code < 300:
        return "Error", None
    assert web["jsonPath"] == "{$}"
    value = answered.json()
    # The conditions are of the part of expr's language that is Python's as well.
    names = {"result": SimpleNamespace(**value)}
    if eval(metric["failureCondition"], {}, names):
        return "Failed", value
    return ("Successful" if eval(metric["successCondition"], {}, names) else "Inconclusive"), value


@pytest.mark.parametrize(
    ("template", "phases"),
    [
        (
            "verdict-no-harm",
            {
                "exam-service-canary": "Successful",
                "progress-service-canary": "Failed",
                "adaptive-algorithm": "Successful",
                "tagalog-support": "Inconclusive",
                "no-such-experiment": "Error",
            },
        ),
        (
            "verdict-promote",
            {
                "exam-service-canary": "Successful",
                "progress-service-canary": "Failed",
                "adaptive-algorithm": "Inconclusive",
                "tagalog-support": "Inconclusive",
                "no-such-experiment": "Error",
            },
        ),
    ],
)
def test_measurement_has_the_phase_of_the_verdict(
    service: Service, template: str, phases: dict[str, str]
) -> None:
    (metric,) = _template(template)["spec"]["metrics"]
    assert {name: _measure(service, metric, name)[0] for name in phases} == phases


def test_value_has_the_reasons_and_no_score_of_bad_data(service: Service) -> None:
    (metric,) = _template("verdict-no-harm")["spec"]["metrics"]
    _, good = _measure(service, metric, "exam-service-canary")
    _, bad = _measure(service, metric, "tagalog-support")
    assert good["score"] == 100.0
    assert good["reasons"][0].startswith("errors: canary has 0.33 %")
    assert bad["score"] is None
    assert "traffic is not split as configured" in bad["reasons"][0]


def test_rollout_names_the_templates_that_are_there() -> None:
    (rollout,) = _of_kind("Rollout")
    canary = rollout["spec"]["strategy"]["canary"]
    used = [
        canary["analysis"],
        *(step["analysis"] for step in canary["steps"] if "analysis" in step),
    ]
    names = {part["templateName"] for analysis in used for part in analysis["templates"]}
    assert names == {item["metadata"]["name"] for item in _of_kind("AnalysisTemplate")}
    for analysis in used:
        assert [argument["name"] for argument in analysis["args"]] == ["experiment"]
