"""Flagger's webhooks: what it sends, and which verdict lets it continue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.metric_result import may_take_more
from analysis.verdict import Decision
from flows.look.verdict_document import VerdictDocument
from flows.service.http import Refused

# Flagger takes 200 to 202 for yes and everything else for no.
CONTINUES = 200
DOES_NOT = 409


@dataclass(frozen=True, slots=True)
class Call:
    """What a webhook's body says; experiment: metadata.experiment, if it is there."""

    name: str
    namespace: str
    experiment: str | None


def parse_call(body: Mapping[str, Any]) -> Call:
    """The call that a body describes; fields that Flagger may add later are passed over.

    Raises Refused (400).
    """
    for field in ("name", "namespace", "phase", "checksum"):
        if not isinstance(body.get(field, ""), str):
            raise Refused(400, f"{field} must be a string")
    metadata = body.get("metadata")
    metadata = {} if metadata is None else metadata
    if not isinstance(metadata, dict):
        raise Refused(400, "metadata must be an object of strings")
    experiment = metadata.get("experiment")
    if not isinstance(experiment, str | None):
        raise Refused(400, "metadata.experiment must be a string")
    name, namespace = body.get("name", ""), body.get("namespace", "")
    if not experiment and not (name and namespace):
        raise Refused(400, "name and namespace of the canary, or metadata.experiment, are needed")
    return Call(name, namespace, experiment or None)


def answer(kind: str, document: VerdictDocument) -> tuple[int, dict[str, object]]:
    """Status and body for a webhook of this type, a key of HOOKS.

    Flagger shows the body of a refusal in its events: the reasons stand near its beginning.
    """
    is_yes = HOOKS[kind](document)
    body: dict[str, object] = {
        "type": kind,
        "continue": is_yes,
        "decision": document.decision.value,
        "score": document.score,
        "reasons": list(document.reasons),
        "experiment": document.experiment,
        "look_at": document.look_at.isoformat(),
    }
    return (CONTINUES if is_yes else DOES_NOT), body


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
