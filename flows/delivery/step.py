"""One step of a delivery: finish a shift that was decided, or look and decide on the next."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from analysis.explain.spans import span
from analysis.stage_progression import APPROVED, NEEDS_APPROVAL, Move, NextMove
from analysis.verdict import Decision
from flows.delivery.controller import Controller
from flows.delivery.fresh_baseline import prepare_baseline, remove_baseline
from flows.delivery.hooks import after_end, before_stage, has_hooks
from flows.delivery.lease import LeaseLost
from flows.delivery.move_after import move_after
from flows.delivery.stage_weights import same_split, shown_split, weights_of
from flows.delivery.targets.target import (
    NewerController,
    SplitChanged,
    TargetRefused,
    TargetUnavailable,
)
from flows.formats.time import milliseconds, milliseconds_of
from flows.ingest.pull import pull_if_behind
from flows.look.dependencies import waits_for
from flows.look.look import score_with_notes
from flows.look.verdict_document import VerdictDocument
from flows.notify import note_failure
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryState, Shift

ASKING = "a person is asked (verdict approve, verdict abort)"


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: a sentence, where the delivery then stands, and the look, if any.

    fault: what kept the step from being taken.
    """

    at: datetime
    said: str
    state: DeliveryState
    document: VerdictDocument | None = None
    fault: BaseException | None = None


def take_step(controller: Controller) -> Step:
    """Finishes a decided shift; else looks, decides, and begins the shift that follows.

    Raises what looks and targets raise; then nothing is lost, and the step can be taken again.
    """
    state = controller.read()
    if state.outcome is not None:
        return _step(state, f"has ended: {state.outcome.value} at {state.latest} (see --again)")
    is_going_back = state.pending is not None and state.pending.stage == 0
    reason = None if is_going_back else controller.memory.go_back or state.aborted
    if reason is not None:
        return go_back(controller, reason)
    if state.pending is not None and _is_old(controller, state, state.pending):
        return _decide_anew(controller, state, state.pending)
    if state.pending is not None:
        return _finish_unless_harm(controller, state)
    if state.stage == 0:
        return _begin(controller, state)
    return _look(controller, state)


def _begin(controller: Controller, state: DeliveryState) -> Step:
    """Nothing is shifted before the source has answered, and a person, where one is to approve."""
    _pull(controller)
    if controller.spec.stages[0].approval and not state.approved:
        return _ask(controller, state, NEEDS_APPROVAL, NEEDS_APPROVAL)
    return shift_to(controller, 1, "the delivery begins")


def shift_to(
    controller: Controller, stage: int, reason: str, document: VerdictDocument | None = None
) -> Step:
    """Writes the decision down first: whoever resumes here knows what was to be done.

    No stage begins while another experiment must come first. Then come the hooks before it: one
    that fails keeps the delivery where it is; after one that has passed the next look decides,
    which sees what it did.
    """
    if stage > 0 and (waits := _waits(controller)):
        return _step(controller.state, f"stays: {'; '.join(waits)}", document)
    if lacks := prepare_baseline(controller, stage):
        return _step(controller.state, f"stays: {lacks}", document)
    if stage > 0 and not controller.state.passed and has_hooks(controller, stage):
        failure = before_stage(controller, stage)
        if failure is not None:
            note_failure(controller.workspace.warehouse, controller.spec.experiment, failure)
            return _step(controller.state, f"stays: {failure}", document)
        said = f"the hooks before stage {stage} have passed"
        controller.add(controller.state, DeliveryEventKind.PASSED, stage, {}, said)
        if stage > 1:
            return _step(controller.state, f"stays: {said}, the next look decides", document)
    state, weights = controller.state, weights_of(controller.spec, stage)
    state = controller.add(state, DeliveryEventKind.SHIFTING, stage, weights, reason)
    return _finish(controller, state, document)


def go_back(controller: Controller, reason: str, document: VerdictDocument | None = None) -> Step:
    """Gives all traffic back to the baseline; once decided, it is tried until it is done.

    A warehouse that can't be written doesn't keep the traffic where it does harm: the target is
    shifted all the same, and the next step writes it down.
    """
    controller.memory.go_back = reason
    try:
        return shift_to(controller, 0, reason, document)
    except (LeaseLost, NewerController, TargetUnavailable, TargetRefused, SplitChanged):
        raise
    except Exception:
        _apply(controller, weights_of(controller.spec, 0), reason)
        raise


def _look(controller: Controller, state: DeliveryState) -> Step:
    at = controller.clock.now()
    spec = controller.spec
    document, failure = _judge(controller, at)
    move = move_after(spec, state, document, at)
    if failure is not None and move.move is not Move.ROLL_BACK:
        raise failure
    carried = None if move.move is Move.ROLL_BACK else controller.target.read().weights
    wanted = weights_of(spec, state.stage)
    if carried is not None and not state.approved and not same_split(carried, wanted):
        move = NextMove(
            Move.STAY,
            f"somebody has set {shown_split(carried)}, this stage has {shown_split(wanted)}: put "
            "it back, approve the next stage, or abort",
            asks=True,
        )
    if move.move is Move.ROLL_BACK:
        return go_back(controller, move.reason, document)
    # A person may have decided while the look was taken.
    state = controller.read()
    if state.aborted is not None:
        return go_back(controller, state.aborted, document)
    if move.move is Move.ADVANCE and (aged := _aged(controller, at)):
        return _step(state, f"stays: {aged}", document)
    if move.move is Move.ADVANCE:
        return shift_to(controller, state.stage + 1, move.reason, document)
    said = f"{document.decision.value}; {move.reason}"
    if move.asks:
        return _ask(controller, state, move.reason, said, document)
    return _step(state, said, document)


