"""What a person decides: on a delivery's next stage, and on the signals that hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from flows.delivery.controller import CannotDeliver
from flows.delivery.deliver import tell, tell_within
from flows.warehouse.connection import open_writer, transaction
from flows.warehouse.delivery_log import DeliveryEventKind, DeliveryState, read_delivery
from flows.warehouse.statements import Connection, run
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace

# No two shares are farther apart: of a harm that nothing bounds, no more can be approved.
_ANY_SHARE = 1.0


@dataclass(frozen=True, slots=True)
class Approval:
    """What was approved: names of signals, and the delivery whose stage it was, if any."""

    signals: tuple[str, ...]
    delivery: DeliveryState | None


def approve(workspace: Workspace, name: str, detail: str, *, stage: int | None = None) -> Approval:
    """Approves the signals that hold at the latest look, and the next stage of a delivery.

    Looks from now on allow a signal as much harm as it may have had then; more holds again.
    stage: the one that may begin (one more than there are: all traffic); None where the delivery
        has asked for one. An answer that comes twice, or late, is none to what is asked next.
    Raises CannotDeliver where nothing waits for an approval.
    """
    _, spec = find_spec(workspace.experiments, name)
    with open_writer(workspace.warehouse) as con, transaction(con):
        state = read_delivery(con, spec.experiment)
        goes_on = state is not None and state.outcome is None
        signals = _approve_signals(con, spec.experiment, detail)
        if state is not None and goes_on:
            if stage is None and not state.asked and signals:
                return Approval(signals, None)
            _check_stage(spec.experiment, state, stage)
            kind = DeliveryEventKind.APPROVED
            return Approval(signals, tell_within(con, spec.experiment, kind, detail))
    if not signals or stage is not None:
        ended = "" if state is None or state.outcome is None else f", which {state.outcome.value}"
        what = "has never been delivered" if state is None else f"has ended its delivery{ended}"
        raise CannotDeliver(f"{name} {what}, and no signal holds at its latest look")
    return Approval(signals, None)


def decide(
    workspace: Workspace,
    name: str,
    decision: Literal["approve", "abort"],
    detail: str,
    stage: int | None,
) -> None:
    """Approves, or gives a delivery up. Raises CannotDeliver where nothing is to be decided."""
    if decision == "approve":
        approve(workspace, name, detail, stage=stage)
    else:
        tell(workspace, name, DeliveryEventKind.ABORTED, detail)


def _check_stage(name: str, state: DeliveryState, stage: int | None) -> None:
    """Raises CannotDeliver unless this stage is next, or the delivery has asked for one."""
    after = state.stage + 1
    where = f"the delivery of {name} is at stage {state.stage} of {state.stages}"
    if stage is None and not state.asked and state.pending is None and state.stage > 0:
        raise CannotDeliver(
            f"{where} and asks nobody; to begin stage {after} all the same: "
            f"verdict approve {name} --stage {after}"
        )
    if stage is not None and stage != after:
        raise CannotDeliver(f"{where}: stage {stage} isn't next")


def _approve_signals(con: Connection, experiment: str, detail: str) -> tuple[str, ...]:
    now = datetime.now(UTC)
    rows = run(con, "aggregate/held_signals", experiment=experiment).fetchall()
    for metric, candidate, harm in rows:
        run(
            con,
            "load/signal_approval",
            experiment=experiment,
            metric=metric,
            candidate=candidate,
            approved_at=now,
            allowed=_ANY_SHARE if harm is None else harm,
            detail=detail,
        )
    return tuple(dict.fromkeys(metric for metric, *_ in rows))
