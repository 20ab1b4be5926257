"""Whatever a source, the warehouse or the target does, a canary is never left alone.

Covers flows.delivery.blind.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from analysis.verdict import Decision
from flows.delivery.clock import SteadyClock
from flows.delivery.deliver import deliver, tell
from flows.delivery.lease import LEASE, take_lease
from flows.delivery.step import Step
from flows.delivery.targets.target import TargetRefused
from flows.ingest.requests.diagnosis import NothingCounted
from flows.look.verdict_document import VerdictDocument
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryOutcome
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import (
    Clock,
    canary_share,
    command,
    delivery_workspace,
    events,
    live_workspace,
    one_step,
    target,
    version,
)
from tests.places import PATIENCE_S
from tests.servers.faulty_source import ANSWERS
from tests.servers.live_counters import live_counters
from tests.servers.scripted_server import Reply

BLIND_S = 1.0


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Of which every look is invalid; a controller may be blind for a second."""
    return with_delivery(delivery_workspace(tmp_path), f"blind_for: {BLIND_S:g}s")


def with_delivery(workspace: Workspace, setting: str) -> Workspace:
    spec = workspace.experiments / "exam.yaml"
    old = "target: {envoy: ../routes.json}"
    spec.write_text(spec.read_text().replace(old, f"{setting}\n  {old}"))
    return workspace


class Hasty(Clock):
    """A pause of any length is over in a moment, and has lasted for so long."""

    def sleep(self, seconds: float) -> None:
        time.sleep(0.02)
        super().sleep(seconds)


HASTY = Hasty()


@pytest.fixture(autouse=True)
def _hasty() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("flows.delivery.deliver.time", HASTY)
        yield


def steps_of(workspace: Workspace) -> Generator[Step]:
    """The steps of a controller that hardly pauses."""
    return deliver(workspace, "exam", sleep=HASTY.sleep)


def lose_source(workspace: Workspace) -> None:
    (workspace.root / "demo").unlink()


def break_warehouse(workspace: Workspace) -> None:
    workspace.warehouse.write_bytes(b"no database at all" * 1000)


def break_target(workspace: Workspace) -> None:
    (workspace.root / "routes.json").write_text("{")


