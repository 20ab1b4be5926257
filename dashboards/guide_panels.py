"""The guide's three queries as panels, each beside the same for the chosen service only."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import panels, queries
from dashboards.layout import Section
from dashboards.panels import PanelUnit, Query, Steps

_VERSION = "{{destination_version}}"
_SERVICE_AND_VERSION = "{{destination_service_name}} {{destination_version}}"
_MILLISECONDS = PanelUnit("ms", 0)
_EVERYWHERE = (
    "The guide's query to the letter: all services together, and every reporter, so that a "
    "request between two sidecars counts twice."
)
_CHOSEN = "The guide's query for the chosen namespace, service and reporter only."


def guide_section(success: Steps, latency: Steps, *, interval_s: int) -> Section:
    """Traffic distribution, success rate and p99 by version, as Istio counts them.

    success, latency: thresholds of the shares (0..1) and of the milliseconds.
    """

    def pair(
        title: str, exact: str, chosen: str, legend: str, unit: PanelUnit, thresholds: Steps
    ) -> tuple[Panel, ...]:
        return tuple(
            panels.time_series(
                name,
                description,
                [Query(expr, legend)],
                unit,
                interval_s=interval_s,
                thresholds=thresholds,
            )
            for name, description, expr in (
                (f"{title}, all services", _EVERYWHERE, exact),
                (f"{title}, $service", _CHOSEN, chosen),
            )
        )

    rows = (
        pair(
            "Traffic distribution",
            queries.GUIDE_TRAFFIC_DISTRIBUTION,
            queries.CHOSEN_TRAFFIC_DISTRIBUTION,
            _SERVICE_AND_VERSION,
            panels.REQUESTS_PER_SECOND,
            (),
        ),
        pair(
            "Success rate by version",
            queries.GUIDE_SUCCESS_RATE,
            queries.CHOSEN_SUCCESS_RATE,
            _VERSION,
            panels.SHARE,
            success,
        ),
        pair(
            "Latency p99 by version",
            queries.GUIDE_LATENCY_P99,
            queries.CHOSEN_LATENCY_P99,
            _VERSION,
            _MILLISECONDS,
            latency,
        ),
    )
    return Section("The guide's queries (Istio)", rows)
