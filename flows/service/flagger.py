"""Flagger's webhooks: what it sends, and which verdict lets it continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, ValidationError, field_validator

from analysis.metric_result import may_take_more
from analysis.plan import Unit
from analysis.verdict import Decision
from flows.formats.json_schema import JsonDocument
from flows.look.verdict_document import VerdictDocument
from flows.service.http import Refused

# Flagger takes 200 to 202 for yes and everything else for no.
CONTINUES = 200
DOES_NOT = 409
# In each round Flagger calls `rollout` of a canary that has traffic before it asks for more.
_ROUND_S = 300.0
# Weights are percent, or parts of another whole.
_LARGEST_WEIGHT = 1_000_000


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
    canary_weight: float | None = Field(
        None,
        alias="canaryWeight",
        description="Its share of the traffic so far, where Flagger sends it: at 0 the next step "
        "is its first, which needs no requests of it",
    )
    metadata: HookMetadata | None = Field(
        None, description="`experiment` names the experiment; else that of name and namespace"
    )

    @field_validator("canary_weight", mode="before")
    @classmethod
    def _weight(cls, sent: object) -> object:
        """What is no weight says nothing of it, as if it weren't sent."""
        if isinstance(sent, bool) or not isinstance(sent, int | float):
            return None
        return sent if 0 <= sent <= _LARGEST_WEIGHT else None

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


class Rounds:
    """Which canaries have traffic, as far as Flagger's own calls tell; of one event loop."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        # A call may have come just before this service started.
        self._started = now()
        self._judged: dict[str, float] = {}

    def note(self, kind: str, experiment: str) -> None:
        """A call of this type has come."""
        if kind == "rollout":
            self._judged[experiment] = self._now()

    def is_first_step(self, kind: str, experiment: str, call: HookCall) -> bool:
        """Whether it asks for a canary's first traffic, of which no request can be known yet."""
        if kind != "confirm-traffic-increase":
            return False
        if call.canary_weight is not None:
            return call.canary_weight == 0
        return self._now() - self._judged.get(experiment, self._started) >= _ROUND_S


def answer(
    kind: str, document: VerdictDocument, *, may_begin: bool = False
) -> tuple[int, dict[str, object]]:
    """Status and body for a webhook of this type, a key of HOOKS.

    may_begin: the canary's first traffic is asked for, and no other experiment must come before.
    Flagger shows the body of a refusal in its events: the reasons stand near its beginning.
    """
    is_yes = HOOKS[kind](document) or (may_begin and _knows_no_request(document))
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
    """Good data, no guardrail that is more likely broken than not, no signal that holds, and
    nothing that must change before.
    """
    if document.decision is Decision.HOLD:
        return not document.waits and may_take_more(document.metrics)
    return document.decision is Decision.PROMOTE


def _knows_no_request(document: VerdictDocument) -> bool:
    """Whether all that is wrong is that no candidate has had traffic yet.

    What spoils the baseline's data would spoil the candidate's: it must be mended before. Before
    the plan's start nothing has been pulled, of either.
    """
    begun = any(
        metric.exposure_candidate
        for metric in document.metrics
        if metric.unit in (Unit.REQUEST, Unit.USER)
    )
    baselines = {metric.baseline_variant for metric in document.metrics}
    failed = (check for check in document.quality if not check.passed)
    spoilt = document.watermark is not None and any(baselines & {*c.spoils} for c in failed)
    return document.decision is not Decision.ROLLBACK and not begun and not spoilt


# confirm-rollout comes before the canary's first request: no data is no reason against it.
# A failed `rollout` check counts towards Flagger's rollback: only harm is one, not lack of data.
HOOKS: Mapping[str, Callable[[VerdictDocument], bool]] = {
    "confirm-rollout": _no_rollback,
    "rollout": _no_rollback,
    "confirm-traffic-increase": _may_grow,
    "confirm-promotion": lambda document: document.decision is Decision.PROMOTE,
    "rollback": lambda document: document.decision is Decision.ROLLBACK,
}
