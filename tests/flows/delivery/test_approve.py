"""A signal that holds is a person's to decide about, with or without a delivery."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.delivery.approve import approve
from flows.delivery.controller import CannotDeliver
from flows.ingest.requests.pull_requests import pull_requests
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.service import argo, flagger
from flows.warehouse.connection import open_writer
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace
from tests.builders.harm_traffic import SCRAPE_MS, SCRAPES, START, TrafficCell, scraped

UNTIL_MS = START + SCRAPES * SCRAPE_MS
SPEC = {
    "experiment": "web",
    "service": "web",
    "namespace": "shop",
    "mesh": "istio",
    "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
    "split": {"stable": 80, "canary": 20},
    "plan": {
        "start": datetime.fromtimestamp(START / 1000, UTC).isoformat(),
        "duration": "20m",
    },
    "sources": {"requests": {"prometheus": "http://localhost:9090"}},
}


def look(root: Path, harm: str, **changes: object) -> tuple[Workspace, VerdictDocument]:
    """A workspace with such a canary, and the look at the plan's end."""
    workspace = Workspace(root)
    workspace.experiments.mkdir(parents=True, exist_ok=True)
    (workspace.experiments / "web.yaml").write_text(json.dumps({**SPEC, **changes}))
    _, spec = find_spec(workspace.experiments, "web")
    source = scraped(TrafficCell("istio", "destination", harm, "clean"))
    pull_requests(spec, source, workspace.warehouse, until_ms=UNTIL_MS)
    return workspace, look_now(workspace)


def look_now(workspace: Workspace) -> VerdictDocument:
    """After the plan's end, as of now: approvals count from when they are given."""
    _, spec = find_spec(workspace.experiments, "web")
    return score_experiment(spec, workspace.warehouse, at=datetime.now(UTC) + timedelta(seconds=1))


def test_an_approved_signal_no_longer_holds(tmp_path: Path) -> None:
    workspace, before = look(tmp_path, "rejected")
    assert before.decision is Decision.HOLD
    assert before.reasons[0].startswith("rejected: canary has")
    assert "verdict approve web" in before.reasons[1]
    found = approve(workspace, "web", "approved by ann")
    assert (found.signals, found.delivery) == (("rejected",), None)
    after = look_now(workspace)
    assert after.decision is Decision.PROMOTE
    (signal,) = (metric for metric in after.metrics if metric.metric == "rejected")
    assert signal.approved is not None
    assert signal.difference.value < signal.approved < 0.3
    assert any("rejected of canary: a person has approved" in note for note in after.notes)


def test_more_harm_than_may_have_been_there_holds_again(tmp_path: Path) -> None:
    workspace, _ = look(tmp_path, "rejected")
    approve(workspace, "web", "approved by ann")
    with open_writer(workspace.warehouse) as con:
        con.execute("update signal_approvals set allowed = 0.1")
    assert look_now(workspace).decision is Decision.HOLD


def test_a_pod_that_harms_its_users_asks_until_it_is_approved(tmp_path: Path) -> None:
    """One pod of four fails 5 % of its requests: at the plan's end a person is asked, too."""
    workspace, before = look(tmp_path, "ailing pod")
    assert before.decision is Decision.HOLD
    assert before.reasons[0].startswith("errors: Pod canary-0-0 of canary fails 4.")
    assert "replace the pod, approve it (verdict approve web)" in before.reasons[0]
    assert "`pods: rollback`" in before.reasons[0]
    assert flagger.answer("confirm-traffic-increase", before)[0] != flagger.CONTINUES
    assert argo.measurement(before)["waits"]
    assert approve(workspace, "web", "approved by ann").signals == ("errors",)
    after = look_now(workspace)
    assert after.decision is Decision.HOLD
    assert not argo.measurement(after)["waits"]
    assert not any("must decide" in reason for reason in after.reasons)


def test_a_pod_that_harms_its_users_rolls_back_where_the_spec_says_so(tmp_path: Path) -> None:
    _, found = look(tmp_path, "ailing pod", pods="rollback")
    assert found.decision is Decision.ROLLBACK
    assert "one pod fails so often that its users are harmed beyond the margin" in found.reasons[0]
    assert "Pod canary-0-0 of canary fails 4." in found.reasons[0]


def test_a_healthy_canary_is_promoted_whatever_pods_are_for(tmp_path: Path) -> None:
    for policy in ("ask", "rollback"):
        _, found = look(tmp_path / policy, "none", pods=policy)
        assert found.decision is Decision.PROMOTE


def test_weak_harm_in_three_metrics_asks_until_it_is_approved(tmp_path: Path) -> None:
    workspace, before = look(tmp_path, "weak in three")
    assert before.decision is Decision.HOLD
    assert before.reasons[0].startswith("errors, abandoned and client-errors together: since")
    assert before.reasons[1].endswith("approve it (verdict approve web)")
    (name,) = approve(workspace, "web", "approved by ann").signals
    assert "errors + " in name
    after = look_now(workspace)
    assert not any("together" in reason for reason in after.reasons)


def test_an_approval_is_of_one_plan(tmp_path: Path) -> None:
    workspace, _ = look(tmp_path, "rejected")
    approve(workspace, "web", "approved by ann")
    with open_writer(workspace.warehouse) as con:
        con.execute("update signal_approvals set approved_at = '2000-01-01'")
    assert look_now(workspace).decision is Decision.HOLD


def test_nothing_is_approved_where_nothing_holds(tmp_path: Path) -> None:
    workspace, document = look(tmp_path, "none")
    assert document.decision is Decision.PROMOTE
    with pytest.raises(CannotDeliver, match="no signal holds"):
        approve(workspace, "web", "approved by ann")


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ({"kind": "outcome_share", "outcome": "rejected", "margin": 0.3}, Decision.PROMOTE),
        ({"kind": "outcome_share", "outcome": "rejected", "margin": 0.1}, Decision.ROLLBACK),
        ({"kind": "outcome_share", "outcome": "rejected", "role": "info"}, Decision.PROMOTE),
        ({"kind": "outcome_share", "outcome": "rejected", "role": "signal"}, Decision.HOLD),
        ({"kind": "error_share", "failures": {"codes": ["5xx", 429]}}, Decision.ROLLBACK),
        ({"kind": "error_share"}, Decision.HOLD),
    ],
)
def test_a_spec_that_names_the_metric_decides_itself(
    tmp_path: Path, metric: dict[str, object], expected: Decision
) -> None:
    metrics = {"errors": {"kind": "error_share"}, "refused": metric}
    _, document = look(tmp_path, "rejected", metrics=metrics)
    assert document.decision is expected, document.reasons


def test_failures_of_the_whole_spec(tmp_path: Path) -> None:
    _, document = look(tmp_path, "rejected", failures={"flags": ["RL"]})
    assert document.decision is Decision.ROLLBACK
    assert "points 429/RL" in document.reasons[0]
