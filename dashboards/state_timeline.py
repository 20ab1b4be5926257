"""A panel with a bar over time for each series: which state it was in."""

from __future__ import annotations

from collections.abc import Sequence

from grafana_foundation_sdk.builders import statetimeline
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models.dashboard import Panel, ValueMap, ValueMappingResult

from dashboards import panels


def states(
    title: str,
    description: str,
    queries: Sequence[panels.Query],
    named: Sequence[tuple[int, str, str]],
) -> Panel:
    """A bar over time for each series; named: value, word and colour of each state."""
    words = {
        str(value): ValueMappingResult(text=word, color=colour, index=index)
        for index, (value, word, colour) in enumerate(named)
    }
    return (
        statetimeline.Panel()
        .title(title)
        .description(description)
        .datasource(panels.DATASOURCE)
        .unit("none")
        .targets([panels.target_of(query, index) for index, query in enumerate(queries)])
        .mappings([ValueMap(options=words)])
        .show_value(looks.VisibilityMode.AUTO)
        .row_height(0.8)
        .build()
    )
