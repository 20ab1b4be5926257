"""Writes the reviewed dashboards anew: python -m tests.dashboards.golden_files."""

from __future__ import annotations

from pathlib import Path

from grafana_foundation_sdk.models.dashboard import Dashboard, GridPos, RowPanel

from dashboards.conversions_dashboard import conversions_dashboard
from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.grafana import to_json
from dashboards.pipeline_dashboard import pipeline_dashboard
from tests.builders import views

GOLDEN = Path(__file__).parent / "golden"
REVIEWED = {
    "experiment": experiment_dashboard(views.ISTIO),
    "fleet": fleet_dashboard((views.ISTIO, views.LINKERD_POLICY)),
    "conversions": conversions_dashboard(),
    "pipeline": pipeline_dashboard(),
}


def overview(dashboard: Dashboard) -> str:
    """The layout as text: a line per panel with its place, size and title, to look over."""
    lines = [f"{dashboard.title} ({dashboard.uid})"]
    for panel in dashboard.panels or ():
        place_of = panel.grid_pos or GridPos()
        where = f"y{place_of.y:<3} x{place_of.x:<2} {place_of.w}x{place_of.h}"
        indent = "" if isinstance(panel, RowPanel) else "  "
        lines.append(f"{where:<14} {indent}{panel.title}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, dashboard in REVIEWED.items():
        (GOLDEN / f"{name}.json").write_text(to_json(dashboard))
        (GOLDEN / f"{name}.txt").write_text(overview(dashboard))
