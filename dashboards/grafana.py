"""A dashboard as text: the JSON that Grafana reads, and an overview for us."""

from __future__ import annotations

import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard, GridPos, RowPanel


def to_json(dashboard: Dashboard) -> str:
    """The JSON that Grafana imports, byte for byte the same for the same dashboard."""
    return json.dumps(dashboard, cls=JSONEncoder, sort_keys=True, indent=2) + "\n"


def overview(dashboard: Dashboard) -> str:
    """The layout as text: a line per panel with its place, size and title, to look over."""
    lines = [f"{dashboard.title} ({dashboard.uid})"]
    for panel in dashboard.panels or ():
        place_of = panel.grid_pos or GridPos()
        where = f"y{place_of.y:<3} x{place_of.x:<2} {place_of.w}x{place_of.h}"
        indent = "" if isinstance(panel, RowPanel) else "  "
        lines.append(f"{where:<14} {indent}{panel.title}")
    return "\n".join(lines) + "\n"
