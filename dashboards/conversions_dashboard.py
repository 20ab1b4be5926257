"""The dashboard of conversions: every experiment's users, side by side."""

from __future__ import annotations

from grafana_foundation_sdk.models.dashboard import Dashboard, Panel

from dashboards import panels, queries
from dashboards.experiment_view import CONVERSIONS_UID
from dashboards.layout import Section, board
from dashboards.panels import Query
from dashboards.promql import Match
from dashboards.variables import experiments_variables
from dashboards.verdict_panels import checks_panel, decision_panel

_RATE = "Share of users with the outcome, by variant, as of the last look."
_HARM = (
    "Harm of each metric of users in its unit, above 0 is worse, with the bounds that hold at "
    "every look (dashed)."
)
_SPLIT = "Share of the users, or requests, that each variant got; dashed: as configured."
_INTERVAL_S = 60
_CHOSEN = Match("experiment", "=~", "$experiment")
_USERS = Match("unit", "=", "user")


def conversions_dashboard(*, prefix: str = "edtech") -> Dashboard:
    """Conversion rates, harm and splits; prefix: of the guide's metrics."""
    rates = Query(
        queries.conversion_rate(prefix, _CHOSEN), "{{experiment}} {{variant}}: {{outcome}}"
    )
    legend = "{{experiment}} {{candidate}}: {{metric}}"
    by = ("candidate", "metric")
    harms = [
        Query(queries.own("harm", _CHOSEN, _USERS, by=by), legend),
        Query(queries.own("harm_lower", _CHOSEN, _USERS, by=by), f"{legend}, at least", None, True),
        Query(queries.own("harm_upper", _CHOSEN, _USERS, by=by), f"{legend}, at most", None, True),
    ]
    shares = [
        Query(
            queries.own("split_observed_ratio", _CHOSEN, by=("variant",)),
            "{{experiment}} {{variant}}",
        ),
        Query(
            queries.own("split_configured_ratio", _CHOSEN, by=("variant",)),
            "{{experiment}} {{variant}}, configured",
            None,
            True,
        ),
    ]
    rows = (
        (
            decision_panel(_CHOSEN),
            checks_panel(_CHOSEN, Match("check", "=~", "split of users.*|users present")),
        ),
        (_lines("Conversion rates", _RATE, [rates], panels.CONVERSION),),
        (
            _lines("Harm of users' metrics", _HARM, harms, panels.CHANGE),
            _lines("Split, seen and configured", _SPLIT, shares, panels.CONVERSION),
        ),
    )
    return board(
        "Conversions",
        CONVERSIONS_UID,
        "A/B tests: conversion rates, harm with its bounds, and how users were divided.",
        experiments_variables(),
        (Section("Users", rows),),
    )


def _lines(title: str, description: str, found: list[Query], unit: panels.PanelUnit) -> Panel:
    return panels.time_series(title, description, found, unit, interval_s=_INTERVAL_S)
