"""Where each panel stands: sections from top to bottom, each of rows that fill the width."""

from __future__ import annotations

from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    GridPos,
    Panel,
    RowPanel,
)

from dashboards.experiment_view import FLEET_UID, TAG
from dashboards.variables import Variables, built

_WIDTH = 24


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part of a dashboard; the panels of a row share its width evenly.

    rows: at most 24 panels each.
    height: of each row, in Grafana's units of 30 pixels.
    """

    title: str
    rows: tuple[tuple[Panel, ...], ...]
    height: int = 8


def place(sections: tuple[Section, ...]) -> list[Panel | RowPanel]:
    """All panels with their place and their id, numbered from 1 in reading order."""
    placed: list[Panel | RowPanel] = []
    top = 0
    for section in sections:
        bar = GridPos(h=1, w=_WIDTH, x=0, y=top)
        placed.append(RowPanel(title=section.title, grid_pos=bar, id_val=len(placed) + 1))
        top += 1
        for row in section.rows:
            _place_row(row, top, section.height, placed)
            top += section.height
    return placed


def _place_row(
    row: tuple[Panel, ...], top: int, height: int, placed: list[Panel | RowPanel]
) -> None:
    width = _WIDTH // len(row)
    for column, panel in enumerate(row):
        panel.grid_pos = GridPos(h=height, w=width, x=column * width, y=top)
        panel.id_val = len(placed) + 1
        placed.append(panel)


def board(
    title: str, uid: str, description: str, variables: Variables, sections: tuple[Section, ...]
) -> Dashboard:
    """A dashboard of all experiments beside the fleet's."""
    dashboard = (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("utc")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(builders.DashboardLink("All experiments").url(f"/d/{FLEET_UID}").keep_time(True))
        .build()
    )
    dashboard.templating = built(variables)
    dashboard.panels = place(sections)
    return dashboard
