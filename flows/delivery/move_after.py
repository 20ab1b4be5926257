"""The move that follows from a look, by the stage that a delivery is in."""

from __future__ import annotations

from datetime import datetime

from analysis.stage_progression import NextMove, StageNow, next_move
from flows.delivery.stage_weights import weights_of
from flows.formats.time import milliseconds, milliseconds_of
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.warehouse.delivery_log import DeliveryState


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
        next_compares=not after or weights_of(spec, state.stage + 1).get(spec.baseline, 0) > 0,
    )
    return next_move(now, document.decision, document.reasons, document.metrics, document.waits)
