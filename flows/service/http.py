"""Answers other than the wanted one: a status and a sentence, as JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flows.formats.safe_text import safe_text


class Problem(BaseModel):
    """The body of every refusal."""

    error: str = Field(description="What is wrong, and what to do")


class Refused(Exception):
    """A request that is not answered as asked: the HTTP status, and why in a sentence."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})

    def response(self) -> Response:
        """The answer to send."""
        return json_response(
            Problem(error=safe_text(str(self))).model_dump(),
            status=self.status,
            headers=self.headers,
        )


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


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a cluster's controllers; a client is one address (IPv6: one /64).

    body_timeout_s: for the whole body of a request; header_timeout_s: for its head.
    verdict_timeout_s: how long a caller waits for a verdict, below Flagger's and Argo's time-out
        in docs/. The look itself goes on, and a later call finds it.
    workers: looks at one time; the warehouse has one writer, more would only wait for it.
    waiting: looks that may wait for a worker.
    requests_per_second, burst: of one client.
    listeners: pages that are told of what is new, at one time; of one token; of one session, or of
        one address without a session.
    shutdown_s: for requests under way when the service is told to stop; with what a look may take
        beside it less than the 30 s after which Kubernetes kills.
    """

    body_bytes: int = 64 * 1024
    body_timeout_s: float = 5.0
    header_bytes: int = 16 * 1024
    header_timeout_s: float = 10.0
    verdict_timeout_s: float = 25.0
    workers: int = 2
    waiting: int = 64
    requests_per_second: float = 50.0
    burst: int = 400
    connections: int = 1024
    connections_per_client: int = 400
    listeners: int = 200
    listeners_per_token: int = 100
    listeners_per_session: int = 10
    shutdown_s: float = 20.0


def check_declared_size(length: str, limits: Limits) -> None:
    """Raises Refused (413) if the Content-Length says more than is read."""
    # A number of thousands of digits is no number for int().
    if length.isdigit() and (len(length) > 12 or int(length) > limits.body_bytes):
        raise _too_large(limits)


async def read_body(request: Request, limits: Limits) -> bytes:
    """The whole body. Raises Refused: 413 too large, 408 too slow, 400 cut off."""
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise _too_large(limits)
    except TimeoutError as error:
        raise Refused(
            408,
            f"the request's body didn't arrive within {limits.body_timeout_s:g} s",
            {"Connection": "close"},
        ) from error
    except ClientDisconnect as error:
        raise Refused(400, "the request's body was cut off") from error
    return bytes(body)


def json_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object that the body holds. Raises Refused (400)."""
    try:
        data = json.loads(body)
    except RecursionError as error:
        raise Refused(400, "the body is nested too deeply") from error
    except ValueError as error:
        # Not JSON, not UTF-8, or a number of thousands of digits.
        raise Refused(400, "the body is not JSON: send an object such as {}") from error
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    return data


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"the request's body is too large, at most {limits.body_bytes} bytes")
