"""A Service per version: blue-green, Flagger's canaries, Argo's host-level splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flows.ingest.requests.diagnosis import NoSeries
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    experiment,
    istio,
    pull,
    requests,
    rows,
)

UNTIL = START + HOUR


def _source(*services: str) -> ScrapedSource:
    """A pod behind each, without a version label as Flagger's have it; and another service."""
    source = ScrapedSource()
    for place, service in enumerate((*services, "search")):
        labels = istio("", f"10.0.0.{place}") | {
            "destination_service_name": service,
            "destination_workload": service.removesuffix("-canary"),
            "destination_version": "unknown",
            "destination_canonical_revision": "latest",
        }
        add_pod(source, labels, START + 60_000, UNTIL, per_scrape=10 * (place + 1))
        failed = labels | {"response_code": "503"}
        add_pod(source, failed, START + 60_000, UNTIL, per_scrape=place + 1)
    return source


def _variants(**named: dict[str, Any]) -> dict[str, Any]:
    return {"variants": named}


FLAGGER = ("checkout-primary", "checkout-canary")
NAMED = {
    "its Service": _variants(
        primary={"service": "checkout-primary"}, canary={"service": "checkout-canary"}
    ),
    "the label of its Service": _variants(
        primary={"labels": {"destination_service_name": "checkout-primary"}},
        canary={"labels": {"destination_service_name": "checkout-canary"}},
    ),
    "its workload": _variants(
        primary={"labels": {"destination_workload": "checkout-primary"}},
        canary={"labels": {"destination_workload": "checkout"}},
    ),
    "one of each": _variants(
        primary={"service": "checkout-primary"},
        canary={"labels": {"destination_workload": "checkout"}},
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_versions_with_a_service_each_are_counted(case: str, tmp_path: Path) -> None:
    warehouse = tmp_path / "w.duckdb"
    pull(_source(*FLAGGER), warehouse, UNTIL, **NAMED[case])
    counted = requests(warehouse)
    assert set(counted) == {"primary", "canary"}
    assert counted["canary"] == 2 * counted["primary"] > 0
    # The other service's failures are nobody's here: they reached no version of this one.
    assert rows(warehouse, "select count(*) from series where variant = 'unattributed'") == [(0,)]


def test_blue_and_green_as_in_the_guide(tmp_path: Path) -> None:
    named = _variants(
        blue={"service": "checkout-service-blue"}, green={"service": "checkout-service-green"}
    )
    source = _source("checkout-service-blue", "checkout-service-green")
    pull(source, tmp_path / "w.duckdb", UNTIL, **named)
    assert set(requests(tmp_path / "w.duckdb")) == {"blue", "green"}


def test_the_error_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(NoSeries) as told:
        pull(_source(*FLAGGER), tmp_path / "w.duckdb", UNTIL)
    assert (
        "If each version has a Service of its own (checkout-canary, checkout-primary), name it: "
        "`variants: {stable: {service: ...}, canary: {service: ...}}`"
    ) in str(told.value)
    with pytest.raises(NoSeries) as other:
        pull(_source("basket", "basket-canary"), tmp_path / "w.duckdb", UNTIL)
    assert "Service of its own" not in str(other.value)


def test_a_policys_backend_is_its_service() -> None:
    named = _variants(a={"service": "checkout-a"}, b={"service": "checkout-b"})
    spec = experiment(mesh="linkerd-policy", **named)
    assert [one.version for one in spec.variants.values()] == ["checkout-a", "checkout-b"]


def test_a_spec_by_services_means_the_same_as_by_their_labels() -> None:
    one, other = (experiment(**NAMED[case]) for case in ("its Service", "the label of its Service"))
    assert [each.labels for each in one.variants.values()] == [
        each.labels for each in other.variants.values()
    ]


def test_a_service_is_a_name() -> None:
    with pytest.raises(ValidationError):
        experiment(**_variants(a={"service": ["x"]}, b={"service": "y"}))
