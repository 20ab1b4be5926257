"""Whether a look's decision is news to people, and how it is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from analysis.metric_result import Classification
from analysis.plan import Role
from analysis.verdict import Decision
from flows.look.verdict_document import VerdictDocument
from flows.warehouse.outbox import note, services
from flows.warehouse.statements import Connection, run

_WAITS = "hold, waits for approval"


def note_decision(con: Connection, document: VerdictDocument) -> None:
    """Notes the decision if it is another than at the look before, of the latest look alone."""
    if not services():
        return
    asked = {"experiment": document.experiment, "look_at": document.look_at}
    row = run(con, "aggregate/verdict_before", **asked).fetchone()
    before, is_old, is_known = row if row else (None, False, False)
    if is_old or is_known:
        return
    now = _status(json.loads(document.model_dump_json(include={"decision", "metrics"})))
    was = _status(json.loads(before)) if before else Decision.HOLD.value
    if now != was:
        title = f"{document.experiment}: {now}" + (f" (was {was})" if before else "")
        look = f"look at {document.look_at:%Y-%m-%d %H:%M:%S} UTC"
        note(con, document.experiment, look, title, "\n".join((*document.reasons, look)))


def _status(verdict: Mapping[str, Any]) -> str:
    """The decision; of a hold also whether a signal waits for a person."""
    decision = str(verdict["decision"])
    waits = decision == Decision.HOLD.value and any(
        metric["role"] == Role.SIGNAL.value
        and metric["classification"] == Classification.FAIL.value
        for metric in verdict["metrics"]
    )
    return _WAITS if waits else decision
