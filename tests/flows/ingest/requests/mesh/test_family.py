"""How each mesh's labels tell variant, outcome, route and latency.

Covers flows.ingest.requests.mesh.envoy, flows.ingest.requests.mesh.istio,
flows.ingest.requests.mesh.linkerd.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import (
    UNATTRIBUTED,
    Labels,
    SeriesRole,
    selectors,
    split_flags,
    variant_of,
)
from flows.ingest.requests.series import SeriesLabels, experiment_series
from flows.ingest.sources.samples import Samples
from flows.spec.experiment import Experiment, Mesh
from tests.builders.exposition import MISSING, PAGES, series_of_page
from tests.builders.scraped_source import matches

needs_pages = pytest.mark.skipif(not PAGES.exists(), reason=MISSING)


def experiment(mesh: Mesh, **changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "experiment": "web",
        "service": "web",
        "namespace": "shop",
        "mesh": mesh,
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
        "sources": {"requests": {"prometheus": "http://localhost:9090"}},
    }
    return Experiment.model_validate(fields | changes)


def variant(mesh: Mesh, labels: Labels, **changes: Any) -> str | None:
    family = FAMILIES[mesh]
    return variant_of(family, experiment(mesh, **changes), labels, family.roles[labels["__name__"]])


def read(mesh: Mesh, labels: Labels, **changes: Any) -> bool:
    return any(matches(s, labels) for s in selectors(FAMILIES[mesh], experiment(mesh, **changes)))


def samples_of(*series: Labels) -> Samples:
    count = len(series)
    return Samples(tuple(series), np.arange(count + 1), np.full(count, 1_000), np.full(count, 1.0))


ISTIO = {
    "__name__": "istio_requests_total",
    "reporter": "destination",
    "destination_service_name": "web",
    "destination_service_namespace": "shop",
    "destination_workload": "web-v2",
    "destination_version": "v2",
    "destination_canonical_revision": "v2",
    "response_code": "200",
    "response_flags": "-",
}


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"response_code": "200"}, "success"),
        ({"response_code": "404"}, "client_error"),
        ({"response_code": "429", "response_flags": "RL"}, "rejected"),
        ({"response_code": "503", "response_flags": "UF,URX"}, "failure"),
        ({"response_code": "504", "response_flags": "UT"}, "failure"),
        ({"response_code": "200", "grpc_response_status": "0"}, "success"),
        ({"response_code": "200", "grpc_response_status": "14"}, "failure"),
        ({"response_code": "0", "response_flags": "DC"}, "abandoned"),
        ({"response_code": "0", "response_flags": "-"}, "abandoned"),
    ],
)
def test_istio_outcomes(labels: Labels, expected: str) -> None:
    assert FAMILIES[Mesh.ISTIO].response(labels).outcome == expected


def test_flags_are_a_sorted_list_and_unknown_ones_stay() -> None:
    assert split_flags("FI,DI") == ("DI", "FI")
    assert split_flags("-") == ()
    assert split_flags("XYZ,UO") == ("UO", "XYZ")
    for text in ("UT, DC", "ut dc", "UT;DC", "UT|DC|UT", "Ut,-,dC"):
        assert split_flags(text) == ("DC", "UT"), text


def test_istio_version_is_the_version_or_the_canonical_revision() -> None:
    assert variant(Mesh.ISTIO, ISTIO) == "canary"
    revision_only = ISTIO | {"destination_version": "unknown"}
    assert variant(Mesh.ISTIO, revision_only) == "canary"
    assert (
        variant(
            Mesh.ISTIO,
            ISTIO | {"destination_version": "v3"} | {"destination_canonical_revision": "v3"},
        )
        is None
    )


def test_request_that_reached_no_pod_is_unattributed_only_if_it_failed() -> None:
    nowhere = ISTIO | {
        "reporter": "source",
        "destination_version": "unknown",
        "destination_canonical_revision": "latest",
        "destination_workload": "unknown",
    }
    latest: dict[str, Any] = {
        "variants": {"stable": {"version": "v1"}, "canary": {"version": "latest"}}
    }
    failed = nowhere | {"response_code": "503", "response_flags": "UH"}
    for reporter in ("source", "destination"):
        named = latest | {"reporter": reporter}
        assert variant(Mesh.ISTIO, failed, **named) == UNATTRIBUTED
        assert variant(Mesh.ISTIO, nowhere, **named) is None
    pod_without_revision = nowhere | {"destination_workload": "web"}
    assert variant(Mesh.ISTIO, pod_without_revision, **latest, reporter="source") == "canary"
    by_match = latest | {"match": {"reporter": "source"}}
    assert variant(Mesh.ISTIO, pod_without_revision, **by_match) == "canary"


def test_one_reporter_is_read() -> None:
    assert read(Mesh.ISTIO, ISTIO)
    assert not read(Mesh.ISTIO, ISTIO | {"reporter": "source"})
    assert read(Mesh.ISTIO, ISTIO | {"reporter": "source", "response_flags": "UF,URX"})
    assert read(Mesh.ISTIO, ISTIO | {"reporter": "source"}, reporter="source")


def test_variants_that_name_a_label_widen_the_selection() -> None:
    blue_green = {
        "blue": {"labels": {"destination_service_name": "web-blue"}},
        "green": {"labels": {"destination_service_name": "web-green"}},
    }
    green = ISTIO | {"destination_service_name": "web-green"}
    assert read(Mesh.ISTIO, green, variants=blue_green)
    assert variant(Mesh.ISTIO, green, variants=blue_green) == "green"


def test_match_is_required_of_every_series() -> None:
    assert not read(Mesh.ISTIO, ISTIO, match={"cluster": "eu"})
    assert read(Mesh.ISTIO, ISTIO | {"cluster": "eu"}, match={"cluster": "eu"})


LINKERD = {
    "__name__": "response_total",
    "direction": "inbound",
    "namespace": "shop",
    "deployment": "v2",
    "classification": "success",
    "status_code": "200",
}


def test_linkerd_trusts_the_classification() -> None:
    respond = FAMILIES[Mesh.LINKERD].response
    assert respond(LINKERD).outcome == "success"
    assert respond(LINKERD | {"classification": "failure"}).outcome == "failure"
    grpc = respond(LINKERD | {"classification": "failure", "grpc_status": "14"})
    assert (grpc.code, grpc.grpc_status, grpc.outcome) == ("200", "14", "failure")
    gone = respond(LINKERD | {"classification": "failure", "error": "cancelled"})
    assert gone.outcome == "abandoned"


def test_linkerd_inbound_reads_only_the_variants_of_the_namespace() -> None:
    assert variant(Mesh.LINKERD, LINKERD) == "canary"
    assert read(Mesh.LINKERD, LINKERD)
    assert not read(Mesh.LINKERD, LINKERD | {"deployment": "cart"})
    assert not read(Mesh.LINKERD, LINKERD | {"namespace": "staging"})
    assert not read(Mesh.LINKERD, LINKERD | {"direction": "outbound"})
    by_label = LINKERD | {"deployment": "web", "version": "v2"}
    assert read(Mesh.LINKERD, by_label)
    assert variant(Mesh.LINKERD, by_label) == "canary"


def test_linkerd_outbound_is_the_sources_view() -> None:
    outbound = {
        "__name__": "response_total",
        "direction": "outbound",
        "authority": "web.shop.svc.cluster.local:8080",
        "dst_service": "v2",
        "classification": "success",
    }
    assert read(Mesh.LINKERD, outbound, reporter="source")
    assert not read(Mesh.LINKERD, outbound | {"authority": "web2.shop"}, reporter="source")
    assert variant(Mesh.LINKERD, outbound, reporter="source") == "canary"
    lost = {k: v for k, v in outbound.items() if k != "dst_service"} | {"classification": "failure"}
    assert variant(Mesh.LINKERD, lost, reporter="source") == UNATTRIBUTED


def test_linkerd_routes_are_named_and_actual_responses_stay_beside() -> None:
    effective = {
        "__name__": "route_response_total",
        "direction": "inbound",
        "dst": "web.shop.svc.cluster.local:80",
        "rt_route": "GET /books",
        "deployment": "v2",
        "classification": "success",
    }
    family = FAMILIES[Mesh.LINKERD_ROUTE]
    assert read(Mesh.LINKERD_ROUTE, effective)
    assert family.route(effective) == "GET /books"
    assert family.roles["route_actual_response_total"] is SeriesRole.OPTIONAL
    assert variant(Mesh.LINKERD_ROUTE, effective) == "canary"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"http_status": "200"}, "success"),
        ({"http_status": "500"}, "failure"),
        ({"http_status": "", "error": "RequestTimeout"}, "failure"),
        ({"error": "Cancel"}, "abandoned"),
        ({"grpc_status": "5"}, "client_error"),
        ({"grpc_status": "14"}, "failure"),
        ({"grpc_status": "DEADLINE_EXCEEDED"}, "failure"),
        ({"grpc_status": "Permission denied"}, "client_error"),
    ],
)
def test_linkerd_policy_outcomes(labels: Labels, expected: str) -> None:
    assert FAMILIES[Mesh.LINKERD_POLICY].response(labels).outcome == expected


def test_linkerd_policy_counts_backends_and_turns_seconds_into_milliseconds() -> None:
    backend = {
        "parent_name": "web",
        "parent_namespace": "shop",
        "backend_name": "v2",
        "route_namespace": "shop",
        "route_name": "split",
    }
    name = "outbound_http_route_backend_response"
    count = backend | {"__name__": f"{name}_statuses_total", "http_status": "200"}
    bucket = backend | {"__name__": f"{name}_duration_seconds_bucket", "le": "0.25"}
    route = {**backend, "__name__": "outbound_http_route_request_statuses_total"}
    del route["backend_name"]
    assert read(Mesh.LINKERD_POLICY, count)
    family, spec = FAMILIES[Mesh.LINKERD_POLICY], experiment(Mesh.LINKERD_POLICY)
    found = experiment_series(SeriesLabels(family, spec), samples_of(count, bucket, route))
    assert [row.variant for row in found.rows] == ["canary", "canary", UNATTRIBUTED]
    assert found.rows[0].route == "shop/split"
    assert found.rows[1].le_ms == 250
    assert found.rows[2].role is SeriesRole.OPTIONAL


def test_envoy_reads_clusters_by_name_and_never_the_twins() -> None:
    answers = {
        "__name__": "envoy_cluster_upstream_rq",
        "envoy_cluster_name": "v2",
        "envoy_response_code": "503",
    }
    assert read(Mesh.ENVOY, answers)
    assert variant(Mesh.ENVOY, answers) == "canary"
    assert not read(Mesh.ENVOY, answers | {"envoy_cluster_name": "xds"})
    for twin in ("_xx", "_completed", "_internal", "_external"):
        twin_name = f"envoy_cluster_upstream_rq{twin}"
        assert not read(Mesh.ENVOY, answers | {"__name__": twin_name})
    assert FAMILIES[Mesh.ENVOY].response(answers).outcome == "failure"


def test_envoy_counters_of_a_listener_are_kept_without_a_version() -> None:
    injected = {
        "__name__": "envoy_http_fault_aborts_injected",
        "envoy_http_conn_manager_prefix": "ingress",
    }
    retries = {"__name__": "envoy_cluster_upstream_rq_retry", "envoy_cluster_name": "v1"}
    assert read(Mesh.ENVOY, injected)
    assert read(Mesh.ENVOY, retries)
    assert not read(Mesh.ENVOY, retries | {"envoy_cluster_name": "xds"})
    assert variant(Mesh.ENVOY, injected) == UNATTRIBUTED
    assert variant(Mesh.ENVOY, retries) == "stable"


def _rows_of_page(name: str, mesh: Mesh, **changes: Any) -> list[tuple[str, str, str, float]]:
    """Variant, class, metric and value of the page's series that the experiment reads."""
    family, spec = FAMILIES[mesh], experiment(mesh, **changes)
    wanted = selectors(family, spec)
    page = [
        (labels, value)
        for labels, value in series_of_page(name)
        if any(matches(selector, labels) for selector in wanted)
    ]
    found = experiment_series(
        SeriesLabels(family, spec), samples_of(*(labels for labels, _ in page))
    )
    values = [value for labels, value in page]
    assert len(found.rows) + found.foreign == len(values)
    return [
        (row.variant, row.outcome, row.metric, value)
        for row, value in zip(found.rows, values, strict=False)
    ]


