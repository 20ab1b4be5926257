"""What is said to write where the spec's variants aren't found: flows.ingest.requests.remedies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.ingest.requests.diagnosis import unseen_variants
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.sources.samples import SourceRefused
from flows.spec.experiment import Mesh
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import (
    HOUR,
    START,
    add_pod,
    experiment,
    istio,
    pull,
)

UNTIL = START + HOUR
SERVICES = "If each version has a Service of its own ({}), name it: `variants: {{{}: {{service: ..."
LABELS = "Labels that tell its series apart: {} ({}, {}); name one: `variants: {{stable: {{labels"
BLUE_GREEN = {"blue": {"version": "blue"}, "green": {"version": "green"}}


def source(*pods: dict[str, str]) -> ScrapedSource:
    """Pods without a version, but for what is said of each, and another service's."""
    found = ScrapedSource()
    unlabelled = {"destination_version": "unknown", "destination_canonical_revision": "latest"}
    for place, own in enumerate((*pods, {"destination_service_name": "search"})):
        labels = istio("", f"10.0.0.{place}") | unlabelled
        name = own.get("destination_service_name", labels["destination_service_name"])
        labels |= {"destination_workload": name, "source_workload": f"client-{place}"} | own
        add_pod(found, labels, START + 60_000, UNTIL, per_scrape=10)
    return found


def services(*names: str) -> ScrapedSource:
    return source(*({"destination_service_name": name} for name in names))


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (
            services("blue", "green"),
            {"variants": BLUE_GREEN},
            SERVICES.format("blue, green", "blue"),
        ),
        (
            services("green.checkout", "blue.checkout"),
            {"variants": BLUE_GREEN},
            SERVICES.format("blue.checkout, green.checkout", "blue"),
        ),
        (
            services("checkout-blue", "checkout-green"),
            {"variants": BLUE_GREEN, "service": "checkout-blue"},
            SERVICES.format("checkout-blue, checkout-green", "blue"),
        ),
        (
            services("checkout"),
            {"namespace": "elsewhere"},
            "destination_service_namespace is shop (set `namespace`)",
        ),
        (services("checkout"), {"reporter": "waypoint"}, "is destination (set `reporter`)"),
        (
            services("checkout", "checkout-canary"),
            {"service": "checkout.shop.svc.cluster.local"},
            "Write `service: checkout`, and its namespace in `namespace`",
        ),
        (
            source({"destination_workload": "w-primary"}, {"destination_workload": "w"}),
            {},
            LABELS.format("destination_workload", "w", "w-primary"),
        ),
        (
            source({"pod_template_hash": "6c54"}, {"pod_template_hash": "7f9d"}),
            {},
            LABELS.format("pod_template_hash", "6c54", "7f9d"),
        ),
        (
            source(
                {"a_tier": "x", "upstream_cluster": "o|80|stable|c"},
                {"a_tier": "y", "upstream_cluster": "o|80|canary|c"},
            ),
            {},
            LABELS.format("upstream_cluster", "o|80|canary|c", "o|80|stable|c").partition(";")[0],
        ),
    ],
)
def test_services_and_labels_that_may_be_the_variants_are_named(
    tmp_path: Path, there: ScrapedSource, asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(SourceRefused) as told:
        pull(there, tmp_path / "w.duckdb", UNTIL, **asked)
    assert said in str(told.value)
    assert "source_workload" not in str(told.value).partition("variants:")[0]


@pytest.mark.parametrize(
    ("canary", "said"),
    [
        ({"destination_service_name": "checkout-canary"}, "(checkout, checkout-canary), name it"),
        ({"destination_version": "v1", "destination_workload": "new"}, "_workload (checkout, new)"),
        (None, ""),
    ],
)
def test_one_variant_that_is_missing_is_looked_for_elsewhere(
    canary: dict[str, str] | None, said: str
) -> None:
    there = source({"destination_version": "v1"}, *([] if canary is None else [canary]))
    spec = experiment(variants={"stable": {"version": "v1"}, "canary": {"version": "v2"}})
    (sentence,) = unseen_variants(
        FAMILIES[Mesh.ISTIO], spec, there, ["canary"], start_ms=START, until_ms=UNTIL
    )
    assert sentence.startswith("variant canary: no series of checkout has destination_version or ")
    assert said in sentence
    assert said or "name" not in sentence.partition("values that exist")[2]
