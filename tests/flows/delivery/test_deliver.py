"""Progressive delivery: every doubt and person between two shifts.

Every look is invalid here (see delivery_workspace), so that only a person lets a delivery go on.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.delivery.controller import CannotDeliver
from flows.delivery.deliver import deliver, tell
from flows.delivery.dry_run import preview
from flows.delivery.targets.target import TargetRefused
from flows.warehouse.connection import open_reader
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryOutcome, read_delivery
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import (
    SPEC,
    Clock,
    canary_share,
    events,
    one_step,
    target,
    version,
)


def test_a_delivery_begins_with_the_first_stage(workspace: Workspace) -> None:
    step = one_step(workspace)
    assert canary_share(workspace) == 5
    assert step.state.stage == 1
    assert events(workspace) == [("began", 2), ("shifting", 1), ("shifted", 1)]


def test_without_evidence_it_stays(workspace: Workspace) -> None:
    one_step(workspace)
    step = one_step(workspace)
    assert step.document is not None
    assert step.document.decision.value == "invalid"
    assert canary_share(workspace) == 5
    assert version(workspace) == 8


COHORTS = """\
cohorts:
  region: {match: {split_cohort: region}, split: {stable: 50, canary: 50}}
  everyone: {match: {split_cohort: everyone}}
"""


def test_beside_cohorts_only_the_route_without_a_split_of_its_own_is_shifted(
    workspace: Workspace,
) -> None:
    file, spec = workspace.root / "routes.json", workspace.experiments / "exam.yaml"
    data = json.loads(file.read_text())
    routes = data["resources"][0]["virtual_hosts"][0]["routes"]
    region = json.loads(json.dumps(routes[0]).replace("100", "50").replace(": 0", ": 50"))
    routes.append({**region, "name": "region"})
    file.write_text(json.dumps(data))
    spec.write_text(SPEC + COHORTS)
    with pytest.raises(TargetRefused, match=r"name the route that is shifted \(delivery.target.ro"):
        one_step(workspace)
    spec.write_text(SPEC.replace("{envoy:", "{route: exam, envoy:") + COHORTS)
    one_step(workspace)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "wrong version")
    shares = [_shares_of(file)]
    said = one_step(workspace).said
    shares.append(_shares_of(file))
    assert shares == [{"exam": [95, 5], "region": [50, 50]}, {"exam": [100, 0], "region": [50, 50]}]
    assert "the routes of region keep the splits of their cohorts" in said


def _shares_of(file: Path) -> dict[str, list[int]]:
    """By route, the weights of stable and canary."""
    routes = json.loads(file.read_text())["resources"][0]["virtual_hosts"][0]["routes"]
    clusters = {one["name"]: one["route"]["weighted_clusters"]["clusters"] for one in routes}
    return {name: [entry["weight"] for entry in found] for name, found in clusters.items()}


def test_a_person_lets_it_go_on_to_the_end(workspace: Workspace) -> None:
    one_step(workspace)
    for share, stage in ((50, 2), (100, 3)):
        tell(workspace, "exam", DeliveryEventKind.APPROVED, "seen")
        step = one_step(workspace)
        assert (canary_share(workspace), step.state.stage) == (share, stage)
    assert step.state.outcome is DeliveryOutcome.PROMOTED
    assert one_step(workspace).state.outcome is DeliveryOutcome.PROMOTED  # nothing is left to do
    assert version(workspace) == 10


def test_a_person_gives_it_up(workspace: Workspace) -> None:
    one_step(workspace)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "wrong version")
    step = one_step(workspace)
    assert canary_share(workspace) == 0
    assert step.state.outcome is DeliveryOutcome.ABORTED
    with pytest.raises(CannotDeliver, match="has ended: aborted"):
        tell(workspace, "exam", DeliveryEventKind.APPROVED, "too late")
    assert one_step(workspace, again=True).state.number == 2
    assert canary_share(workspace) == 5


def test_a_split_that_somebody_else_changed_is_not_overwritten(workspace: Workspace) -> None:
    one_step(workspace)
    routes = target(workspace)
    theirs = {"stable": 30.0, "canary": 70.0}
    routes.shift(theirs, fence=1, expected=routes.read().revision, reason="by hand")
    step = one_step(workspace)
    assert "somebody has set stable 30, canary 70" in step.said
    assert canary_share(workspace) == 70
    assert events(workspace)[-1] == ("asked", 1)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "whoever it was")
    one_step(workspace)
    assert canary_share(workspace) == 0


def test_other_stages_are_refused_while_it_goes_on_and_other_margins_are_not(
    workspace: Workspace,
) -> None:
    one_step(workspace)
    spec = workspace.experiments / "exam.yaml"
    spec.write_text(SPEC + "metrics: {errors: {kind: error_share, margin: 0.02}}\n")
    assert one_step(workspace).state.stage == 1
    spec.write_text(SPEC.replace("canary: 50", "canary: 40").replace("stable: 50", "stable: 60"))
    with pytest.raises(
        CannotDeliver, match=r"exam\.yaml: the variants, cohorts or stages were changed"
    ):
        one_step(workspace)


def test_a_dry_run_within_a_stage_looks_and_records_nothing(workspace: Workspace) -> None:
    one_step(workspace)
    written = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in written}
    *_, last = preview(workspace, "exam")
    assert last.startswith("in stage 1, next: stay (invalid: the stage lasts at least 60 min more")
    after = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    assert {path: path.read_bytes() for path in after} == before


def test_a_person_is_heard_within_a_pause(workspace: Workspace, clock: Clock) -> None:
    def approve(seconds: float) -> None:
        clock.sleep(seconds)
        if not any(kind == "approved" for kind, _ in events(workspace)):
            tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")

    steps = deliver(workspace, "exam", sleep=approve)
    assert next(steps).state.stage == 1
    assert next(steps).state.stage == 2
    steps.close()


def test_a_source_that_is_gone_holds_the_split(workspace: Workspace, clock: Clock) -> None:
    steps = deliver(workspace, "exam", sleep=clock.sleep)
    next(steps)
    (workspace.root / "demo").unlink()
    step = next(steps)
    assert step.said.startswith("nothing is shifted: ")
    assert step.state.stage == 1
    steps.close()


def test_the_log_says_what_was_known_at_a_time(workspace: Workspace) -> None:
    one_step(workspace)
    between = datetime.now(UTC)
    time.sleep(0.01)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "seen")
    one_step(workspace)
    with open_reader(workspace.warehouse) as con:
        earlier = read_delivery(con, "exam", until=between)
        before = read_delivery(con, "exam", until=between - timedelta(hours=1))
    assert earlier is not None
    assert earlier.stage == 1
    assert before is None
