"""Progressive delivery: looks, shifts traffic from stage to stage, and rolls back on harm.

All that a controller must know is in the warehouse: a shift is written down before the target is
touched, and again when the target carries it. So one that is killed anywhere is resumed by starting
another one, and no shift is made twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from datetime import UTC, datetime

from flows.delivery.controller import CannotDeliver, Controller
from flows.delivery.lease import LEASE, Lease, LeaseHeld, take_lease
from flows.delivery.step import Step, take_step
from flows.delivery.targets.open_target import open_target
from flows.delivery.targets.target import SplitChanged, TargetRefused, TargetUnavailable
from flows.formats.time import milliseconds_of
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.staging import StagingFailed
from flows.look.verdict_document import VerdictNotWritten
from flows.warehouse.connection import WarehouseBusy, open_writer, transaction
from flows.warehouse.delivery_log import (
    DeliveryEventKind,
    DeliveryState,
    Event,
    add_event,
    read_delivery,
)
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace

# After its first step a delivery doesn't end by these: the split stays, and it tries again.
_PASSING = (
    SourceRefused,
    SourceUnavailable,
    SplitChanged,
    StagingFailed,
    TargetRefused,
    TargetUnavailable,
    UserDataRefused,
    VerdictNotWritten,
    WarehouseBusy,
)
_RETRY_S = 5.0
_RENEW_S = LEASE.total_seconds() / 3

Sleep = Callable[[float], None]


def deliver(
    workspace: Workspace,
    name: str,
    *,
    again: bool = False,
    once: bool = False,
    sleep: Sleep = time.sleep,
) -> Generator[Step]:
    """The steps of a delivery, begun or gone on with, until it has ended; with once only one.

    again: begins anew where the last delivery has ended.
    Raises CannotDeliver, LeaseHeld, LeaseLost, NewerController, InputError and WarehouseUnusable;
    before the first step has been taken also what a source, a target or the warehouse raises.
    """
    path, spec = find_spec(workspace.experiments, name)
    target = open_target(spec, spec_dir=path.parent)
    target.read()
    lease = _lease(workspace, name, sleep)
    try:
        controller = Controller(workspace, path, spec, target, lease)
        controller.begin(again=again)
        yield from _steps(controller, once, sleep)
    finally:
        lease.release(workspace.warehouse)


def tell(workspace: Workspace, name: str, kind: DeliveryEventKind, detail: str) -> DeliveryState:
    """Writes down what a person has decided: APPROVED or ABORTED. The controller acts on it.

    Raises CannotDeliver if nothing is being delivered, or nothing is left to decide.
    """
    _, spec = find_spec(workspace.experiments, name)
    now = datetime.now(UTC)
    with open_writer(workspace.warehouse) as con, transaction(con):
        state = read_delivery(con, spec.experiment)
        if state is None:
            raise CannotDeliver(f"{name} has never been delivered (verdict deliver {name})")
        if state.outcome is not None:
            raise CannotDeliver(f"the delivery of {name} has ended: {state.outcome.value}")
        if state.aborted is not None:
            raise CannotDeliver(f"the delivery of {name} is already aborted: {state.aborted}")
        event = Event(state.number, milliseconds_of(now), kind, state.stage, {}, detail)
        add_event(con, spec.experiment, event, fence=None)
    return state


def _lease(workspace: Workspace, name: str, sleep: Sleep) -> Lease:
    """The lease; that of a controller that was killed ends by itself. Raises LeaseHeld."""
    try:
        return take_lease(workspace.warehouse, name)
    except LeaseHeld as error:
        sleep(max(0.0, (error.until - datetime.now(UTC)).total_seconds()) + 0.1)
    return take_lease(workspace.warehouse, name)


def _steps(controller: Controller, once: bool, sleep: Sleep) -> Iterator[Step]:
    """Takes steps; the first must succeed, so that a mistake in the spec shows at once."""
    step = take_step(controller)
    yield step
    while not once and step.state.outcome is None:
        _rest(controller, step, sleep)
        try:
            step = take_step(controller)
        except _PASSING as error:
            step = Step(datetime.now(UTC), f"nothing is shifted: {error}", controller.read())
        yield step


def _rest(controller: Controller, step: Step, sleep: Sleep) -> None:
    """Waits for the next look, a decided shift or a person; keeps the lease meanwhile."""
    pause = controller.spec.plan.look_every.total_seconds()
    if step.state.pending is not None:
        pause = min(pause, _RETRY_S)
    until = time.monotonic() + pause
    while (left := until - time.monotonic()) > 0:
        sleep(min(left, _RENEW_S))
        now = controller.read()
        if (now.approved, now.aborted) != (step.state.approved, step.state.aborted):
            return
