"""Answers other than the wanted one: a status and a sentence, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.responses import Response


class Refused(Exception):
    """A request that is not answered as asked: the HTTP status, and why in a sentence."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer to send."""
        return json_response({"error": str(self)}, status=self.status, headers=self.headers)


def json_response(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer in JSON that no cache keeps: a verdict is true at its time only."""
    return Response(
        json.dumps(content, allow_nan=False, ensure_ascii=False),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def shown(text: str) -> str:
    """What a caller sent, quoted and short enough for a sentence."""
    return repr(text if len(text) <= 80 else f"{text[:77]}...")
