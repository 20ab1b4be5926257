"""A panel with requests by latency bucket over time."""

from __future__ import annotations

from grafana_foundation_sdk.builders import heatmap
from grafana_foundation_sdk.models.dashboard import Panel
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from dashboards import panels


def latency_heatmap(
    title: str, description: str, query: panels.Query, unit: panels.PanelUnit, *, interval_s: int
) -> Panel:
    """Requests by latency bucket over time."""
    return (
        heatmap.Panel()
        .title(title)
        .description(description)
        .datasource(panels.DATASOURCE)
        .unit(unit.name)
        .interval(f"{interval_s}s")
        .targets([panels.target_of(query, 0).format(PromQueryFormat.HEATMAP)])
        .calculate(False)
        .build()
    )
