"""The dashboards' JSON: nothing overlaps, nothing is missing, and it is always the same.

Covers dashboards.exported_panels, dashboards.guide_panels, dashboards.layout, dashboards.panels,
dashboards.request_panels, dashboards.variables.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards import queries
from dashboards.conversions_dashboard import conversions_dashboard
from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.experiment_view import (
    CONVERSIONS_UID,
    PIPELINE_UID,
    ExperimentView,
    VariantView,
)
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.grafana import to_json
from dashboards.pipeline_dashboard import pipeline_dashboard
from tests.builders import views
from tests.dashboards.golden_files import GOLDEN, REVIEWED, overview
from tests.dashboards.reading import panels_of, queries_of, read, variables_in

FLEET = (fleet_dashboard(views.ALL), conversions_dashboard(), pipeline_dashboard())
EVERY = pytest.mark.parametrize(
    "dashboard",
    [*(experiment_dashboard(view) for view in views.ALL), *FLEET],
    ids=[*(view.name for view in views.ALL), "fleet", "conversions", "pipeline"],
)


def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
    """The grid cells that a panel covers."""
    at = panel["gridPos"]
    columns = range(at["x"], at["x"] + at["w"])
    return {(x, y) for x in columns for y in range(at["y"], at["y"] + at["h"])}


@EVERY
def test_panels_have_their_own_id_and_place(dashboard: Dashboard) -> None:
    placed = read(dashboard)["panels"]
    assert len({panel["id"] for panel in placed}) == len(placed)
    assert all(0 <= x < 24 for panel in placed for x, _ in cells(panel))
    for one, other in combinations(placed, 2):
        assert not cells(one) & cells(other), f"{one['title']} overlaps {other['title']}"


@EVERY
def test_every_panel_explains_itself_and_asks_the_chosen_datasource(dashboard: Dashboard) -> None:
    for panel in panels_of(read(dashboard)):
        assert panel["title"]
        assert panel["description"]
        if panel["type"] == "text":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["targets"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        assert all(target["legendFormat"] for target in panel["targets"])


@EVERY
def test_every_variable_that_is_used_exists(dashboard: Dashboard) -> None:
    content = read(dashboard)
    names = {variable["name"] for variable in content["templating"]["list"]}
    is_of_users = dashboard.uid in (CONVERSIONS_UID, PIPELINE_UID)
    assert {"datasource", *(("experiment",) if is_of_users else ("namespace", "service"))} <= names
    for panel in panels_of(content):
        texts = [panel["title"], *(target["expr"] for target in panel.get("targets", []))]
        assert {name for text in texts for name in variables_in(text)} <= names


@EVERY
def test_the_same_experiments_give_the_same_bytes(dashboard: Dashboard) -> None:
    again = {
        one.uid: one
        for one in (
            *(experiment_dashboard(view) for view in views.ALL),
            fleet_dashboard(tuple(reversed(views.ALL))),
            conversions_dashboard(),
            pipeline_dashboard(),
        )
    }
    assert to_json(again[dashboard.uid]) == to_json(dashboard)


GUIDE = (
    "sum(rate(istio_requests_total[5m])) by (destination_service_name, destination_version)",
    """sum(rate(istio_requests_total{response_code!~"5.."}[5m])) by (destination_version) /
