"""A dashboard's JSON as Grafana reads it: panels, queries, variables put in."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.grafana import to_json

# Grafana's own variables, as they stand for a panel with steps of 15 s.
_BUILT_IN = {"__rate_interval": "60s", "__interval": "15s", "__range": "1800s"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of a panel, with its variables put in."""

    panel: str
    expr: str
    instant: bool


def read(dashboard: Dashboard) -> dict[str, Any]:
    """The JSON, as a structure."""
    content: dict[str, Any] = json.loads(to_json(dashboard))
    return content


def panels_of(content: dict[str, Any]) -> list[dict[str, Any]]:
    """All panels but the bars that head a section."""
    return [panel for panel in content["panels"] if panel["type"] != "row"]


def variables_in(text: str) -> set[str]:
    """The variables that a text uses, without Grafana's own."""
    return {braced or plain for braced, plain in _VARIABLE.findall(text)} - set(_BUILT_IN)


def chosen_values(content: dict[str, Any]) -> dict[str, str]:
    """What Grafana puts in for each variable when the dashboard opens."""
    values = dict(_BUILT_IN)
    for variable in content["templating"]["list"]:
        if variable["type"] == "datasource":
            continue
        chosen = variable["current"]["value"]
        values[variable["name"]] = variable["allValue"] if chosen == ["$__all"] else chosen
    return values


def put_in(text: str, values: dict[str, str]) -> str:
    """The text with its variables' values; KeyError for one that there isn't."""
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], text)


def queries_of(content: dict[str, Any]) -> list[PanelQuery]:
    """Every query of every panel, as the datasource gets it."""
    values = chosen_values(content)
    return [
        PanelQuery(panel["title"], put_in(target["expr"], values), target.get("instant", False))
        for panel in panels_of(content)
        for target in panel.get("targets", [])
    ]


def annotations_of(content: dict[str, Any]) -> list[PanelQuery]:
    """Every query of marks over the panels."""
    return [
        PanelQuery(mark["name"], put_in(mark["expr"], chosen_values(content)), instant=False)
        for mark in content["annotations"]["list"]
    ]