@needs_pages
def test_real_istio_13_page() -> None:
    rows = _rows_of_page(
        "istio13_telemetry_42422_metrics.txt",
        Mesh.ISTIO,
        service="httpbin",
        namespace="istio-lab",
    )
    assert rows == [("stable", "success", "istio_requests_total", 1.0)]


@needs_pages
def test_real_istio_1x_lines_of_both_label_orders() -> None:
    page = "istio_1x_envoy_stats_prometheus_lines.txt"
    latest = {"stable": {"version": "latest"}, "canary": {"version": "v2"}}
    webapp = {"service": "webapp", "namespace": "istioinaction", "variants": latest}
    assert _rows_of_page(page, Mesh.ISTIO, **webapp) == [
        ("stable", "success", "istio_requests_total", 310.0)
    ]
    productpage = {"service": "productpage", "namespace": "default", "reporter": "source"}
    assert _rows_of_page(page, Mesh.ISTIO, **productpage) == [
        ("stable", "success", "istio_requests_total", 745.0)
    ]


@needs_pages
def test_real_linkerd_page_counts_responses_but_not_the_control_plane() -> None:
    admin = {"labels": {"target_port": "4191"}}
    changes = {
        "variants": {"admin": admin, "other": {"labels": {"target_port": "80"}}},
        "match": {},
    }
    family = FAMILIES[Mesh.LINKERD]
    spec = experiment(Mesh.LINKERD, **changes)
    # The scrape adds the pod's labels.
    page = [
        labels | {"namespace": "shop"}
        for labels, _ in series_of_page("linkerd2_proxy_4191_metrics.txt")
    ]
    wanted = selectors(family, spec)
    read_ = [labels for labels in page if any(matches(s, labels) for s in wanted)]
    found = experiment_series(SeriesLabels(family, spec), samples_of(*read_))
    counts = [row for row in found.rows if row.role is SeriesRole.REQUESTS]
    edges = sorted(row.le_ms for row in found.rows if row.le_ms is not None)
    assert [(row.variant, row.outcome) for row in counts] == [("admin", "success")]
    assert len(edges) == 26
    assert edges[0] == 1
    assert edges[-1] == float("inf")