sum(rate(istio_requests_total[5m])) by (destination_version)""",
    """histogram_quantile(0.99,
  sum(rate(istio_request_duration_milliseconds_bucket[5m])) by (destination_version, le)
)""",
)


@pytest.mark.parametrize(
    "dashboard", [experiment_dashboard(views.ISTIO), fleet_dashboard(views.ALL)]
)
def test_the_guides_queries_stand_to_the_letter_beside_the_chosen_service(
    dashboard: Dashboard,
) -> None:
    panels = panels_of(read(dashboard))
    exprs = [panel.get("targets", [{"expr": ""}])[0]["expr"] for panel in panels]
    for exact in GUIDE:
        at = exprs.index(exact)
        chosen = exprs[at + 1]
        assert {"namespace", "service"} <= variables_in(chosen)
        assert panels[at]["gridPos"]["y"] == panels[at + 1]["gridPos"]["y"]


def test_the_fleet_leads_to_every_experiment_and_back() -> None:
    fleet = read(fleet_dashboard(views.ALL))
    directory = next(panel for panel in panels_of(fleet) if panel["type"] == "text")
    bars = next(panel for panel in panels_of(fleet) if panel["type"] == "bargauge")
    assert fleet["links"][0]["tags"] == ["split-verdict-experiment"]
    for view in views.ALL:
        page = read(experiment_dashboard(view))
        assert f"(/d/{page['uid']})" in directory["options"]["content"]
        assert "split-verdict-experiment" in page["tags"]
        assert page["links"][0]["url"] == f"/d/{fleet['uid']}"
    links = bars["fieldConfig"]["overrides"]
    assert links[0]["matcher"] == {"id": "byName", "options": "exam-service v2"}
    targets = [link["url"].split("?")[0] for link in links[0]["properties"][0]["value"]]
    assert targets == ["/d/sv-exam-canary", "/d/sv-quiz-format"]


def test_a_uid_is_stable_short_and_its_own() -> None:
    longest = [replace(views.ISTIO, name=f"{'exam-' * 12}{end}").uid for end in "ab"]
    assert views.ISTIO.uid == "sv-exam-canary"
    assert len(set(longest)) == 2
    assert all(len(uid) == 40 for uid in longest)


def test_the_prefix_of_exported_metrics_is_the_callers() -> None:
    found = queries_of(read(experiment_dashboard(views.USERS_ONLY, prefix="shop")))
    assert found
    guides = [query for query in found if "split_verdict_" not in query.expr]
    assert guides
    assert all("shop_" in query.expr and "edtech_" not in query.expr for query in guides)


def test_a_label_that_the_spec_names_is_the_specs() -> None:
    view = replace(views.LINKERD, match={"direction": "outbound"})
    found = queries_of(read(experiment_dashboard(view)))
    rates = [query.expr for query in found if query.panel == "Request rate"]
    assert all('direction="outbound"' in expr and "inbound" not in expr for expr in rates)


def test_odd_versions_are_taken_literally() -> None:
    variants = VariantView("stable", "1.0+b(1)"), VariantView("canary", 'say "2"')
    view: ExperimentView = replace(views.ENVOY, baseline=variants[0], candidates=variants[1:])
    (both,) = queries.picks_of(view.variants)
    assert both[0].value == r"1\.0\+b\(1\)" + '|say "2"'
    rate = queries_of(read(experiment_dashboard(view)))
    assert any(r'envoy_cluster_name="say \"2\""' in query.expr for query in rate)


def test_score_thresholds_colour_the_experiments_own_margins() -> None:
    view = replace(views.ISTIO, marginal_score=60, pass_score=90)
    panels = panels_of(read(experiment_dashboard(view)))
    score = next(panel for panel in panels if panel["title"] == "Health score")
    field = score["fieldConfig"]["defaults"]
    assert (field["min"], field["max"]) == (0, 100)
    assert [(step["value"], step["color"]) for step in field["thresholds"]["steps"]] == [
        (None, "red"),
        (60, "orange"),
        (90, "green"),
    ]


@pytest.mark.parametrize("name", REVIEWED)
def test_dashboards_look_as_reviewed(name: str) -> None:
    """After an intended change: python -m tests.dashboards.golden_files, and read the diff."""
    assert overview(REVIEWED[name]) == (GOLDEN / f"{name}.txt").read_text()
    assert to_json(REVIEWED[name]) == (GOLDEN / f"{name}.json").read_text()


def test_the_board_leads_to_report_and_json_where_somebody_has_said_where_they_are() -> None:
    view = replace(
        views.ISTIO,
        page_url="https://v.example/report/exam-canary.html",
        verdict_url="https://v.example/verdict/exam-canary",
    )
    links = {each["title"]: each["url"] for each in read(experiment_dashboard(view))["links"]}
    assert links["Report"] == view.page_url
    assert links["Verdict as JSON"] == view.verdict_url
    assert len(read(experiment_dashboard(views.ISTIO))["links"]) == 1
