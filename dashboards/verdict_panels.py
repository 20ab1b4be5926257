"""What the verdicts say, from our own metrics: decision, harm with its bounds, split, checks."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import panels, queries
from dashboards.experiment_view import ExperimentView, MetricView
from dashboards.layout import Section
from dashboards.panels import AMBER, GREEN, RED, Query
from dashboards.promql import Match, equals
from dashboards.state_timeline import states

STATES = ((1, "promote", GREEN), (2, "hold", AMBER), (3, "rollback", RED), (4, "invalid", "purple"))
_CHECKS = ((0, "passed", GREEN), (1, "failed", RED))
_DECISION = "What each look decided. The verdict file has its reasons."
_HARM = (
    "Harm of the candidate beside the baseline, above 0 is worse, with the bounds that hold at "
    "every look. Rolled back for when the lower bound is above what is allowed; within the margin "
    "when the upper one is below it."
)
_SPLIT = "Share of the traffic that each version got in the latest stage; dashed: as configured."
_QUALITY = "Checks of the data at each look. With a failed one nothing is promoted."
# A line at 0 and nothing else.
_ZERO: panels.Steps = ((None, "transparent"), (0.0, "text"))
_PER_ROW = 3


def decision_panel(*matches: Match, title: str = "Decisions") -> Panel:
    """A bar over time for each experiment."""
    query = Query(queries.decision(*matches), "{{experiment}}")
    return states(title, _DECISION, [query], STATES)


def checks_panel(*matches: Match) -> Panel:
    """A bar over time for each check of the data."""
    query = Query(queries.own("check_failed", *matches, by=("check",)), "{{check}}")
    return states("Checks of the data", _QUALITY, [query], _CHECKS)


def verdict_section(view: ExperimentView) -> Section:
    """Decision, harm of each metric, split and checks of one experiment."""
    this = equals(experiment=view.name)
    harms = [_harm(view, metric) for metric in view.metrics]
    rows = [tuple(harms[i : i + _PER_ROW]) for i in range(0, len(harms), _PER_ROW)]
    first = (decision_panel(*this), _split(view), checks_panel(*this))
    return Section("Verdict", (first, *rows))


def _harm(view: ExperimentView, metric: MetricView) -> Panel:
    """The confidence sequence of a metric, beside zero and what is allowed."""
    found = []
    for hue, candidate in enumerate(view.candidates, 1):
        of = equals(experiment=view.name, metric=metric.name, candidate=candidate.name)
        found += [
            Query(queries.own("harm", *of), candidate.name, hue),
            Query(queries.own("harm_lower", *of), f"{candidate.name}, at least", hue, True),
            Query(queries.own("harm_upper", *of), f"{candidate.name}, at most", hue, True),
        ]
    of = equals(experiment=view.name, metric=metric.name)
    allowed = Query(queries.own("harm_allowed", *of), "allowed", None, True)
    return panels.time_series(
        f"Harm: {metric.name}",
        _HARM,
        [*found, allowed],
        panels.CHANGE_OF_SHARE if metric.is_share else panels.CHANGE,
        interval_s=view.scrape_interval_s,
        thresholds=_ZERO,
    )


def _split(view: ExperimentView) -> Panel:
    found = []
    for hue, variant in enumerate(view.variants):
        of = equals(experiment=view.name, variant=variant.name)
        found += [
            Query(queries.own("split_observed_ratio", *of), variant.legend, hue),
            Query(
                queries.own("split_configured_ratio", *of),
                f"{variant.legend}, configured",
                hue,
                True,
            ),
        ]
    return panels.time_series(
        "Split, seen and configured",
        _SPLIT,
        found,
        panels.CONVERSION,
        interval_s=view.scrape_interval_s,
    )
