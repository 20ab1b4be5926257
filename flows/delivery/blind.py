"""What a controller does when a step can't be taken: it says so, and past a limit it acts."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from analysis.explain.spans import span
from analysis.stage_progression import APPROVED
from analysis.verdict import Decision
from flows.delivery.controller import Controller
from flows.delivery.lease import LeaseLost
from flows.delivery.step import ASKING, Step, go_back, shift_to
from flows.delivery.targets.target import NewerController, SplitChanged, TargetRefused
from flows.formats.problems import UserError
from flows.formats.safe_text import safe_text
from flows.formats.time import milliseconds, milliseconds_of
from flows.ingest.requests.diagnosis import NothingCounted
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryState

_TOLERANCE_S = 60.0
ENDS_CONTROLLER = (LeaseLost, NewerController)
"""Another controller has the delivery now: this one must not act any more."""


def is_underway(state: DeliveryState | None, error: BaseException) -> bool:
    """Whether the candidate may have traffic: then no error ends the delivery.

    After an error that says that nothing was shifted, a first shift hasn't been made.
    """
    if state is None or not state.shifts or state.outcome is not None:
        return False
    return state.stage > 0 or not isinstance(error, TargetRefused | SplitChanged)


def waits_to_begin(controller: Controller, error: BaseException) -> bool:
    """Whether nothing is scraped yet of what a delivery needs to begin: for so long it waits."""
    if not isinstance(error, NothingCounted) or controller.spec.delivery is None:
        return False
    now_ms = milliseconds_of(controller.clock.now())
    since_ms = controller.memory.waits_since_ms = controller.memory.waits_since_ms or now_ms
    return now_ms - since_ms < milliseconds(controller.spec.delivery.blind_for)


def after_failure(controller: Controller, error: BaseException) -> Step:
    """The step that stands for one that failed: the split stays; past the limit the spec decides.

    Raises LeaseLost and NewerController.
    """
    if controller.memory.go_back is not None:
        return _go_back(controller, controller.memory.go_back)
    step = _step(controller, f"nothing is shifted: {_told(error)}", error)
    return _within_limit(controller, step) if is_underway(controller.memory.state, error) else step


def after_look(controller: Controller, step: Step) -> Step:
    """The step, or what follows where looks have been invalid for too long."""
    is_invalid = step.document is not None and step.document.decision is Decision.INVALID
    is_watched = step.state.outcome is None and step.state.pending is None
    return _within_limit(controller, step) if is_invalid and is_watched else step


def _within_limit(controller: Controller, step: Step) -> Step:
    """The step before the limit; past it the spec decides: all goes back, or a person is asked."""
    state, delivery = controller.state, controller.spec.delivery
    weights = state.shifts[-1].weights
    has_traffic = any(weights.get(name, 0.0) > 0 for name in controller.spec.candidates)
    blind_ms = _blind_ms(controller)
    if delivery is None or not has_traffic or blind_ms < milliseconds(delivery.blind_for):
        return step
    reason = f"no valid verdict for {span(blind_ms)}"
    if delivery.when_blind == "roll_back":
        return _go_back(controller, f"{reason}: {step.said}")
    said = f"{step.said}; {reason}"
    try:
        if step.fault is not None and controller.read().approved:
            return shift_to(controller, controller.state.stage + 1, APPROVED)
        if not controller.state.asked:
            controller.add(
                controller.state, DeliveryEventKind.ASKED, controller.state.stage, {}, said
            )
    except ENDS_CONTROLLER:
        raise
    except Exception as further:  # noqa: BLE001 - a person is told both
        said = f"{said}; {_told(further)}"
    asking = "" if ASKING in said else f"; {ASKING}"
    return replace(step, said=f"{said}{asking}", state=controller.state)


def _go_back(controller: Controller, reason: str) -> Step:
    try:
        return go_back(controller, reason)
    except ENDS_CONTROLLER:
        raise
    except Exception as error:  # noqa: BLE001 - it is tried again, and a person is told
        return _step(controller, f"{reason}; going back: {_told(error)}", error)


def _blind_ms(controller: Controller) -> int:
    """How long the candidate has had traffic without a valid verdict on it."""
    state, seen_ms = controller.state, controller.memory.seen_ms or 0
    applied = [shift.applied_ms for shift in state.shifts if shift.applied_ms is not None]
    began_ms = applied[-1] if applied else state.latest_ms
    return milliseconds_of(controller.clock.now()) - max(seen_ms, began_ms)


def _told(error: BaseException) -> str:
    """The message; what is no error of ours says its kind, too."""
    if isinstance(error, UserError):
        return str(error)
    return safe_text(f"{type(error).__name__}: {error}")


def _step(controller: Controller, said: str, fault: BaseException) -> Step:
    behind = controller.clock.behind().total_seconds()
    if behind > _TOLERANCE_S:
        said = f"{said}; this machine's clock was set back by {span(1000 * behind)}"
    with suppress(Exception):
        return Step(controller.clock.now(), said, controller.read(), fault=fault)
    return Step(controller.clock.now(), said, controller.state, fault=fault)
