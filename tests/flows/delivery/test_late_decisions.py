"""Decisions that come twice, too late or too early: people's, and those of a killed controller.

Covers flows.delivery.move_after and flows.delivery.stage_weights.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from analysis.stage_progression import APPROVED
from analysis.verdict import Decision
from flows.delivery.approve import approve
from flows.delivery.clock import SteadyClock
from flows.delivery.controller import CannotDeliver
from flows.delivery.deliver import STOPS, deliver, tell
from flows.delivery.dry_run import preview
from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.look.look import look_at_experiment, score_with_notes
from flows.look.verdict_document import VerdictDocument
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind, Event, add_event
from flows.warehouse.statements import run
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import SPEC, Clock, canary_share, events, one_step, target

SHARES = {1: 5.0, 2: 50.0, 3: 100.0}


def write_down(workspace: Workspace, kind: DeliveryEventKind, stage: int, detail: str = "") -> None:
    """An event as a controller or a person would write it."""
    weights = {"stable": 100 - SHARES.get(stage, 0), "canary": SHARES.get(stage, 0)}
    event = Event(1, int(datetime.now(UTC).timestamp() * 1000), kind, stage, weights, detail)
    with open_writer(workspace.warehouse) as con, transaction(con):
        add_event(con, "exam", event, fence=None)


def at_stage(workspace: Workspace, stage: int) -> None:
    """A delivery that has come so far."""
    for number in range(1, stage + 1):
        if number > 1:
            tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")
        assert one_step(workspace).state.stage == number


def decided(workspace: Workspace, stage: int, reason: str) -> None:
    """A controller decided on a stage, and was killed before it touched the target."""
    write_down(workspace, DeliveryEventKind.SHIFTING, stage, reason)


def during_the_shift(act: Callable[[], object], patched: pytest.MonkeyPatch) -> None:
    """A person acts while the target takes the new split."""
    shift = EnvoyRoutes.shift

    def slow(self: EnvoyRoutes, *arguments: object, **more: object) -> object:
        patched.undo()
        found = shift(self, *arguments, **more)  # type: ignore[arg-type]
        act()
        return found

    patched.setattr(EnvoyRoutes, "shift", slow)


# People


def test_a_second_approval_of_a_stage_is_none_of_the_stage_after(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_stage(workspace, 1)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "ann")
    # As one that was written before the shift was known of.
    during_the_shift(
        lambda: write_down(workspace, DeliveryEventKind.APPROVED, 1, "bob"), monkeypatch
    )
    assert one_step(workspace).state.approved is False
    assert one_step(workspace).state.stage == 2
    assert canary_share(workspace) == 50


def nothing(_: Workspace) -> None: ...


def ask(workspace: Workspace) -> None:
    write_down(workspace, DeliveryEventKind.ASKED, 1)


def decide(workspace: Workspace) -> None:
    decided(workspace, 2, APPROVED)


def go_back(workspace: Workspace) -> None:
    decided(workspace, 0, "harm")


@pytest.mark.parametrize(
    ("came", "stage", "said"),
    [
        (nothing, None, r"at stage 1 of 2 and asks nobody; .*verdict approve exam --stage 2"),
        (nothing, 1, r"at stage 1 of 2: stage 1 isn't next"),
        (nothing, 3, r"at stage 1 of 2: stage 3 isn't next"),
        (ask, 3, r"at stage 1 of 2: stage 3 isn't next"),
        (decide, None, "is about to begin stage 2: there is nothing to approve"),
        (decide, 2, "is about to begin stage 2: there is nothing to approve"),
        (go_back, None, "is going back: there is nothing to approve"),
        (nothing, 2, ""),
        (ask, 2, ""),
        (ask, None, ""),
    ],
)
def test_an_approval_is_of_a_stage_that_waits_for_it(
    workspace: Workspace, came: Callable[[Workspace], None], stage: int | None, said: str
) -> None:
    at_stage(workspace, 1)
    came(workspace)
    if not said:
        approve(workspace, "exam", "ann", stage=stage)
        assert one_step(workspace).state.stage == 2
    # By another person, who may have been asked as well.
    with pytest.raises(CannotDeliver, match=said or "asks nobody|isn't next"):
        approve(workspace, "exam", "bob", stage=stage)


def test_nothing_is_approved_before_the_first_stage(workspace: Workspace) -> None:
    at_stage(workspace, 1)
    with open_writer(workspace.warehouse) as con:
        con.execute("delete from delivery_events where kind <> 'began'")
    with pytest.raises(CannotDeliver, match="hasn't begun stage 1: there is nothing to approve"):
        approve(workspace, "exam", "ann")


def test_a_first_stage_that_needs_approval_waits_for_it(workspace: Workspace) -> None:
    first = "weights: {stable: 95, canary: 5}"
    spec = workspace.experiments / "exam.yaml"
    spec.write_text(SPEC.replace(first, f"{first}, approval: true"))
    for _ in range(2):
        assert "needs a person's approval; a person is asked" in one_step(workspace).said
    assert (canary_share(workspace), events(workspace)) == (0, [("began", 2), ("asked", 0)])
    approve(workspace, "exam", "ann")
    assert one_step(workspace).state.stage == 1
    assert canary_share(workspace) == 5


@pytest.mark.parametrize("stage", [1, 2])
def test_an_abort_during_a_shift_goes_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    at_stage(workspace, stage)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "ann")
    during_the_shift(lambda: tell(workspace, "exam", DeliveryEventKind.ABORTED, "bob"), monkeypatch)
    step = one_step(workspace)
    assert (step.state.outcome, canary_share(workspace)) == ("aborted", 0)
    assert step.said.startswith("aborted: ")


# A controller that was killed between deciding on a shift and making it


@pytest.mark.parametrize("carried", [False, True])
@pytest.mark.parametrize("reason", ["all guardrails are within their margins", APPROVED])
@pytest.mark.parametrize("stage", [1, 2])
def test_harm_since_a_decision_goes_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, stage: int, reason: str, carried: bool
) -> None:
    def harmful(*arguments: object, **more: object) -> VerdictDocument:
        document = score_with_notes(*arguments, **more)  # type: ignore[arg-type]
        return document.model_copy(update={"decision": Decision.ROLLBACK, "reasons": ("harm",)})

    at_stage(workspace, stage)
    decided(workspace, stage + 1, reason)
    if carried:
        _carry(workspace, stage + 1)
    _pass_an_hour(monkeypatch)
    monkeypatch.setattr("flows.delivery.step.score_with_notes", harmful)
    step = one_step(workspace)
    assert (step.state.outcome, canary_share(workspace)) == ("rolled back", 0)
    shifted = [number for kind, number in events(workspace) if kind == "shifted"]
    assert shifted == [*range(1, stage + 1), 0]


@pytest.mark.parametrize(
    ("reason", "late", "carried", "then"),
    [
        ("no harm", False, False, 2),
        ("no harm", True, False, 1),
        (APPROVED, True, False, 2),
        ("no harm", True, True, 2),
    ],
)
def test_an_old_decision_is_made_anew(
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
    reason: str,
    late: bool,
    carried: bool,
    then: int,
) -> None:
    at_stage(workspace, 1)
    decided(workspace, 2, reason)
    if carried:
        _carry(workspace, 2)
    if late:
        _pass_an_hour(monkeypatch)
    step = one_step(workspace)
    assert (step.state.stage, canary_share(workspace)) == (then, SHARES[then])
    assert step.state.pending is None
    assert one_step(workspace).state.stage == then


def _carry(workspace: Workspace, stage: int) -> None:
    """The controller was killed after it had touched the target."""
    routes, share = target(workspace), SHARES[stage]
    weights = {"stable": 100 - share, "canary": share}
    now = routes.read()
    routes.shift(weights, fence=now.fence, expected=now.revision, reason="")


def _pass_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    later = timedelta(hours=1)
    monkeypatch.setattr("flows.delivery.clock._wall", lambda: datetime.now(UTC) + later)


@pytest.mark.parametrize(("slept", "then"), [(timedelta(minutes=9), 2), (timedelta(minutes=11), 1)])
def test_a_look_before_a_long_sleep_begins_no_stage(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, slept: timedelta, then: int
) -> None:
    """A machine that was suspended after the look, or a source that took so long."""
    at_stage(workspace, 1)
    tell(workspace, "exam", DeliveryEventKind.APPROVED, "ann")

    def sleepy(*arguments: object, **more: object) -> VerdictDocument:
        found = score_with_notes(*arguments, **more)  # type: ignore[arg-type]
        monkeypatch.setattr(SteadyClock, "now", lambda _: datetime.now(UTC) + slept)
        return found

    monkeypatch.setattr("flows.delivery.step.score_with_notes", sleepy)
    step = one_step(workspace)
    assert (step.state.stage, canary_share(workspace)) == (then, SHARES[then])
    assert ("min ago, the next one decides" in step.said) == (then == 1)
    assert one_step(workspace).state.stage == 2


# What stops a controller, and what an edited spec does to a look


class Stop(BaseException):
    """As Prefect ends a run."""


def test_a_controller_that_is_told_to_stop_stops_in_the_middle_of_a_look(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise Stop

    steps = deliver(workspace, "exam", sleep=clock.sleep, stops=(*STOPS, Stop))
    with closing(steps):
        next(steps)
        monkeypatch.setattr("flows.delivery.step.pull_if_behind", stop)
        with pytest.raises(Stop):
            next(steps)
    monkeypatch.undo()
    assert one_step(workspace).state.stage == 1  # the lease was given up


@pytest.mark.parametrize(
    ("before", "after"),
    [("../routes.json", "../other.json"), ("{envoy:", "{route: exam, envoy:")],
)
def test_traffic_goes_back_where_it_was_shifted_and_nowhere_else(
    workspace: Workspace, before: str, after: str
) -> None:
    """Another target may carry the baseline's split already: nothing would go back."""
    spec = workspace.experiments / "exam.yaml"
    (workspace.root / "other.json").write_bytes((workspace.root / "routes.json").read_bytes())
    at_stage(workspace, 1)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
    spec.write_text(SPEC.replace(before, after))
    with pytest.raises(CannotDeliver, match=r"exam\.yaml: delivery\.target was changed since this"):
        one_step(workspace)
    spec.write_text(SPEC)
    assert one_step(workspace).state.outcome == "aborted"


