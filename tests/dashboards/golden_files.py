"""Writes the reviewed dashboards anew: python -m tests.dashboards.golden_files."""

from __future__ import annotations

from pathlib import Path

from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.grafana import overview, to_json
from tests.builders import views

GOLDEN = Path(__file__).parent / "golden"
REVIEWED = {
    "experiment": experiment_dashboard(views.ISTIO),
    "fleet": fleet_dashboard((views.ISTIO, views.LINKERD_POLICY)),
}

if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for name, dashboard in REVIEWED.items():
        (GOLDEN / f"{name}.json").write_text(to_json(dashboard))
        (GOLDEN / f"{name}.txt").write_text(overview(dashboard))
