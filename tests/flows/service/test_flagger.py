"""The calls that Flagger makes by docs/how-to/flagger-canary.yaml, against a running service."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from flows.look.look import look_at_experiment
from flows.service.flagger import HOOKS, answer
from flows.workspace.paths import Workspace
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers.service_process import TOKEN, Service, demo_workspace

CANARY = REPOSITORY / "docs" / "how-to" / "flagger-canary.yaml"
DOCUMENTED = "http://flagger:TOKEN@verdict.verdict.svc.cluster.local:8080"

# By decision: which hooks Flagger takes for a yes.
YES = {
    "promote": {"confirm-rollout", "rollout", "confirm-traffic-increase", "confirm-promotion"},
    "hold": {"confirm-rollout", "rollout", "confirm-traffic-increase"},
    "invalid": {"confirm-rollout", "rollout"},
    "rollback": {"rollback"},
}
EXPERIMENTS = {
    "exam-service-canary": "promote",
    "progress-service-canary": "rollback",
    "tagalog-support": "invalid",
}


def _canary() -> dict[str, Any]:
    canary: dict[str, Any] = yaml.safe_load(CANARY.read_text())
    return canary


def _call(service: Service, hook: dict[str, Any], **payload: object) -> requests.Response:
    """One webhook as Flagger sends it: no header of its own, the URL's password as Basic."""
    url = hook["url"].replace(DOCUMENTED, f"http://flagger:{TOKEN}@127.0.0.1:{service.port}")
    body = {
        "name": "exam-service",
        "namespace": "edtech-production",
        "phase": "Progressing",
        "checksum": "85d557f47b",
        **payload,
    }
    return requests.post(url, json=body, timeout=PATIENCE_S)


def _hook(kind: str) -> dict[str, Any]:
    hooks = _canary()["spec"]["analysis"]["webhooks"]
    return next(hook for hook in hooks if hook["type"] == kind)


def test_manifest_has_every_hook_that_the_service_answers() -> None:
    hooks = _canary()["spec"]["analysis"]["webhooks"]
    assert {hook["type"] for hook in hooks} == set(HOOKS)
    for hook in hooks:
        assert hook["url"] == f"{DOCUMENTED}/flagger/{hook['type']}"


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("kind", sorted(HOOKS))
def test_hook_continues_by_the_verdict(service: Service, experiment: str, kind: str) -> None:
    answered = _call(service, _hook(kind), metadata={"experiment": experiment})
    decision = EXPERIMENTS[experiment]
    is_yes = kind in YES[decision]
    # Flagger takes a status up to 202 for a yes.
    assert (answered.status_code <= 202) is is_yes
    body = answered.json()
    assert body["decision"] == decision
    assert body["continue"] is is_yes
    assert body["reasons"]


def test_refusal_says_what_the_canary_does(service: Service) -> None:
    metadata = {"experiment": "progress-service-canary"}
    text = _call(service, _hook("rollout"), metadata=metadata).text
    assert "canary has 3.17 % of requests failed, stable 0.29 %" in text


def test_documented_canary_is_found_by_its_metadata(service: Service) -> None:
    hook = _hook("confirm-promotion")
    assert _call(service, hook, metadata=hook["metadata"]).status_code == 200


def test_experiment_is_found_by_service_and_namespace(service: Service) -> None:
    answered = _call(service, _hook("rollback"), name="progress-service")
    assert answered.status_code == 200
    assert answered.json()["experiment"] == "progress-service-canary"


def test_service_of_another_namespace_is_not_mistaken(service: Service) -> None:
    answered = _call(service, _hook("rollback"), name="progress-service", namespace="other")
    assert answered.status_code == 404
    assert "'progress-service' in namespace 'other'" in answered.json()["error"]


def test_several_experiments_on_a_service_must_be_told_apart(service: Service) -> None:
    answered = _call(service, _hook("rollout"), name="learning-module-service")
    assert answered.status_code == 409
    assert "metadata.experiment" in answered.json()["error"]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"name": 7}, "name must be a string"),
        ({"namespace": ["x"]}, "namespace must be a string"),
        ({"phase": {}}, "phase must be a string"),
        ({"metadata": "x"}, "metadata must be an object of strings"),
        ({"metadata": {"experiment": 1}}, "metadata.experiment must be a string"),
        ({"name": "", "metadata": None}, "are needed"),
    ],
)
def test_wrong_types_are_told(service: Service, payload: dict[str, object], message: str) -> None:
    answered = _call(service, _hook("rollout"), **payload)
    assert answered.status_code == 400
    assert message in answered.json()["error"]


def test_traffic_grows_on_hold_unless_harm_is_likely(tmp_path: Path) -> None:
    early = datetime.fromisoformat("2026-11-23T17:28:48Z")
    held = look_at_experiment(Workspace(demo_workspace(tmp_path)), "exam-service-canary", at=early)
    assert held.decision == "hold"
    assert {kind for kind in HOOKS if answer(kind, held)[0] == 200} == YES["hold"]
    metrics = tuple(replace(metric, probability_within_margin=0.49) for metric in held.metrics)
    likely = held.model_copy(update={"metrics": metrics})
    assert answer("confirm-traffic-increase", likely)[0] == 409
