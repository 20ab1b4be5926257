"""Every panel's expression runs on real servers and returns series, with the right values.

On Prometheus 2 and 3 and on VictoriaMetrics.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.conversions_dashboard import conversions_dashboard
from dashboards.experiment_dashboard import experiment_dashboard
from dashboards.experiment_view import ExperimentView
from dashboards.fleet_dashboard import fleet_dashboard
from dashboards.pipeline_dashboard import pipeline_dashboard
from tests.builders import views
from tests.builders.planted_series import NAMESPACE, planted_series
from tests.dashboards.reading import PanelQuery, annotations_of, queries_of, read
from tests.places import PATIENCE_S
from tests.servers.real_servers import ENGINES, prometheus_with

BY_NAME = pytest.mark.parametrize("view", views.ALL, ids=lambda view: view.name)


@pytest.fixture(scope="module", params=ENGINES)
def prometheus(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    with prometheus_with(planted_series(), folder, request.param, ahead_s=300) as url:
        yield url


def ask(url: str, query: PanelQuery) -> list[list[float]]:
    """The numbers of each series that the query yields; ValueError with the server's words."""
    now = int(time.time())
    if query.instant:
        path, when = "query", {"time": str(now)}
    else:
        path, when = "query_range", {"start": str(now - 1800), "end": str(now), "step": "15"}
    answer = requests.get(f"{url}/api/v1/{path}", {"query": query.expr, **when}, timeout=PATIENCE_S)
    content: dict[str, Any] = answer.json()
    if content["status"] != "success":
        raise ValueError(f"{query.panel}: {content['error']}")
    series = [
        [float(value) for _, value in found.get("values", [found.get("value")])]
        for found in content["data"]["result"]
    ]
    return [[v for v in values if not math.isnan(v)] for values in series]


def without_series(url: str, queries: list[PanelQuery]) -> list[str]:
    """The panels and expressions that yield no number."""
    return [f"{q.panel}: {q.expr}" for q in queries if not any(ask(url, q))]


def last_values(url: str, dashboard: Dashboard, panel: str) -> list[float]:
    """The last value of each query of a panel, in the order of the variants."""
    found = [query for query in queries_of(read(dashboard)) if query.panel == panel]
    return [values[-1] for query in found for values in ask(url, query)]


@BY_NAME
def test_every_expression_of_an_experiment_returns_series(
    prometheus: str, view: ExperimentView
) -> None:
    content = read(experiment_dashboard(view))
    queries = queries_of(content)
    assert queries
    # Nothing was decided anew in what is planted.
    marks = [mark for mark in annotations_of(content) if mark.panel != "Decisions"]
    assert without_series(prometheus, [*queries, *marks]) == []


@pytest.mark.parametrize(
    "dashboard", [fleet_dashboard(views.ALL), conversions_dashboard(), pipeline_dashboard()]
)
def test_every_expression_of_the_fleet_returns_series(
    prometheus: str, dashboard: Dashboard
) -> None:
    assert without_series(prometheus, queries_of(read(dashboard))) == []


def test_a_decision_is_one_number_for_each_experiment(prometheus: str) -> None:
    """However it was pushed: 3 is a rollback."""
    fleet = queries_of(read(fleet_dashboard(views.ALL)))
    decisions = next(query for query in fleet if query.panel == "Decisions")
    found = ask(prometheus, decisions)
    assert len(found) == len(views.ALL)
    assert {value for values in found for value in values} == {3.0}


# Where a series says which variant it is of.
VARIANT_LABELS: tuple[str, ...] = (
    "destination_version", "destination_canonical_revision", "version", "variant",
    "deployment_version", "candidate", "deployment", "dst_service", "backend_name",
    "envoy_cluster_name",
)  # fmt: skip
# What the meshes' own queries tell apart where only other labels tell the variants.
VERSIONS = {"v1", "v2"}


def labels_found(url: str, query: PanelQuery) -> list[dict[str, str]]:
    now = {"query": query.expr, "time": str(int(time.time()))}
    answer = requests.get(f"{url}/api/v1/query", now, timeout=PATIENCE_S)
    return [found["metric"] for found in answer.json()["data"]["result"]]


def told(labels: list[dict[str, str]]) -> set[str]:
    """By what the series tell variants."""
    return {one[name] for one in labels for name in VARIANT_LABELS if name in one}


def variants_of(view: ExperimentView) -> dict[str, set[str]]:
    """By variant, all that series and selectors call it."""
    return {
        each.name: {each.name, each.version or each.name, *each.labels.values()}
        for each in (view.baseline, *view.candidates)
    }


def expected_on(panel: str, view: ExperimentView) -> set[str]:
    """The variants that a panel is about."""
    if panel in ("Decisions", "Checks of the data"):
        return set()
    if panel.startswith(("Harm", "Health score")):
        return {each.name for each in view.candidates}
    everyone = (view.baseline, *view.candidates)
    return {v.name for v in everyone if panel == f"Latency of {v.legend}"} or {
        each.name for each in everyone
    }


@BY_NAME
def test_every_panel_shows_the_variants_it_is_about(prometheus: str, view: ExperimentView) -> None:
    """All of them, and no version that isn't the experiment's."""
    known = variants_of(view)
    shown: dict[str, set[str]] = {}
    for query in queries_of(read(experiment_dashboard(view))):
        labels = labels_found(prometheus, query)
        assert {one.get("experiment", view.name) for one in labels} == {view.name}, query
        own = told(labels)
        if view.baseline.version is None and "by (destination_" in query.expr:
            assert own == VERSIONS, query
            continue
        assert own <= set().union(*known.values()), query
        quoted = re.findall(r'"([^"]*)"', query.expr.replace("\\", "")) if labels else []
        asked = {one for text in quoted for one in text.split("|")}
        of_it = {name for name, called in known.items() if called & (own or asked)}
        shown[query.panel] = shown.get(query.panel, set()) | of_it
    assert shown == {panel: expected_on(panel, view) for panel in shown}


