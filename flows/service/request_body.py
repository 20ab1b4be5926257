"""Reads a request's body: never more than allowed, never for longer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request

from flows.service.limits import Limits
from flows.service.refusal import Refused


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
