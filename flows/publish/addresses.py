"""Where people reach Grafana and `verdict serve`: what boards and pages link to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from flows.formats.problems import UserError
from flows.formats.safe_text import safe_url

GRAFANA_URL = "VERDICT_GRAFANA_URL"
SERVICE_URL = "VERDICT_URL"


class AddressRefused(UserError):
    """A variable holds no URL that can be linked to; nothing was published."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """grafana, service: URLs without a slash at their end; "" where nobody has said."""

    grafana: str = ""
    service: str = ""


NO_ADDRESSES = Addresses()


def read_addresses(environment: Mapping[str, str] | None = None) -> Addresses:
    """What VERDICT_GRAFANA_URL and VERDICT_URL say. Raises AddressRefused."""
    known = os.environ if environment is None else environment
    return Addresses(_address(known, GRAFANA_URL), _address(known, SERVICE_URL))


def _address(environment: Mapping[str, str], name: str) -> str:
    text = environment.get(name, "").strip()
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_plain = not (parts.query or parts.fragment) and "@" not in parts.netloc
        is_plain = is_plain and text.isascii() and text.isprintable()
        is_plain = is_plain and not set(text) & set(" \"'<>\\()[]{}$`|")
    except ValueError:
        is_url = is_plain = False
    if not (is_url and is_plain):
        raise AddressRefused(
            f"{name} is {safe_url(text)!r}, must be a URL that people can open, without login and "
            "query, such as https://grafana.example.com"
        )
    return text.rstrip("/")
