"""The dashboard of the fleet: every experiment at a glance, with the way to its own page."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
)

from dashboards import panels
from dashboards.experiment_view import (
    CONVERSIONS_UID,
    EXPERIMENT_TAG,
    FLEET_UID,
    PIPELINE_UID,
    TAG,
    ExperimentView,
)
from dashboards.exported_panels import fleet_rows
from dashboards.guide_panels import guide_section
from dashboards.layout import Section, place
from dashboards.request_families import CountingSide, side_of
from dashboards.request_panels import fleet_section
from dashboards.variables import built, fleet_variables
from dashboards.verdict_panels import decision_panel

_INTERVAL_S = 15
# The guide's own limits: success rate >= 0.95 and p99 <= 1000 ms.
_SUCCESS = panels.below_is_bad(0.95)
_LATENCY = panels.above_is_bad(1000)


def fleet_dashboard(views: tuple[ExperimentView, ...], *, prefix: str = "edtech") -> Dashboard:
    """The dashboard of all experiments; their order doesn't matter.

    prefix: of the exported metrics.
    """
    listed = tuple(sorted(views, key=lambda view: view.name))
    dashboard = (
        builders.Dashboard("Traffic experiments")
        .uid(FLEET_UID)
        .description("All traffic experiments: health scores, splits, conversions, and requests.")
        .tags([TAG, "split-verdict-fleet"])
        .timezone("utc")
        .time("now-3h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(_experiments_link())
        .link(builders.DashboardLink("Conversions").url(f"/d/{CONVERSIONS_UID}").keep_time(True))
        .link(builders.DashboardLink("Pipeline").url(f"/d/{PIPELINE_UID}").keep_time(True))
        .build()
    )
    dashboard.templating = built(fleet_variables(prefix))
    dashboard.panels = place(_sections(listed, prefix))
    return dashboard


def _experiments_link() -> builders.DashboardLink:
    """A menu of all experiments' dashboards, by their tag."""
    return (
        builders.DashboardLink("Experiments")
        .type(DashboardLinkType.DASHBOARDS)
        .tags([EXPERIMENT_TAG])
        .as_dropdown(True)
        .keep_time(True)
    )


def _sections(views: tuple[ExperimentView, ...], prefix: str) -> tuple[Section, ...]:
    return (
        Section("Experiments", ((_directory(views),),), height=min(20, 4 + len(views))),
        Section("Verdicts", ((decision_panel(),), *fleet_rows(views, prefix))),
        guide_section(_SUCCESS, _LATENCY, interval_s=_INTERVAL_S),
        *(
            fleet_section(side, label, interval_s=_INTERVAL_S)
            for side, label in _sides_in_use(views)
        ),
    )


def _directory(views: tuple[ExperimentView, ...]) -> Panel:
    """A table of the experiments, each with a link to its dashboard."""
    lines = [
        "| experiment | service | namespace | mesh | baseline | candidates |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| [{view.name}](/d/{view.uid}) | {view.service} | {view.namespace} "
            f"| {view.mesh or 'users only'} | {view.baseline.legend} "
            f"| {', '.join(candidate.legend for candidate in view.candidates)} |"
            for view in views
        ),
    ]
    return panels.markdown("Where to look", "Every experiment has its own page.", "\n".join(lines))


def _sides_in_use(views: tuple[ExperimentView, ...]) -> list[tuple[CountingSide, str]]:
    """Where requests are counted and by which label versions are told, each pair once."""
    pairs = {}
    for view in views:
        if view.mesh:
            side = side_of(view.mesh, view.reporter)
            label = view.version_label or side.version_labels[0]
            pairs[side.title, label] = (side, label)
    return [pairs[key] for key in sorted(pairs)]
