"""The value that Argo Rollouts' web metric provider measures."""

from __future__ import annotations

from flows.look.verdict_document import VerdictDocument


def measurement(document: VerdictDocument) -> dict[str, object]:
    """The JSON value; conditions read it as `result.decision == "promote"`.

    Every decision is a measurement: another status than 200 would be an error to Argo. score is
    null without data or with bad data: a condition on it alone must not pass then. waits: whether a
    signal holds, so that no more traffic may be shifted until a person has decided.
    """
    return {
        "experiment": document.experiment,
        "decision": document.decision.value,
        "exit_code": document.exit_code,
        "waits": any(metric.holds for metric in document.metrics),
        "score": document.score,
        "reasons": list(document.reasons),
        "look_at": document.look_at.isoformat(),
    }
