"""The value that Argo Rollouts' web metric provider measures."""

from __future__ import annotations

from pydantic import Field

from analysis.verdict import Decision
from flows.formats.json_schema import JsonDocument
from flows.look.verdict_document import VerdictDocument


class Measurement(JsonDocument):
    """The value; conditions read it as `result.decision == "promote"`.

    Every decision is a measurement: another status than 200 would be an error to Argo. score is
    null without data or with bad data: a condition on it alone must not pass then. waits: whether a
    signal holds, which a person must decide about, or something else must change before any more
    traffic may be shifted.
    """

    experiment: str
    decision: Decision
    exit_code: int
    waits: bool
    score: float | None
    reasons: tuple[str, ...]
    look_at: str = Field(json_schema_extra={"format": "date-time"})


def measurement(document: VerdictDocument) -> dict[str, object]:
    """The JSON value."""
    found = Measurement(
        experiment=document.experiment,
        decision=document.decision,
        exit_code=document.exit_code,
        waits=bool(document.waits) or any(metric.holds for metric in document.metrics),
        score=document.score,
        reasons=tuple(document.reasons),
        look_at=document.look_at.isoformat(),
    )
    return found.model_dump(mode="json")
