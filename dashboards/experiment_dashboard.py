"""The dashboard of one experiment: what we decided, and what the mesh counted per variant."""

from __future__ import annotations

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models.dashboard import Dashboard, DashboardCursorSync, DashboardLink

from dashboards.annotations import annotations_of
from dashboards.experiment_view import EXPERIMENT_TAG, FLEET_UID, TAG, ExperimentView
from dashboards.exported_panels import experiment_section
from dashboards.guide_panels import guide_section
from dashboards.layout import Section, place
from dashboards.request_families import ISTIO, side_of
from dashboards.request_panels import latency_steps, success_steps, variant_section
from dashboards.variables import built, experiment_variables
from dashboards.verdict_panels import verdict_section


def experiment_dashboard(view: ExperimentView, *, prefix: str = "edtech") -> Dashboard:
    """The dashboard of one experiment; the same view gives the same dashboard.

    prefix: of the exported metrics.
    """
    dashboard = (
        builders.Dashboard(f"Experiment {view.name}")
        .uid(view.uid)
        .description(view.description or f"Traffic split of {view.service}, version by version.")
        .tags([TAG, EXPERIMENT_TAG, *([view.mesh] if view.mesh else [])])
        .timezone("utc")
        .time("now-3h", "now")
        .refresh("30s")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(builders.DashboardLink("All experiments").url(f"/d/{FLEET_UID}").keep_time(True))
        .build()
    )
    dashboard.templating = built(experiment_variables(view))
    dashboard.links = [*(dashboard.links or ()), *_links(view)]
    dashboard.annotations = annotations_of(view)
    dashboard.panels = place(_sections(view, prefix))
    return dashboard


def _links(view: ExperimentView) -> list[DashboardLink]:
    """To what the verdict says in words, and as JSON."""
    found = (("Report", view.page_url), ("Verdict as JSON", view.verdict_url))
    return [
        builders.DashboardLink(title).url(url).target_blank(True).build()
        for title, url in found
        if url
    ]


def _sections(view: ExperimentView, prefix: str) -> tuple[Section, ...]:
    """The verdict first; the guide's queries only where there are Istio's series to ask for."""
    verdict = (verdict_section(view), experiment_section(view, prefix))
    if view.mesh is None:
        return verdict
    side = side_of(view.mesh, view.reporter)
    if side is not ISTIO:
        return (*verdict, variant_section(view, side))
    limits = success_steps(view), latency_steps(view)
    guide = guide_section(*limits, interval_s=view.scrape_interval_s)
    return (*verdict, variant_section(view, side), guide)
