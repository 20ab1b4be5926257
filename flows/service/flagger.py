"""Flagger's webhooks: what it sends, and which verdict lets it continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError

from analysis.metric_result import may_take_more
from analysis.verdict import Decision
from flows.formats.json_schema import JsonDocument
from flows.look.verdict_document import VerdictDocument
from flows.service.http import Refused

# Flagger takes 200 to 202 for yes and everything else for no.
CONTINUES = 200
DOES_NOT = 409


class HookMetadata(BaseModel):
    """What a canary's manifest says to a webhook of its own."""

    experiment: StrictStr | None = Field(None, description="The experiment that is asked about")


class HookCall(BaseModel):
    """The body of one of Flagger's webhooks; fields that it may add later are passed over."""

    model_config = ConfigDict(frozen=True)

    name: StrictStr = Field("", description="The canary; its service where metadata names none")
    namespace: StrictStr = Field("", description="The canary's namespace")
    phase: StrictStr = Field("", description="Not used")
    checksum: StrictStr = Field("", description="Not used")
    metadata: HookMetadata | None = Field(
        None, description="`experiment` names the experiment; else that of name and namespace"
    )

    @property
    def experiment(self) -> str | None:
        """metadata.experiment, if it is there."""
        return (self.metadata.experiment or None) if self.metadata else None


class HookAnswer(JsonDocument):
    """Whether the rollout may go on, and why."""

    type: str
    may_continue: bool = Field(alias="continue")
    decision: Decision
    score: float | None
    reasons: tuple[str, ...]
    experiment: str
    look_at: str = Field(json_schema_extra={"format": "date-time"})


def parse_call(body: Mapping[str, Any]) -> HookCall:
    """The call that a body describes. Raises Refused (400)."""
    try:
        call = HookCall.model_validate(body)
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"]))
        kind = "an object of strings" if field == "metadata" else "a string"
        raise Refused(400, f"{field} must be {kind}") from error
    if not call.experiment and not (call.name and call.namespace):
        raise Refused(400, "name and namespace of the canary, or metadata.experiment, are needed")
    return call


def answer(kind: str, document: VerdictDocument) -> tuple[int, dict[str, object]]:
    """Status and body for a webhook of this type, a key of HOOKS.

    Flagger shows the body of a refusal in its events: the reasons stand near its beginning.
    """
    is_yes = HOOKS[kind](document)
    body = HookAnswer.model_validate(
        {
            "type": kind,
            "continue": is_yes,
            "decision": document.decision,
            "score": document.score,
            "reasons": document.reasons,
            "experiment": document.experiment,
            "look_at": document.look_at.isoformat(),
        }
    )
    return (CONTINUES if is_yes else DOES_NOT), body.model_dump(mode="json", by_alias=True)


def _no_rollback(document: VerdictDocument) -> bool:
    return document.decision is not Decision.ROLLBACK


def _may_grow(document: VerdictDocument) -> bool:
    """Good data, no guardrail that is more likely broken than not, and no signal that holds."""
    if document.decision is Decision.HOLD:
        return may_take_more(document.metrics)
    return document.decision is Decision.PROMOTE


# confirm-rollout comes before the canary's first request: no data is no reason against it.
# A failed `rollout` check counts towards Flagger's rollback: only harm is one, not lack of data.
HOOKS: Mapping[str, Callable[[VerdictDocument], bool]] = {
    "confirm-rollout": _no_rollback,
    "rollout": _no_rollback,
    "confirm-traffic-increase": _may_grow,
    "confirm-promotion": lambda document: document.decision is Decision.PROMOTE,
    "rollback": lambda document: document.decision is Decision.ROLLBACK,
}
