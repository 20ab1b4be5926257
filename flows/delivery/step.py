"""One step of a delivery: finish a shift that was decided, or look and decide on the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from analysis.stage_progression import Move, NextMove, StageNow, next_move
from flows.delivery.controller import Controller
from flows.formats.time import milliseconds, milliseconds_of
from flows.ingest.pull import pull_if_behind
from flows.look.look import look_by_spec
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryState

# Percent. Targets round: a VirtualService has whole percents.
_SAME_WEIGHT = 0.05


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did: a sentence, where the delivery then stands, and the look, if any."""

    at: datetime
    said: str
    state: DeliveryState
    document: VerdictDocument | None = None


def take_step(controller: Controller) -> Step:
    """Finishes a decided shift; else looks, decides, and begins the shift that follows.

    Raises what looks and targets raise; then nothing is lost, and the step can be taken again.
    """
    state = controller.read()
    if state.outcome is not None:
        return _step(state, f"has ended: {state.outcome.value}")
    if state.pending is not None and (state.aborted is None or state.pending.stage == 0):
        return _finish(controller, state)
    if state.aborted is not None:
        return _shift(controller, state, 0, state.aborted)
    if state.stage == 0:
        # Nothing is shifted before the source has answered.
        _pull(controller)
        return _shift(controller, state, 1, "the delivery begins")
    return _look(controller, state)


def weights_of(spec: Experiment, stage: int) -> dict[str, float]:
    """Percent by variant of a stage: 0 is all to the baseline, after the last all to the other."""
    if 0 < stage <= len(spec.stages):
        return dict(spec.stages[stage - 1].weights)
    chosen = spec.candidates[0] if stage else spec.baseline
    return {name: 100.0 if name == chosen else 0.0 for name in spec.variants}


def same_split(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two splits are the same, but for a target's rounding."""
    names = set(one) | set(other)
    return all(abs(one.get(n, 0.0) - other.get(n, 0.0)) <= _SAME_WEIGHT for n in names)


def shown_split(weights: Mapping[str, float]) -> str:
    """Weights as a person writes them: stable 95, canary 5."""
    return ", ".join(f"{name} {weight:g}" for name, weight in weights.items())


def move_after(
    spec: Experiment, state: DeliveryState, document: VerdictDocument, at: datetime
) -> NextMove:
    """The move that follows from one look in the stage that the delivery is in."""
    stages, applied = spec.stages, state.shifts[-1]
    stage = stages[state.stage - 1]
    after = stages[state.stage : state.stage + 1]
    if spec.delivery is None or applied.applied_ms is None:
        raise ValueError("only a stage that is applied has a next move")
    begin_ms = applied.applied_ms + milliseconds(spec.delivery.settle)
    now = StageNow(
        number=state.stage,
        of=state.stages,
        elapsed_ms=milliseconds_of(at) - begin_ms,
        seen_ms=milliseconds_of(min(at, document.watermark or at)) - begin_ms,
        shortest_ms=milliseconds(stage.duration),
        longest_ms=milliseconds(stage.longest),
        next_needs_approval=after[0].approval if after else spec.delivery.approval,
        approved=state.approved,
    )
    return next_move(now, document.decision, document.reasons, document.metrics)


def _look(controller: Controller, state: DeliveryState) -> Step:
    at = datetime.now(UTC)
    spec = controller.spec
    document = look_by_spec(controller.workspace, controller.path, spec, at=at)
    carried = controller.target.read().weights
    wanted = weights_of(spec, state.stage)
    move = move_after(spec, state, document, at)
    if move.move is not Move.ROLL_BACK and not state.approved and not same_split(carried, wanted):
        move = NextMove(
            Move.STAY,
            f"somebody has set {shown_split(carried)}, this stage has {shown_split(wanted)}: put "
            "it back, approve the next stage, or abort",
            asks=True,
        )
    # A person may have decided while the look was taken.
    state = controller.read()
    if state.aborted is not None:
        move = NextMove(Move.ROLL_BACK, state.aborted)
    if move.move is Move.STAY:
        if move.asks and not state.asked:
            state = controller.add(state, DeliveryEventKind.ASKED, state.stage, {}, move.reason)
        asking = "; a person is asked (verdict approve, verdict abort)" if move.asks else ""
        return _step(state, f"{document.decision.value}; {move.reason}{asking}", document)
    stage = 0 if move.move is Move.ROLL_BACK else state.stage + 1
    return _shift(controller, state, stage, move.reason, document)


def _shift(
    controller: Controller,
    state: DeliveryState,
    stage: int,
    reason: str,
    document: VerdictDocument | None = None,
) -> Step:
    """Writes the decision down first: whoever resumes here knows what was to be done."""
    weights = weights_of(controller.spec, stage)
    state = controller.add(state, DeliveryEventKind.SHIFTING, stage, weights, reason)
    return _finish(controller, state, document)


def _finish(
    controller: Controller, state: DeliveryState, document: VerdictDocument | None = None
) -> Step:
    """Applies the decided shift, unless the target carries it already, and writes that down."""
    shift = state.pending
    if shift is None:
        raise ValueError("no shift has been decided")
    carried = controller.target.read()
    if not same_split(carried.weights, shift.weights):
        controller.target.shift(
            shift.weights,
            fence=controller.lease.fence,
            expected=carried.revision,
            reason=shift.reason,
        )
    state = controller.add(
        state, DeliveryEventKind.SHIFTED, shift.stage, shift.weights, shift.reason
    )
    ending = f"{state.outcome.value}: " if state.outcome else ""
    return _step(state, f"{ending}{shown_split(shift.weights)} ({shift.reason})", document)


def _pull(controller: Controller) -> None:
    warehouse, spec_dir = controller.workspace.warehouse, controller.path.parent
    pull_if_behind(controller.spec, warehouse, spec_dir=spec_dir, at=datetime.now(UTC))


def _step(state: DeliveryState, said: str, document: VerdictDocument | None = None) -> Step:
    return Step(datetime.now(UTC), said, state, document)