@pytest.mark.parametrize(
    ("before", "after"), [("duration: 1h", "duration: 2h"), ("../routes.json", "../other.json")]
)
def test_a_delivery_that_never_shifted_anything_is_begun_anew_by_an_edited_spec(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    """As after a mistake in the spec, or while it waits for another experiment."""

    def refuse(*_: object, **__: object) -> None:
        raise CannotDeliver("no series of any variant")

    (workspace.root / "other.json").write_bytes((workspace.root / "routes.json").read_bytes())
    monkeypatch.setattr("flows.delivery.step.pull_if_behind", refuse)
    with pytest.raises(CannotDeliver, match="no series"):
        one_step(workspace)
    monkeypatch.undo()
    (workspace.experiments / "exam.yaml").write_text(SPEC.replace(before, after))
    state = one_step(workspace).state
    assert (state.number, state.stage) == (2, 1)


@pytest.mark.parametrize("outcome", ["promoted", "aborted"])
@pytest.mark.parametrize(
    ("before", "after"), [("v2.1.0", "v2.2.0"), ("duration: 1h", "duration: 2h")]
)
def test_the_end_of_a_delivery_is_none_of_the_next_version(
    workspace: Workspace, before: str, after: str, outcome: str
) -> None:
    at_stage(workspace, 2)
    kind = DeliveryEventKind.ABORTED if outcome == "aborted" else DeliveryEventKind.APPROVED
    tell(workspace, "exam", kind, "ann")
    assert one_step(workspace).state.outcome == outcome
    assert f"has ended: {outcome} at 2" in one_step(workspace).said
    routes = workspace.root / "routes.json"
    routes.write_text(routes.read_text().replace(before, after))
    (workspace.experiments / "exam.yaml").write_text(SPEC.replace(before, after))
    with pytest.raises(CannotDeliver, match=rf"\({outcome} at .*verdict deliver exam --again"):
        one_step(workspace)


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_a_look_by_a_spec_whose_stages_were_edited(workspace: Workspace, stages: int) -> None:
    at_stage(workspace, 2)
    first, *_ = (line for line in SPEC.splitlines() if "canary: 5}" in line)
    second = first.replace("95", "50").replace("5}", "50}")
    kept = SPEC.replace(f"{second}\n", "").replace(
        first, "\n".join([first, second, second][:stages])
    )
    (workspace.experiments / "exam.yaml").write_text(kept)
    assert look_at_experiment(workspace, "exam").decision is Decision.INVALID
    if stages != 2:
        with pytest.raises(CannotDeliver, match="stages were changed since this delivery"):
            list(preview(workspace, "exam"))


def test_who_was_asked_before_a_shift_is_not_waited_for_after_it(workspace: Workspace) -> None:
    at_stage(workspace, 1)
    decided(workspace, 2, APPROVED)
    ask(workspace)
    assert one_step(workspace).state.stage == 2
    with open_reader(workspace.warehouse) as con:
        assert run(con, "aggregate/waiting_deliveries").fetchall() == []


def test_a_path_to_a_spec_is_no_delivery_of_its_own(workspace: Workspace) -> None:
    (first,) = deliver(workspace, "./exam", once=True)
    assert first.state.stage == one_step(workspace).state.stage == 1
    with open_reader(workspace.warehouse) as con:
        assert con.execute("select experiment, fence from delivery_leases").fetchall() == [
            ("exam", 2)
        ]
