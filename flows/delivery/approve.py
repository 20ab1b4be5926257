"""A person's approval: of a delivery's next stage, and of the signals that hold."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from flows.delivery.controller import CannotDeliver
from flows.delivery.deliver import tell
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


def approve(workspace: Workspace, name: str, detail: str) -> Approval:
    """Approves the signals that hold at the latest look, and the next stage of a delivery.

    Looks from now on allow a signal as much harm as it may have had then; more holds again.
    Raises CannotDeliver where nothing waits for an approval.
    """
    _, spec = find_spec(workspace.experiments, name)
    with open_writer(workspace.warehouse) as con, transaction(con):
        signals = _approve_signals(con, spec.experiment, detail)
        state = read_delivery(con, spec.experiment)
    if state is not None and state.outcome is None:
        return Approval(signals, tell(workspace, name, DeliveryEventKind.APPROVED, detail))
    if not signals:
        ended = "" if state is None or state.outcome is None else f", which {state.outcome.value}"
        what = "has never been delivered" if state is None else f"has ended its delivery{ended}"
        raise CannotDeliver(f"{name} {what}, and no signal holds at its latest look")
    return Approval(signals, None)


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