def test_fleet_and_conversions_show_every_variant_of_every_experiment(prometheus: str) -> None:
    arms = {view.name: (view.baseline, *view.candidates) for view in views.ALL}
    pairs = {(name, each.name) for name, both in arms.items() for each in both}
    converting = {
        (v.name, each.name) for v in views.ALL if v.has_conversions for each in arms[v.name]
    }
    harmed = {(name, each.name) for name, both in arms.items() for each in both[1:]}
    candidates = {each.deployment_version for both in arms.values() for each in both[1:]}
    versions = {frozenset(each.deployment_version for each in both) for both in arms.values()}
    boards = (fleet_dashboard(views.ALL), conversions_dashboard(), pipeline_dashboard())
    for query in (query for board in boards for query in queries_of(read(board))):
        labels = labels_found(prometheus, query)
        found = told(labels)
        of = {
            (one.get("experiment", ""), one.get("variant", one.get("candidate"))) for one in labels
        }
        if "conversion_rate" in query.expr:
            assert of == converting, query
        elif "split_verdict_harm" in query.expr:
            assert of == harmed, query
        elif "split_verdict_split" in query.expr:
            assert of == pairs, query
        elif "health_score" in query.expr:
            assert found == candidates, query
        elif "split_percentage" in query.expr:
            assert found == set().union(*versions), query
        elif any(name in query.expr for name in VARIANT_LABELS):
            assert frozenset(found) in versions, query
        else:
            assert not found, query


@pytest.mark.parametrize("label", ["destination_version", "destination_canonical_revision"])
def test_the_reader_may_choose_the_version_label(prometheus: str, label: str) -> None:
    content = read(experiment_dashboard(views.ISTIO))
    for variable in content["templating"]["list"]:
        if variable["name"] == "version_label":
            variable["current"]["value"] = label
    assert without_series(prometheus, queries_of(content)) == []


def test_a_wrong_expression_does_not_pass(prometheus: str) -> None:
    misspelt = PanelQuery(
        "misspelt", 'sum(rate(istio_requests_total{reporter="nobody"}[5m]))', False
    )
    nothing = PanelQuery("divides by nothing", "0 * edtech_canary_health_score / 0", False)
    assert len(without_series(prometheus, [misspelt, nothing])) == 2
    with pytest.raises(ValueError, match=r"unclosed: .*(parse error|unexpected token)"):
        without_series(prometheus, [PanelQuery("unclosed", "sum(rate(up[5m])", False)])


@pytest.mark.parametrize(
    "view", [view for view in views.ALL if view.mesh], ids=lambda view: view.name
)
def test_panels_show_what_the_counters_say(prometheus: str, view: ExperimentView) -> None:
    dashboard = experiment_dashboard(view)
    milliseconds = 0.001 if view.mesh == "linkerd-policy" else 1
    # The clients that went away: 0.1/s of each version, which Istio counts.
    gone = 0.1 if view.mesh == "istio" else 0
    share = 100 * (10 + gone) / (100 + 2 * gone)
    assert last_values(prometheus, dashboard, "Traffic share") == pytest.approx(
        [100 - share, share], rel=1e-6
    )
    assert last_values(prometheus, dashboard, "Request rate") == pytest.approx(
        [90 + gone, 10 + gone], rel=1e-6
    )
    assert last_values(prometheus, dashboard, "Success rate") == pytest.approx([0.99, 0.96])
    assert last_values(prometheus, dashboard, "Latency p50") == pytest.approx(
        [25 * milliseconds] * 2
    )
    assert last_values(prometheus, dashboard, "Latency p99") == pytest.approx(
        [750 * milliseconds] * 2
    )
    errors = [query for query in queries_of(read(dashboard)) if query.panel.startswith("Errors")]
    canary = [values[-1] for values in ask(prometheus, errors[1])]
    assert sum(canary) == pytest.approx(0.4 + gone, rel=1e-6)


def test_a_total_failure_is_zero_percent_not_no_data(prometheus: str) -> None:
    """The guide's own quotient has no numerator then, and its panel goes blank."""
    found = queries_of(read(experiment_dashboard(views.ENVOY)))
    success = next(query.expr for query in found if query.panel == "Success rate")
    only_failures = success.replace("{", '{envoy_response_code="503", ')
    assert ask(prometheus, PanelQuery("total failure", only_failures, True)) == [[0.0]]


@BY_NAME
def test_variables_find_the_experiments_own_values(prometheus: str, view: ExperimentView) -> None:
    wanted = {"namespace": NAMESPACE, "service": "exam-service"}
    for variable in read(experiment_dashboard(view))["templating"]["list"]:
        if variable["type"] == "query":
            found = label_values(prometheus, variable["query"]["query"], variable.get("regex", ""))
            assert wanted[variable["name"]] in found


def label_values(url: str, query: str, part: str) -> set[str]:
    """What Grafana lists for a label_values() query with a pattern for the part to take."""
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", query)
    assert found is not None
    selector = found[1].replace("$namespace", NAMESPACE)
    answer = requests.get(
        f"{url}/api/v1/label/{found[2]}/values", {"match[]": selector}, timeout=PATIENCE_S
    )
    values: list[str] = answer.json()["data"]
    if not part:
        return set(values)
    parts = (re.search(part.strip("/"), value) for value in values)
    return {match[1] for match in parts if match}
