"""A dashboard as the JSON that Grafana reads."""

from __future__ import annotations

import re

import orjson
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATACLASS
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def to_json(dashboard: Dashboard) -> str:
    """The JSON that Grafana imports, byte for byte the same for the same dashboard."""
    text = orjson.dumps(dashboard, default=JSONEncoder().default, option=_OPTIONS).decode()
    return _NOT_ASCII.sub(_escaped, text) + "\n"


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))