@needs_pages
def test_real_old_envoy_page_without_codes_gives_nothing() -> None:
    variants = {"stable": {"version": "xds-grpc"}, "canary": {"version": "v2"}}
    page = "envoy_istio13_productpage_15090_stats_prometheus.txt"
    assert _rows_of_page(page, Mesh.ENVOY, variants=variants) == []


@pytest.mark.parametrize("status", range(18))
@pytest.mark.parametrize("classification", ["success", "failure"])
def test_a_grpc_status_is_the_same_outcome_in_every_mesh(status: int, classification: str) -> None:
    text = str(status)
    of_mesh = {
        Mesh.ISTIO: {"response_code": "200", "grpc_response_status": text},
        Mesh.LINKERD: {
            "classification": classification,
            "status_code": "200",
            "grpc_status": text,
        },
        Mesh.LINKERD_ROUTE: {"classification": classification, "grpc_status": text},
        Mesh.LINKERD_POLICY: {"grpc_status": text},
    }
    outcomes = {mesh: FAMILIES[mesh].response(labels).outcome for mesh, labels in of_mesh.items()}
    assert len(set(outcomes.values())) == 1, outcomes


@pytest.mark.parametrize(
    "code", ["101", "200", "204", "301", "304", "400", "401", "404", "418", "429", "500", "503"]
)
def test_an_http_code_is_the_same_outcome_in_every_mesh(code: str) -> None:
    classification = "failure" if code.startswith("5") else "success"
    of_mesh = {
        Mesh.ISTIO: {"response_code": code, "response_flags": "-"},
        Mesh.LINKERD: {"classification": classification, "status_code": code},
        Mesh.LINKERD_ROUTE: {"classification": classification, "status_code": code},
        Mesh.LINKERD_POLICY: {"http_status": code, "error": ""},
        Mesh.ENVOY: {"envoy_response_code": code},
    }
    outcomes = {mesh: FAMILIES[mesh].response(labels).outcome for mesh, labels in of_mesh.items()}
    assert len(set(outcomes.values())) == 1, outcomes


