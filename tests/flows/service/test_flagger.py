"""The calls that Flagger makes by docs/how-to/flagger-canary.yaml, against a running service."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from analysis.quality.quality_check import QualityCheck
from flows.look.look import look_at_experiment
from flows.look.verdict_document import VerdictDocument
from flows.service.argo import measurement
from flows.service.flagger import HOOKS, HookCall, Rounds, answer, parse_call
from flows.workspace.paths import Workspace
from tests.places import PATIENCE_S, REPOSITORY
from tests.servers.service_process import TOKEN, Service, demo_workspace, running

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


EARLY = datetime.fromisoformat("2026-11-23T17:28:48Z")
INCREASE = "confirm-traffic-increase"


def test_traffic_grows_on_hold_unless_harm_is_likely(tmp_path: Path) -> None:
    held = look_at_experiment(Workspace(demo_workspace(tmp_path)), "exam-service-canary", at=EARLY)
    assert held.decision == "hold"
    assert {kind for kind in HOOKS if answer(kind, held)[0] == 200} == YES["hold"]
    metrics = tuple(replace(metric, probability_within_margin=0.49) for metric in held.metrics)
    likely = held.model_copy(update={"metrics": metrics})
    assert answer("confirm-traffic-increase", likely)[0] == 409


def test_no_traffic_is_added_before_what_a_verdict_waits_for(tmp_path: Path) -> None:
    """Another experiment, a strategy's check, requests that have ended: as in a delivery."""
    held = look_at_experiment(Workspace(demo_workspace(tmp_path)), "exam-service-canary", at=EARLY)
    assert answer(INCREASE, held)[0] == 200
    assert measurement(held)["waits"] is False
    waiting = held.model_copy(update={"waits": ("waits for payments: it has no verdict yet",)})
    assert {kind for kind in HOOKS if answer(kind, waiting)[0] == 200} == YES["hold"] - {INCREASE}
    assert measurement(waiting)["waits"] is True


def _without_traffic(root: Path, **fields: object) -> Path:
    """The demo's workspace, in which no series is of the canary's version."""
    path = demo_workspace(root) / "experiments" / "exam-service-canary.yaml"
    spec = yaml.safe_load(path.read_text())
    spec["variants"]["canary"]["version"] = "v9.9.9"
    path.write_text(yaml.safe_dump(spec | fields, sort_keys=False))
    return root


def test_first_step_needs_no_requests_of_the_canary(tmp_path: Path) -> None:
    """Flagger asks before the canary's first request as well: it would never have any."""
    hook = _hook(INCREASE)
    with running(_without_traffic(tmp_path)) as service:
        first = _call(service, hook, metadata=hook["metadata"], canaryWeight=0)
        assert (first.status_code, first.json()["decision"]) == (200, "invalid")
        assert _call(service, hook, metadata=hook["metadata"], canaryWeight=5).status_code == 409
        # Without the weight, calls before tell a later step from the first, and of those before its
        # start a service does not know.
        assert _call(service, hook, metadata=hook["metadata"]).status_code == 409
        assert _call(service, hook, metadata=hook["metadata"], canaryWeight="?").status_code == 409
        for kind in ("confirm-promotion", "rollback"):
            called = _call(service, _hook(kind), metadata=hook["metadata"], canaryWeight=0)
            assert called.status_code == 409


def test_first_step_comes_after_the_experiments_that_must_come_first(tmp_path: Path) -> None:
    hook = _hook(INCREASE)
    with running(_without_traffic(tmp_path, after=["progress-service-canary"])) as service:
        first = _call(service, hook, metadata=hook["metadata"], canaryWeight=0)
    assert first.status_code == 409


def test_first_step_is_no_excuse_for_anything_else(tmp_path: Path) -> None:
    """Harm that is known, requests that were judged, data of the baseline that can't be read."""
    at_zero = HookCall(name="x", namespace="y", canaryWeight=0)
    first = {kind for kind in HOOKS if Rounds().is_first_step(kind, "exam", at_zero)}
    assert first == {INCREASE}
    root = Workspace(demo_workspace(tmp_path / "a"))
    for name in ("progress-service-canary", "tagalog-support"):
        document = look_at_experiment(root, name)
        assert answer(INCREASE, document, may_begin=True)[0] == 409
    none = look_at_experiment(Workspace(_without_traffic(tmp_path / "b")), "exam-service-canary")
    assert answer(INCREASE, none, may_begin=True)[0] == 200
    stale = QualityCheck("fresh data", False, "data ends 900 s before the look", ("stable",))
    assert answer(INCREASE, _also_failed(none, stale), may_begin=True)[0] == 409


def _also_failed(document: VerdictDocument, check: QualityCheck) -> VerdictDocument:
    return document.model_copy(update={"quality": (*document.quality, check)})


def test_a_round_is_over_after_minutes() -> None:
    now = 0.0
    rounds, unsaid = Rounds(lambda: now), HookCall(name="exam", namespace="y")
    # Whoever called before the service started isn't known.
    assert not rounds.is_first_step(INCREASE, "exam", unsaid)
    now = 300.0
    assert rounds.is_first_step(INCREASE, "exam", unsaid)
    rounds.note("rollout", "exam")
    assert not rounds.is_first_step(INCREASE, "exam", unsaid)
    assert rounds.is_first_step(INCREASE, "other", unsaid)
    now = 600.0
    assert rounds.is_first_step(INCREASE, "exam", unsaid)


@pytest.mark.parametrize("sent", [None, "0", True, [0], -1, float("nan"), float("inf"), 10**400])
def test_what_is_no_weight_says_nothing_of_it(sent: object) -> None:
    body = {"name": "exam", "namespace": "y", "canaryWeight": sent}
    assert parse_call(body).canary_weight is None
    assert parse_call(body | {"canaryWeight": 2.5}).canary_weight == 2.5
