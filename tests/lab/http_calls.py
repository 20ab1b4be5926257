"""Short HTTP calls to servers of the lab itself."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any


def get(url: str, *, timeout_s: float = 5.0) -> bytes:
    """The body; raises urllib.error.URLError (an OSError) without an answer of 2xx."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        body: bytes = answer.read()
        return body


def get_json(url: str, query: Mapping[str, str] | None = None, *, timeout_s: float = 30.0) -> Any:
    """The decoded body."""
    full = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    return json.loads(get(full, timeout_s=timeout_s))


def put_json(url: str, value: Mapping[str, Any], *, timeout_s: float = 5.0) -> bytes:
    """Sends the value as JSON; the answer's body."""
    request = urllib.request.Request(url, data=json.dumps(value).encode(), method="PUT")
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        body: bytes = answer.read()
        return body


def answers(url: str) -> bool:
    """Whether a server answers there with 2xx."""
    try:
        get(url, timeout_s=1.0)
    except OSError:
        return False
    return True