def fail_unexpectedly(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("flows.delivery.step.pull_if_behind", fail)


# The limit


@pytest.mark.parametrize("lose", [lose_source, break_target, break_warehouse])
def test_past_the_limit_a_person_is_asked(
    workspace: Workspace, lose: Callable[[Workspace], None]
) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        lose(workspace)
        before = next(steps)
        time.sleep(BLIND_S)
        after = next(steps)
        assert before.state.stage == after.state.stage == 1
        assert after.said.startswith(("nothing is shifted: ", "invalid; "))
        assert "no valid verdict for" in after.said
        assert "a person is asked (verdict approve, verdict abort)" in after.said


def test_invalid_looks_are_blind_as_well(workspace: Workspace) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        time.sleep(BLIND_S)
        assert "invalid; " in (said := next(steps).said)
        assert "a person is asked" in said
    assert events(workspace)[-1] == ("asked", 1)


@pytest.mark.parametrize("lose", [lose_source, break_warehouse])
def test_past_the_limit_it_goes_back_if_the_spec_says_so(
    workspace: Workspace, lose: Callable[[Workspace], None]
) -> None:
    with_delivery(workspace, "when_blind: roll_back")
    with closing(steps_of(workspace)) as steps:
        next(steps)
        lose(workspace)
        time.sleep(BLIND_S)
        said = next(steps).said
        assert canary_share(workspace) == 0
        assert "no valid verdict for" in said
        if lose is break_warehouse:
            # Not written down before the warehouse is there again.
            workspace.warehouse.unlink()
            *_, last = steps
            assert last.state.outcome is DeliveryOutcome.ROLLED_BACK
    assert events(workspace)[-2:] == [("shifting", 0), ("shifted", 0)]


def test_without_traffic_for_the_candidate_nobody_is_blind(workspace: Workspace) -> None:
    spec = workspace.experiments / "exam.yaml"
    spec.write_text(spec.read_text().replace("{stable: 95, canary: 5}", "{stable: 100, canary: 0}"))
    with closing(steps_of(workspace)) as steps:
        next(steps)
        time.sleep(BLIND_S)
        assert "asked" not in next(steps).said


def test_a_person_who_was_asked_is_heard_while_nothing_is_seen(workspace: Workspace) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        lose_source(workspace)
        time.sleep(BLIND_S)
        next(steps)
        tell(workspace, "exam", DeliveryEventKind.APPROVED, "seen elsewhere")
        assert next(steps).state.stage == 2
        tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        *_, last = steps
    assert last.state.outcome is DeliveryOutcome.ABORTED
    assert canary_share(workspace) == 0


def test_a_delivery_that_is_resumed_goes_on_without_source_and_target(
    workspace: Workspace,
) -> None:
    one_step(workspace)
    routes = (workspace.root / "routes.json").read_bytes()
    lose_source(workspace)
    break_target(workspace)
    with closing(steps_of(workspace)) as steps:
        assert next(steps).said.startswith("nothing is shifted: ")
        (workspace.root / "routes.json").write_bytes(routes)
        tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        *_, last = steps
    assert last.state.outcome is DeliveryOutcome.ABORTED


# The warehouse


def test_a_warehouse_that_is_replaced_gets_the_log_again(workspace: Workspace) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        workspace.warehouse.unlink()
        assert next(steps).state.stage == 1
        kept = [("began", 2), ("shifting", 1), ("shifted", 1)]
        assert events(workspace)[:3] == kept
        tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        *_, last = steps
    assert last.state.outcome is DeliveryOutcome.ABORTED
    assert canary_share(workspace) == 0


def test_a_warehouse_that_is_held_during_a_pause_ends_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(open_writer, wait_s=0.05)
    monkeypatch.setattr("flows.delivery.controller.open_writer", impatient)
    with closing(steps_of(workspace)) as steps:
        next(steps)
        with held(workspace):
            said = next(steps).said
        assert said.startswith("nothing is shifted: ")
        assert "is in use by" in said
        assert next(steps).said.startswith("invalid; ")


@contextmanager
def held(workspace: Workspace) -> Iterator[None]:
    """Another process has the warehouse."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from flows.warehouse.connection import open_writer\n"
        "with open_writer(Path(sys.argv[1])):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    python = command(workspace)[0]
    with subprocess.Popen(
        [python, "-c", code, str(workspace.warehouse)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()


def test_a_new_warehouse_begins_above_the_fence_of_the_target(workspace: Workspace) -> None:
    for _ in range(2):
        one_step(workspace)
    tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
    one_step(workspace)
    fence = target(workspace).read().fence
    workspace.warehouse.unlink()
    assert one_step(workspace).state.stage == 1
    assert target(workspace).read().fence > fence


# What nobody thought of


_ERRORS: tuple[BaseException, ...] = (
    *(KeyError("x"), RecursionError("deep"), MemoryError(), ValueError("²"), OSError(5, "io")),
    *(SystemExit(1), BaseException("a panic in Rust")),
)


def test_an_exception_that_nobody_thought_of_keeps_the_split(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        for error in _ERRORS:
            fail_unexpectedly(error, monkeypatch)
            step = next(steps)
            assert step.said.startswith(f"nothing is shifted: {type(error).__name__}: ")
            assert (step.fault, canary_share(workspace)) == (error, 5)
            monkeypatch.undo()
            assert next(steps).said.startswith("invalid; ")


def test_what_fails_before_anything_was_shifted_shows_at_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_unexpectedly(KeyError("x"), monkeypatch)
    with pytest.raises(KeyError):
        one_step(workspace)
    assert canary_share(workspace) == 0


def test_harm_goes_back_while_the_next_shift_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.delivery.targets.envoy_routes import EnvoyRoutes  # noqa: PLC0415
    from flows.look.look import score_with_notes  # noqa: PLC0415

    def refuse_half(self: EnvoyRoutes, weights: dict[str, float], **more: object) -> object:
        if weights["canary"] == 50:
            raise TargetRefused("half is not allowed")
        return shift(self, weights, **more)  # type: ignore[arg-type]

    def harmful(*arguments: object, **more: object) -> VerdictDocument:
        document = score_with_notes(*arguments, **more)  # type: ignore[arg-type]
        return document.model_copy(update={"decision": Decision.ROLLBACK, "reasons": ("harm",)})

    shift = EnvoyRoutes.shift
    with closing(steps_of(workspace)) as steps:
        next(steps)
        monkeypatch.setattr(EnvoyRoutes, "shift", refuse_half)
        tell(workspace, "exam", DeliveryEventKind.APPROVED, "go")
        assert "half is not allowed" in next(steps).said
        monkeypatch.setattr("flows.delivery.step.score_with_notes", harmful)
        last = next(steps)
    assert last.state.outcome is DeliveryOutcome.ROLLED_BACK
    assert canary_share(workspace) == 0


def test_a_closed_output_ends_no_delivery(workspace: Workspace) -> None:
    with subprocess.Popen(
        command(workspace, "deliver", "exam"), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        assert b"stable 95, canary 5" in process.stdout.readline()
        process.stdout.close()
        time.sleep(6)
        assert process.poll() is None
        tell(workspace, "exam", DeliveryEventKind.ABORTED, "enough")
        assert process.wait(timeout=PATIENCE_S) == 1
    assert canary_share(workspace) == 0


# Clocks


def test_a_clock_that_is_set_back_goes_on_from_the_latest_time_known() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    wall, elapsed = [noon], [100.0]
    clock = SteadyClock(lambda: wall[0], lambda: elapsed[0])
    assert clock.now() == noon
    wall[0], elapsed[0] = noon - timedelta(minutes=59), 160.0
    assert clock.now() == noon + timedelta(minutes=1)
    assert clock.behind() == timedelta(hours=1)
    clock.not_before(noon + timedelta(minutes=5))
    assert clock.now() == noon + timedelta(minutes=5)
    wall[0] = noon + timedelta(minutes=7)
    assert (clock.now(), clock.behind()) == (wall[0], timedelta(0))


def test_a_clock_that_is_set_back_takes_no_stage_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(steps_of(workspace)) as steps:
        next(steps)
        begun = datetime.now(UTC)
        hour = timedelta(hours=1)
        monkeypatch.setattr("flows.delivery.clock._wall", lambda: datetime.now(UTC) - hour)
        step = next(steps)
        assert step.document is not None
        assert step.document.look_at > begun - timedelta(minutes=1)


def test_a_lease_from_a_clock_that_was_ahead_lasts_no_longer_than_any(
    workspace: Workspace,
) -> None:
    take_lease(workspace.warehouse, "exam")
    with open_writer(workspace.warehouse) as con, transaction(con):
        con.execute("update delivery_leases set until = until + interval 1 hour")
    waited: list[float] = []
    with closing(deliver(workspace, "exam", once=True, sleep=waited.append)) as steps:
        assert next(steps).state.stage == 1
    assert LEASE.total_seconds() <= waited[0] < LEASE.total_seconds() + 1


# All of it, on a server whose data is good before and after


def _empty() -> Reply:
    data = {"resultType": "matrix", "result": []}
    return Reply(200, json.dumps({"status": "success", "data": data}).encode())


def test_a_delivery_waits_for_its_first_series_and_begins_with_them(tmp_path: Path) -> None:
    with live_counters() as counters:
        counters.reply = _empty
        workspace = live_workspace(tmp_path, counters.url)
        with closing(steps_of(workspace)) as steps:
            for step in (next(steps), next(steps)):
                assert "no series" in step.said or "no metric" in step.said
                assert (step.state.stage, step.state.outcome) == (0, None)
            assert (canary_share(workspace), version(workspace)) == (0, 7)
            counters.reply = None
            assert next(steps).state.stage == 1
    assert canary_share(workspace) == 5


@pytest.mark.parametrize("once", [True, False])
def test_series_that_never_come_end_a_delivery_that_has_not_begun(
    tmp_path: Path, once: bool
) -> None:
    with live_counters() as counters:
        counters.reply = _empty
        workspace = with_delivery(live_workspace(tmp_path, counters.url), "blind_for: 1s")
        began = time.monotonic()
        with pytest.raises(NothingCounted):
            list(deliver(workspace, "exam", once=once, sleep=HASTY.sleep))
        assert once or time.monotonic() - began >= BLIND_S
        assert (canary_share(workspace), version(workspace)) == (0, 7)


def test_no_answer_of_a_source_ends_a_delivery_and_harm_still_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.ingest.sources.prometheus_connection.time.sleep", lambda _: None)
    with (
        live_counters() as counters,
        closing(steps_of(live_workspace(tmp_path, counters.url))) as steps,
    ):
        assert next(steps).state.stage == 1
        for name, reply in ANSWERS.items():
            counters.reply = reply
            step = next(steps)
            assert step.said.startswith("nothing is shifted: "), name
            assert (step.state.stage, step.state.outcome) == (1, None), name
        counters.reply = None
        assert next(steps).said.startswith(("hold; ", "invalid; "))
        counters.fail()
        deadline = time.monotonic() + 120
        for last in steps:
            step = last
            assert time.monotonic() < deadline
        assert step.state.outcome is DeliveryOutcome.ROLLED_BACK
