"""A dashboard as the JSON that Grafana reads."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard


def to_json(dashboard: Dashboard) -> str:
    """The JSON that Grafana imports, byte for byte the same for the same dashboard."""
    return json.dumps(dashboard, cls=JSONEncoder, sort_keys=True, indent=2) + "\n"
