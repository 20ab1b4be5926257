"""Where boards and pages link to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dashboards.html_report import experiment_page
from dashboards.page_templates import Site
from flows.publish.addresses import Addresses, AddressRefused, read_addresses
from flows.publish.dashboards import view_of
from flows.workspace.experiments import load_spec
from tests.builders.reports import report
from tests.places import REPOSITORY


def test_addresses_are_the_environments_or_nothing() -> None:
    assert read_addresses({}) == Addresses("", "")
    said = {"VERDICT_GRAFANA_URL": "https://g.example/grafana/", "VERDICT_URL": "http://v:8080"}
    assert read_addresses(said) == Addresses("https://g.example/grafana", "http://v:8080")


@pytest.mark.parametrize(
    "url",
    [
        "grafana.example", "javascript:alert(1)", "https://user:secret@g.example", "https://",
        "https://g.example?token=secret", "https://g.example/${__from}", "https://g.example/a b",
        "https://g.example/\n", "https://g.example/)x", "https://[", "data:text/html,x",
    ],
)  # fmt: skip
def test_what_cannot_be_linked_to_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused, match="VERDICT_URL is") as caught:
        read_addresses({"VERDICT_URL": f"{url}x" if url.endswith("\n") else url})
    assert "secret" not in str(caught.value)


def test_board_and_page_lead_to_each_other() -> None:
    spec = load_spec(REPOSITORY / "experiments" / "exam-service-canary.yaml")
    view = view_of(spec, Addresses("https://g.example", "https://v.example"))
    assert view.page_url == "https://v.example/report/exam-service-canary.html"
    assert view.verdict_url == "https://v.example/verdict/exam-service-canary"
    told = replace(report("exam"), dashboard=view.uid)
    page = experiment_page(told, Site(grafana="https://g.example"))
    assert '<a href="https://g.example/d/sv-exam-service-canary">Grafana</a>' in page
    assert ">Grafana<" not in experiment_page(told)
    assert (view_of(spec).page_url, view_of(spec).verdict_url) == ("", "")
