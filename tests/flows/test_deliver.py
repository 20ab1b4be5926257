"""Progressive delivery: every crash, doubt and person between two shifts.

Every look is invalid here (see delivery_workspace), so that only a person lets a delivery go on.
"""

from __future__ import annotations

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.deliver import deliver, tell
from flows.delivery_controller import CannotDeliver
from flows.delivery_lease import LeaseHeld, LeaseLost, take_lease
from flows.delivery_log import Kind, Outcome, read_delivery
from flows.delivery_preview import preview
from flows.delivery_step import Step
from flows.spec_file import SpecError, load_spec
from flows.targets.envoy_routes import EnvoyRoutes
from flows.targets.target import AppliedSplit, NewerController
from flows.warehouse import open_reader, open_writer, transaction
from flows.workspace import Workspace
from tests.flows.delivery_workspace import SPEC, canary_share, delivery_workspace, target


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return delivery_workspace(tmp_path)


def version(workspace: Workspace) -> int:
    return int(json.loads((workspace.root / "routes.json").read_text())["version_info"])


def one_step(workspace: Workspace, *, again: bool = False) -> Step:
    (step,) = deliver(workspace, "exam", once=True, again=again)
    return step


def events(workspace: Workspace) -> list[tuple[str, int]]:
    with open_reader(workspace.warehouse) as con:
        rows = con.execute("select kind, stage from marts.deliveries order by delivery, event")
        return [(kind, stage) for kind, stage in rows.fetchall()]


def command(workspace: Workspace, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "flows.cli", "--root", str(workspace.root), *arguments]


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


def test_a_person_lets_it_go_on_to_the_end(workspace: Workspace) -> None:
    one_step(workspace)
    for share, stage in ((50, 2), (100, 3)):
        tell(workspace, "exam", Kind.APPROVED, "seen")
        step = one_step(workspace)
        assert (canary_share(workspace), step.state.stage) == (share, stage)
    assert step.state.outcome is Outcome.PROMOTED
    assert one_step(workspace).state.outcome is Outcome.PROMOTED  # nothing is left to do
    assert version(workspace) == 10


def test_a_person_gives_it_up(workspace: Workspace) -> None:
    one_step(workspace)
    tell(workspace, "exam", Kind.ABORTED, "wrong version")
    step = one_step(workspace)
    assert canary_share(workspace) == 0
    assert step.state.outcome is Outcome.ABORTED
    with pytest.raises(CannotDeliver, match="has ended: aborted"):
        tell(workspace, "exam", Kind.APPROVED, "too late")
    assert one_step(workspace, again=True).state.number == 2
    assert canary_share(workspace) == 5


@contextmanager
def held_file(workspace: Workspace) -> Iterator[None]:
    """Nobody can write the routes file meanwhile."""
    with (workspace.root / ".routes.json.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def test_killed_between_decision_and_shift_it_is_resumed_without_a_double_shift(
    workspace: Workspace,
) -> None:
    with held_file(workspace):
        killed = subprocess.Popen(command(workspace, "deliver", "exam"))
        while not workspace.warehouse.exists() or ("shifting", 1) not in events(workspace):
            time.sleep(0.1)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert version(workspace) == 7
    step = one_step(workspace)
    assert step.state.stage == 1
    assert version(workspace) == 8
    assert events(workspace) == [("began", 2), ("shifting", 1), ("shifted", 1)]