@pytest.mark.parametrize("mesh", list(Mesh))
def test_a_series_that_tells_nothing_is_no_success(mesh: Mesh) -> None:
    assert FAMILIES[mesh].response({}).outcome == "unknown"


@pytest.mark.parametrize(
    ("mesh", "counters"),
    [
        (Mesh.ISTIO, set()),
        (Mesh.LINKERD, {"request_total"}),
        (Mesh.LINKERD_ROUTE, {"route_request_total"}),
        (
            Mesh.LINKERD_POLICY,
            {f"outbound_{name}_route_backend_requests_total" for name in ("http", "grpc")},
        ),
    ],
)
def test_counters_of_beginnings_are_read_beside_the_answers(mesh: Mesh, counters: set[str]) -> None:
    family = FAMILIES[mesh]
    assert set(family.begun) == counters
    assert all(family.roles[name] is SeriesRole.OPTIONAL for name in counters)
    assert counters <= {s.metric for s in selectors(family, experiment(mesh))}


def test_envoys_beginnings_are_attempts_and_refusals_without_retries() -> None:
    signs = FAMILIES[Mesh.ENVOY].begun
    assert signs["envoy_cluster_upstream_rq_total"] == 1
    assert signs["envoy_cluster_upstream_rq_retry"] == -1
    # Of these no attempt is counted, but an answer is (503 UF, UO and UH).
    for name in ("rq_pending_failure_eject", "rq_pending_overflow", "cx_none_healthy"):
        assert signs[f"envoy_cluster_upstream_{name}"] == 1
