"""What we measured and decided, from the exported metrics: scores, shares, conversions."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import panels, queries
from dashboards.experiment_view import ExperimentView
from dashboards.layout import Section
from dashboards.panels import Link, Query
from dashboards.promql import Match, any_of, equals

_SCORE = (
    "Canary health as of the last look, 0 to 100: how sure it is that the harm is within the "
    "margins, weighted over the metrics; 0 when a critical metric fails. Dashed: what of it is "
    "proven at every look, and what it could be. The verdict file has the reasons."
)
_SHARE = "Percent of the traffic per version, from the exact counts of the last look."
_CONVERSION = (
    "Share of users with the outcome, per variant, as of the last look. Without its interval: "
    "the verdict says what it proves."
)
_CHOSEN = (Match("namespace", "=~", "$namespace"), Match("service", "=~", "$service"))
# The fleet has no one's thresholds: these are the defaults.
_DEFAULT_STEPS = panels.score_steps(75.0, 95.0)
_PER_LOOK_S = 15


def experiment_section(view: ExperimentView, prefix: str) -> Section:
    """Scores, shares and conversions of one experiment."""
    steps = panels.score_steps(view.marginal_score, view.pass_score)
    judged = any_of("deployment_version", tuple(v.deployment_version for v in view.candidates))
    score = Query(
        queries.health_score(prefix, Match("service", "=~", "$service"), judged),
        "{{deployment_version}}",
    )
    interval_s = view.scrape_interval_s
    now = panels.number(
        "Health score", _SCORE, score, panels.SCORE, interval_s=interval_s, thresholds=steps
    )
    course = panels.time_series(
        "Health score over time",
        _SCORE,
        [score, *_score_bounds(view)],
        panels.SCORE,
        interval_s=interval_s,
        thresholds=steps,
    )
    # Of a service whose requests are counted elsewhere, users say nothing of its traffic.
    traffic = (_measured_share(view, prefix),) if view.mesh else ()
    users = (_conversions(view, prefix),) if view.has_conversions else ()
    return Section("Score, traffic and conversions", ((now, course, *traffic, *users),))


def _score_bounds(view: ExperimentView) -> tuple[Query, Query]:
    """The interval of the score."""
    this = equals(experiment=view.name)
    return (
        Query(queries.own("health_score_lower", *this), "proven", None, True),
        Query(queries.own("health_score_upper", *this), "at most", None, True),
    )


def fleet_rows(views: tuple[ExperimentView, ...], prefix: str) -> tuple[tuple[Panel, ...], ...]:
    """Scores, shares and conversions of all experiments; a score's bar leads to its experiment."""
    chosen = Match("service", "=~", "$service")
    score = Query(queries.health_score(prefix, chosen), "{{service}} {{deployment_version}}")
    share = Query(queries.exported_share(prefix, *_CHOSEN), "{{service}} {{version}}")
    conversion = Query(queries.conversion_rate(prefix), "{{experiment}} {{variant}}: {{outcome}}")
    return (
        (
            panels.bars(
                "Health scores now",
                _SCORE,
                score,
                panels.SCORE,
                thresholds=_DEFAULT_STEPS,
                links=_links(views),
            ),
            panels.time_series(
                "Health scores over time",
                _SCORE,
                [score],
                panels.SCORE,
                interval_s=_PER_LOOK_S,
                thresholds=_DEFAULT_STEPS,
            ),
        ),
        (
            panels.time_series(
                "Measured traffic split", _SHARE, [share], panels.PERCENT, interval_s=_PER_LOOK_S
            ),
            panels.time_series(
                "Conversion rates",
                _CONVERSION,
                [conversion],
                panels.CONVERSION,
                interval_s=_PER_LOOK_S,
            ),
        ),
    )


def _links(views: tuple[ExperimentView, ...]) -> dict[str, list[Link]]:
    """By the score's name on the dashboard; experiments can share a version of a service."""
    links: dict[str, list[Link]] = {}
    for view in views:
        link = Link(f"Open {view.name}", f"/d/{view.uid}?${{__url_time_range}}")
        for candidate in view.candidates:
            links.setdefault(f"{view.service} {candidate.deployment_version}", []).append(link)
    return links


def _measured_share(view: ExperimentView, prefix: str) -> Panel:
    """A line per variant, in its colour."""
    found = [
        Query(
            queries.exported_share(prefix, *_CHOSEN, *equals(version=variant.deployment_version)),
            variant.legend,
            hue,
        )
        for hue, variant in enumerate(view.variants)
    ]
    return panels.time_series(
        "Measured traffic split",
        _SHARE,
        found,
        panels.PERCENT,
        interval_s=view.scrape_interval_s,
        stacked=True,
    )


def _conversions(view: ExperimentView, prefix: str) -> Panel:
    found = Query(
        queries.conversion_rate(prefix, *equals(experiment=view.name)), "{{variant}}: {{outcome}}"
    )
    return panels.time_series(
        "Conversion rates",
        _CONVERSION,
        [found],
        panels.CONVERSION,
        interval_s=view.scrape_interval_s,
    )
