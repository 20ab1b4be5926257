"""Progressive delivery: one controller at a time, whichever is killed, late or slow.

Every look is invalid here (see delivery_workspace), so that only a person lets a delivery go on.
"""

from __future__ import annotations

import fcntl
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from flows.delivery.deliver import deliver
from flows.delivery.lease import LeaseHeld, LeaseLost, take_lease
from flows.delivery.targets.envoy_routes import EnvoyRoutes
from flows.delivery.targets.target import AppliedSplit, NewerController
from flows.warehouse.connection import open_writer, transaction
from flows.workspace.paths import Workspace
from tests.builders.delivery_workspace import (
    Clock,
    canary_share,
    command,
    events,
    live_workspace,
    one_step,
    target,
    version,
)
from tests.places import PATIENCE_S, at_load
from tests.servers.live_counters import live_counters
from tests.servers.scripted_server import Reply, tcp_server


def end_lease_sooner(workspace: Workspace, seconds: float) -> None:
    """In place of waiting: the lease ends so much earlier."""
    with open_writer(workspace.warehouse) as con, transaction(con):
        con.execute("update delivery_leases set until = until - to_microseconds(?)",
                    [round(seconds * 1e6)])  # fmt: skip


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
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        end_lease_sooner(workspace, seconds)

    (step,) = deliver(workspace, "exam", once=True, sleep=wait)
    # The dead one's lease is waited for, once; had it been too short, LeaseHeld would be raised.
    assert len(waits) == 1
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


def test_a_second_controller_waits_for_the_lease_and_then_gives_up(
    workspace: Workspace, clock: Clock
) -> None:
    first = deliver(workspace, "exam", sleep=clock.sleep)
    next(first)

    def still_alive(seconds: float) -> None:
        assert 0 < seconds < 31
        next(first)

    with pytest.raises(LeaseHeld, match=r"exam is being delivered by process \d+ on"):
        next(deliver(workspace, "exam", sleep=still_alive))
    first.close()
    assert one_step(workspace).state.stage == 1


def test_a_controller_that_lost_its_lease_does_nothing(workspace: Workspace, clock: Clock) -> None:
    slept = deliver(workspace, "exam", sleep=clock.sleep)
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


def test_it_stops_when_told_and_the_lease_is_free_at_once(workspace: Workspace) -> None:
    running = subprocess.Popen(command(workspace, "deliver", "exam"), stdout=subprocess.PIPE)
    assert running.stdout is not None
    assert b"stage 1 of 2: stable 95, canary 5" in running.stdout.readline()
    running.send_signal(signal.SIGTERM)
    assert running.wait(at_load(20)) == 3
    running.stdout.close()

    def never(_: float) -> None:
        raise AssertionError("the lease was kept")

    assert next(deliver(workspace, "exam", sleep=never)).state.stage == 1


@pytest.mark.parametrize("silent", ["the source", "a hook"])
def test_it_stops_though_nobody_answers(tmp_path: Path, silent: str) -> None:
    over, asked = threading.Event(), threading.Event()

    def say_nothing() -> Reply:
        asked.set()
        over.wait(PATIENCE_S)
        return Reply(503, b"")

    def hang(_: socket.socket) -> None:
        say_nothing()

    with live_counters() as counters, tcp_server(hang) as url:
        workspace = live_workspace(tmp_path, counters.url)
        if silent == "a hook":
            spec = workspace.experiments / "exam.yaml"
            hook = f"  hooks: [{{when: before_stage, http: {url}, timeout: 5m}}]\n"
            spec.write_text(spec.read_text() + hook)
        else:
            counters.reply = say_nothing
        running = subprocess.Popen(command(workspace, "deliver", "exam"))
        try:
            assert asked.wait(PATIENCE_S)
            running.send_signal(signal.SIGTERM)
            assert running.wait(at_load(30)) == 3
        finally:
            running.kill()
            running.wait()
            over.set()