def test_killed_after_the_shift_only_the_note_is_made_up_for(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shift = EnvoyRoutes.shift

    def shift_and_die(
        self: EnvoyRoutes, weights: Mapping[str, float], *, fence: int, expected: str, reason: str
    ) -> AppliedSplit:
        shift(self, weights, fence=fence, expected=expected, reason=reason)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(EnvoyRoutes, "shift", shift_and_die)
        with pytest.raises(SystemExit):
            one_step(workspace)
    assert version(workspace) == 8
    assert events(workspace)[-1] == ("shifting", 1)
    one_step(workspace)
    assert version(workspace) == 8
    assert events(workspace)[-1] == ("shifted", 1)


def test_a_second_controller_waits_for_the_lease_and_then_gives_up(workspace: Workspace) -> None:
    first = deliver(workspace, "exam", sleep=lambda _: None)
    next(first)

    def still_alive(seconds: float) -> None:
        assert 0 < seconds < 31
        next(first)

    with pytest.raises(LeaseHeld, match=r"exam is being delivered by process \d+ on"):
        next(deliver(workspace, "exam", sleep=still_alive))
    first.close()
    assert one_step(workspace).state.stage == 1


def test_a_controller_that_lost_its_lease_does_nothing(workspace: Workspace) -> None:
    slept = deliver(workspace, "exam", sleep=lambda _: None)
    next(slept)
    with open_writer(workspace.warehouse) as con, transaction(con):
        con.execute("update delivery_leases set until = now() - interval 1 minute")
    take_lease(workspace.warehouse, "exam")
    with pytest.raises(LeaseLost, match="was taken over"):
        next(slept)


def test_a_target_refuses_an_old_controller(workspace: Workspace) -> None:
    routes = target(workspace)
    now = routes.read()
    newer = routes.shift({"stable": 90, "canary": 10}, fence=5, expected=now.revision, reason="new")
    with pytest.raises(NewerController, match="under lease 5, this controller's is 4"):
        routes.shift({"stable": 0, "canary": 100}, fence=4, expected=newer.revision, reason="old")
    assert canary_share(workspace) == 10


def test_a_split_that_somebody_else_changed_is_not_overwritten(workspace: Workspace) -> None:
    one_step(workspace)
    routes = target(workspace)
    theirs = {"stable": 30.0, "canary": 70.0}
    routes.shift(theirs, fence=1, expected=routes.read().revision, reason="by hand")
    step = one_step(workspace)
    assert "somebody has set stable 30, canary 70" in step.said
    assert canary_share(workspace) == 70
    assert events(workspace)[-1] == ("asked", 1)
    tell(workspace, "exam", Kind.ABORTED, "whoever it was")
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
    with pytest.raises(CannotDeliver, match=r"exam\.yaml: the variants or stages were changed"):
        one_step(workspace)


def test_a_dry_run_changes_nothing(workspace: Workspace) -> None:
    shown = subprocess.run(
        command(workspace, "deliver", "exam", "--dry-run"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "now has stable 100, canary 0" in shown
    assert "stage 2: stable 50, canary 50 for 1h to 2h" in shown
    assert shown.splitlines()[-1] == "next: stage 1 would be applied"
    assert version(workspace) == 7
    assert not (workspace.root / "var").exists()
    assert not workspace.verdicts.exists()


def test_a_dry_run_within_a_stage_looks_and_records_nothing(workspace: Workspace) -> None:
    one_step(workspace)
    written = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    before = {path: path.read_bytes() for path in written}
    *_, last = preview(workspace, "exam")
    assert last.startswith("in stage 1, next: stay (invalid: the stage lasts 60 min more at least")
    after = sorted(path for path in workspace.root.rglob("*") if path.is_file())
    assert {path: path.read_bytes() for path in after} == before


def test_it_stops_when_told_and_the_lease_is_free_at_once(workspace: Workspace) -> None:
    running = subprocess.Popen(command(workspace, "deliver", "exam"), stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert b"stage 1 of 2: stable 95, canary 5" in running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(20) == 3
    running.stdout.close()

    def never(_: float) -> None:
        raise AssertionError("the lease was kept")

    assert next(deliver(workspace, "exam", sleep=never)).state.stage == 1


def test_a_person_is_heard_within_a_pause(workspace: Workspace) -> None:
    def approve(_: float) -> None:
        if not any(kind == "approved" for kind, _ in events(workspace)):
            tell(workspace, "exam", Kind.APPROVED, "go")

    steps = deliver(workspace, "exam", sleep=approve)
    assert next(steps).state.stage == 1
    assert next(steps).state.stage == 2
    steps.close()


def test_a_source_that_is_gone_holds_the_split(workspace: Workspace) -> None:
    steps = deliver(workspace, "exam", sleep=lambda _: None)
    next(steps)
    (workspace.root / "demo").unlink()
    step = next(steps)
    assert step.said.startswith("nothing is shifted: ")
    assert step.state.stage == 1
    steps.close()


def test_nothing_is_shifted_before_the_source_has_answered(workspace: Workspace) -> None:
    (workspace.root / "demo").unlink()
    shown = subprocess.run(
        command(workspace, "deliver", "exam"), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 2
    assert len(shown.stderr.splitlines()) == 1
    assert version(workspace) == 7


def test_the_log_says_what_was_known_at_a_time(workspace: Workspace) -> None:
    one_step(workspace)
    between = datetime.now(UTC)
    time.sleep(0.01)
    tell(workspace, "exam", Kind.APPROVED, "seen")
    one_step(workspace)
    with open_reader(workspace.warehouse) as con:
        earlier = read_delivery(con, "exam", until=between)
        before = read_delivery(con, "exam", until=between - timedelta(hours=1))
    assert earlier is not None
    assert earlier.stage == 1
    assert before is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("plan:\n", "plan:\n  start: 2026-01-01\n"), "plan.start: isn't known before"),
        (("{stable: 95, canary: 5}", "{canary: 100}"), "must name stable and canary"),
        (("duration: 1h, weights: {stable: 95", "duration: 1h, at_most: 1m, weights: {stable: 95"),
         "plan.stages.0.at_most: is shorter than the stage's duration"),
        (("routes.json}", "routes.json, names: {blue: x}}"), "blue: is no variant"),
        (("{envoy:", "{envy:"), "delivery.target.envy"),
    ],
)  # fmt: skip
def test_a_wrong_delivery_is_explained(
    workspace: Workspace, change: tuple[str, str], problem: str
) -> None:
    path = workspace.experiments / "exam.yaml"
    path.write_text(SPEC.replace(*change, 1))
    with pytest.raises(SpecError) as error:
        load_spec(path)
    assert problem in str(error.value)


def test_a_spec_without_delivery_is_told_what_to_write(workspace: Workspace) -> None:
    path = workspace.experiments / "exam.yaml"
    path.write_text(SPEC[: SPEC.index("delivery:")])
    shown = subprocess.run(
        command(workspace, "deliver", "exam"), capture_output=True, text=True, check=False
    )
    assert (shown.returncode, "has no `delivery`" in shown.stderr) == (2, True)
