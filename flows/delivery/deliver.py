"""Progressive delivery: looks, shifts traffic from stage to stage, and rolls back on harm.

All that a controller must know is in the warehouse: a shift is written down before the target is
touched, and again when the target carries it. So one that is killed anywhere is resumed by starting
another one, and no shift is made twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from flows.delivery.blind import (
    ENDS_CONTROLLER,
    after_failure,
    after_look,
    is_underway,
    waits_to_begin,
)
from flows.delivery.controller import CannotDeliver, Controller
from flows.delivery.lease import LEASE, Lease, LeaseHeld, take_lease
from flows.delivery.step import Step, take_step
from flows.delivery.targets.open_target import open_target
from flows.delivery.targets.target import TrafficTarget
from flows.formats.problems import UserError
from flows.formats.time import milliseconds_of
from flows.notify import Sender, note_failure
from flows.warehouse.connection import open_reader, open_writer, transaction
from flows.warehouse.delivery_log import (
    DeliveryEventKind,
    DeliveryState,
    Event,
    add_event,
    read_delivery,
)
from flows.warehouse.statements import Connection
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace

_log = logging.getLogger(__name__)
_RETRY_S = 5.0
_RENEW_S = LEASE.total_seconds() / 3
_Ends = tuple[type[BaseException], ...]

Sleep = Callable[[float], None]
STOPS: _Ends = (KeyboardInterrupt,)
"""What ends a controller, and is no mistake that its delivery outlives."""


def deliver(
    workspace: Workspace,
    name: str,
    *,
    again: bool = False,
    once: bool = False,
    sleep: Sleep = time.sleep,
    stops: _Ends = STOPS,
) -> Generator[Step]:
    """The steps of a delivery, begun or gone on with, until it has ended; with once only one.

    again: begins anew where the last delivery has ended. stops: how it is told to stop.
    Raises CannotDeliver, LeaseHeld, LeaseLost, NewerController and InputError; also whatever a
    source, a target or the warehouse raises before anything has been shifted, and with once.
    """
    path, spec = find_spec(workspace.experiments, name)
    name = spec.experiment  # a path to its file, such as ./exam, is no lease of its own
    target = open_target(spec, spec_dir=path.parent)
    lease = _lease(workspace, name, sleep, above=_fence_of(workspace, name, target))
    try:
        controller = Controller(workspace, path, spec, target, lease)
        controller.begin(again=again)
        yield from _steps(controller, once, sleep, (*ENDS_CONTROLLER, *stops))
    finally:
        # Who can't give it up leaves it to its end.
        with suppress(UserError):
            lease.release(workspace.warehouse)


def _fence_of(workspace: Workspace, name: str, target: TrafficTarget) -> int:
    """The fence that the target carries; a target that fails keeps no delivery from going on.

    Raises what the target raises where nothing has been shifted.
    """
    try:
        return target.read().fence
    except Exception as error:
        if workspace.warehouse.exists():
            with open_reader(workspace.warehouse) as con:
                if is_underway(read_delivery(con, name), error):
                    return 0
        raise


def tell(workspace: Workspace, name: str, kind: DeliveryEventKind, detail: str) -> DeliveryState:
    """Writes down what a person has decided: APPROVED or ABORTED. The controller acts on it.

    Raises CannotDeliver if nothing is being delivered, or nothing is left to decide.
    """
    _, spec = find_spec(workspace.experiments, name)
    with open_writer(workspace.warehouse) as con, transaction(con):
        return tell_within(con, spec.experiment, kind, detail)


def tell_within(con: Connection, name: str, kind: DeliveryEventKind, detail: str) -> DeliveryState:
    """The same, in a transaction that is open."""
    state = read_delivery(con, name)
    if state is None:
        raise CannotDeliver(f"{name} has never been delivered (verdict deliver {name})")
    if state.outcome is not None:
        raise CannotDeliver(f"the delivery of {name} has ended: {state.outcome.value}")
    if state.aborted is not None:
        raise CannotDeliver(f"the delivery of {name} is already aborted: {state.aborted}")
    if kind is DeliveryEventKind.APPROVED and (why := _leaves_nothing_to_approve(state)):
        raise CannotDeliver(f"the delivery of {name} {why}: there is nothing to approve")
    event = Event(state.number, milliseconds_of(datetime.now(UTC)), kind, state.stage, {}, detail)
    add_event(con, name, event, fence=None)
    return state


def _leaves_nothing_to_approve(state: DeliveryState) -> str | None:
    """Where a delivery is on its way already; who was asked meanwhile may still answer."""
    if state.pending is not None and state.pending.stage == 0:
        return "is going back"
    if state.asked:
        return None
    if state.pending is not None:
        return f"is about to begin stage {state.pending.stage}"
    return "hasn't begun stage 1" if state.stage == 0 else None


def _lease(workspace: Workspace, name: str, sleep: Sleep, *, above: int) -> Lease:
    """The lease; that of a controller that was killed ends by itself. Raises LeaseHeld."""
    try:
        return take_lease(workspace.warehouse, name, above=above)
    except LeaseHeld as error:
        held = error
    # As long as a lease lasts, whatever the clocks say.
    left = (held.until - datetime.now(UTC)).total_seconds()
    sleep(min(max(0.0, left), LEASE.total_seconds()) + 0.1)
    is_stuck = left > LEASE.total_seconds()
    waited_for = held.until if is_stuck else None
    return take_lease(workspace.warehouse, name, above=above, waited_for=waited_for)


def _steps(controller: Controller, once: bool, sleep: Sleep, ends: _Ends) -> Iterator[Step]:
    """Takes steps until the delivery has ended.

    What fails before anything was shifted is raised, so that a mistake in the spec shows at once; a
    series that isn't scraped yet is waited for as long as blind_for. After that only another
    controller ends this one.
    """
    mail = Sender(controller.workspace.warehouse, _log.warning)
    while True:
        step = _attempt(controller, ends)
        if step.fault is not None:
            note_failure(
                controller.workspace.warehouse, controller.spec.experiment, str(step.fault)
            )
        # A slow service delays neither the next look nor a way back.
        mail.send()
        if once and step.fault is not None and step.state.outcome is None:
            mail.finish()
            raise step.fault
        yield step
        if once or step.state.outcome is not None:
            mail.finish()
            return
        _rest(controller, step, sleep, ends)


def _attempt(controller: Controller, ends: _Ends) -> Step:
    try:
        return after_look(controller, take_step(controller))
    except ends:
        raise
    except BaseException as error:
        # Also what is no Exception: a library's exit, the panic of one in Rust.
        is_under_way = is_underway(controller.memory.state, error)
        if not is_under_way and not waits_to_begin(controller, error):
            raise
        return after_failure(controller, error)


def _rest(controller: Controller, step: Step, sleep: Sleep, ends: _Ends) -> None:
    """Waits for the next look, a decided shift or a person; keeps the lease meanwhile."""
    pause = controller.spec.plan.look_every.total_seconds()
    if step.state.pending is not None or controller.memory.go_back is not None:
        pause = min(pause, _RETRY_S)
    until = time.monotonic() + pause
    while (left := until - time.monotonic()) > 0:
        sleep(min(left, _RENEW_S))
        try:
            now = controller.read()
        except ends:
            raise
        except BaseException:  # noqa: BLE001 - the next step says it, if it lasts
            continue
        if (now.approved, now.aborted) != (step.state.approved, step.state.aborted):
            return