def _aged(controller: Controller, at: datetime) -> str | None:
    """Why a look is too old to act on: its machine slept, or what it asked took so long."""
    delivery, age = controller.spec.delivery, controller.clock.now() - at
    if delivery is None or age <= max(delivery.blind_for, 10 * controller.spec.plan.look_every):
        return None
    return f"this look was taken {span(milliseconds(age))} ago, the next one decides"


def _ask(
    controller: Controller,
    state: DeliveryState,
    reason: str,
    said: str,
    document: VerdictDocument | None = None,
) -> Step:
    """Asks a person, once a stage."""
    if not state.asked:
        state = controller.add(state, DeliveryEventKind.ASKED, state.stage, {}, reason)
    return _step(state, f"{said}; {ASKING}", document)


def _judge(controller: Controller, at: datetime) -> tuple[VerdictDocument, Exception | None]:
    """The verdict on what is known, and what kept more from being known, or it from being shown.

    Harm goes back on what is known: one source of several that fails hides no harm in the others.
    """
    failure: Exception | None = None
    warehouse, spec_dir = controller.workspace.warehouse, controller.path.parent
    try:
        pull_if_behind(controller.spec, warehouse, spec_dir=spec_dir, at=at)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised unless harm is shown
        failure = error
    try:
        document = score_with_notes(controller.spec, warehouse, spec_dir=spec_dir, at=at)
    except Exception as error:
        if failure is None:
            raise
        raise failure from error
    if failure is None:
        controller.memory.saw(document)
    try:
        document.write(controller.workspace.verdicts)
    except Exception as error:  # noqa: BLE001 - as above
        failure = failure or error
    return document, failure


def _is_old(controller: Controller, state: DeliveryState, shift: Shift) -> bool:
    """Whether more traffic was decided on so long ago that there would have been a look since."""
    waited_ms = milliseconds_of(controller.clock.now()) - shift.decided_ms
    return state.stage > 0 and waited_ms > milliseconds(controller.spec.plan.look_every)


def _decide_anew(controller: Controller, state: DeliveryState, shift: Shift) -> Step:
    """A look, as the candidate may have become harmful since; then the stage goes on.

    What the target carries already is written down; a person's approval stands.
    """
    document, failure = _judge(controller, controller.clock.now())
    if document.decision is Decision.ROLLBACK:
        return go_back(controller, document.reasons[0], document)
    if not same_split(controller.target.read().weights, shift.weights):
        if failure is not None:
            raise failure
        if shift.reason != APPROVED:
            weights = weights_of(controller.spec, state.stage)
            reason = "the next stage was decided on too long ago to begin: looks decide anew"
            kind = DeliveryEventKind.SHIFTING
            state = controller.add(state, kind, state.stage, weights, reason)
    return _finish(controller, state, document)


def _finish_unless_harm(controller: Controller, state: DeliveryState) -> Step:
    """Applies a decided shift; while that fails, the stage before it is still watched for harm."""
    try:
        return _finish(controller, state)
    except (LeaseLost, NewerController):
        raise
    except Exception:
        is_forward = state.stage > 0 and state.pending is not None and state.pending.stage > 0
        document = _harm(controller) if is_forward else None
        if document is None:
            raise
        return go_back(controller, document.reasons[0], document)


def _harm(controller: Controller) -> VerdictDocument | None:
    """The verdict of a look if it is to go back; None if it isn't, or can't be taken."""
    with suppress(Exception):
        document, _ = _judge(controller, controller.clock.now())
        if document.decision is Decision.ROLLBACK:
            return document
    return None


def _finish(
    controller: Controller, state: DeliveryState, document: VerdictDocument | None = None
) -> Step:
    """Applies the decided shift, unless the target carries it already, and writes that down."""
    shift = state.pending
    if shift is None:
        raise ValueError("no shift has been decided")
    _apply(controller, shift.weights, shift.reason)
    reason = shift.reason
    if shift.stage == 0 or shift.stage > state.stages:
        reason += remove_baseline(controller) + _kept(controller.spec)
        failure = after_end(controller, shift.stage)
        reason += f"; {failure}" if failure else ""
    state = controller.add(state, DeliveryEventKind.SHIFTED, shift.stage, shift.weights, reason)
    if state.aborted is not None and shift.stage > 0:
        return go_back(controller, state.aborted, document)
    ending = f"{state.outcome.value}: " if state.outcome else ""
    return _step(state, f"{ending}{shown_split(shift.weights)} ({reason})", document)


def _kept(spec: Experiment) -> str:
    """What the end of a delivery leaves as it is: routes that it doesn't shift."""
    own = [name for name, cohort in spec.cohorts.items() if cohort.split is not None]
    return f"; the routes of {', '.join(own)} keep the splits of their cohorts" if own else ""


def _apply(controller: Controller, weights: Mapping[str, float], reason: str) -> None:
    carried = controller.target.read()
    if not same_split(carried.weights, weights):
        controller.target.shift(
            weights, fence=controller.lease.fence, expected=carried.revision, reason=reason
        )


def _waits(controller: Controller) -> tuple[str, ...]:
    """Why the delivery may not go on: experiments that it comes after."""
    if not controller.spec.after:
        return ()
    with open_reader(controller.workspace.warehouse) as con:
        spec_dir, at = controller.path.parent, controller.clock.now()
        return tuple(waits_for(con, controller.spec, spec_dir, at))


def _pull(controller: Controller) -> None:
    warehouse, spec_dir = controller.workspace.warehouse, controller.path.parent
    pull_if_behind(controller.spec, warehouse, spec_dir=spec_dir, at=controller.clock.now())


def _step(state: DeliveryState, said: str, document: VerdictDocument | None = None) -> Step:
    return Step(datetime.now(UTC), said, state, document)
