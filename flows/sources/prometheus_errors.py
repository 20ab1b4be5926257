"""What a Prometheus' answer means for the one who asked: go on, ask for less, later, or never."""

from __future__ import annotations

import json
from enum import StrEnum


class Remedy(StrEnum):
    """halve: ask for a shorter window; retry: ask again later; refuse: asking again won't help."""

    HALVE = "halve"
    RETRY = "retry"
    REFUSE = "refuse"


_RETRIABLE = frozenset((408, 429, 502, 503, 504))
_TOO_MUCH = (
    "query processing would load too many samples",
    "exceeded sample limit",
    "exceeded maximum resolution",
    "context deadline exceeded",
    "query timed out in expression evaluation",
    "response size",
)


def classify_failure(status: int, body: bytes) -> tuple[Remedy, str]:
    """What helps against an answer that is no success, and the server's own words.

    status: HTTP status, also 200 with status=error in the body. The text decides before the
    status: 422 is a timeout when series are read too slowly, and a limit otherwise.
    """
    words = server_words(body)
    if any(text in words for text in _TOO_MUCH):
        return Remedy.HALVE, words
    if status in _RETRIABLE:
        return Remedy.RETRY, words
    return Remedy.REFUSE, words


def server_words(body: bytes) -> str:
    """The error type and text of a Prometheus answer, else the start of what was sent instead."""
    try:
        answer = json.loads(body)
        return f"{answer['errorType']}: {answer['error']}"
    except (ValueError, KeyError, TypeError):
        start = " ".join(body[:200].decode(errors="replace").split())
        return start or "an empty answer"
