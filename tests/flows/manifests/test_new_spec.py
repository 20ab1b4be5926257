"""A new spec calls everything as the cluster and its metrics do, or says what must be looked up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.manifests.split_choice import CannotInit, SpecAnswers
from flows.spec.experiment import Mesh
from tests.builders.cluster_objects import (
    FILTER,
    backend,
    canary,
    gateway_route,
    object_of,
    rollout,
    spec_of,
    text_of,
    told,
    virtual_service,
)

# Hosts


@pytest.mark.parametrize(
    ("host", "service", "namespace"),
    [
        ("exam", "exam", "shop"),
        ("exam.school", "exam", "school"),
        ("exam.school.svc", "exam", "school"),
        ("exam.school.svc.cluster.local", "exam", "school"),
        ("exam.school.svc.cluster.local.", "exam", "school"),
        ("exam.school.svc.corp.example", "exam", "school"),
        ("exam.shop", "exam", "shop"),
    ],
)
def test_a_host_of_the_cluster_is_the_service(
    tmp_path: Path, host: str, service: str, namespace: str
) -> None:
    spec = spec_of(tmp_path, virtual_service([host]))
    assert (spec.service, spec.namespace) == (service, namespace)


@pytest.mark.parametrize(
    ("host", "gateways"),
    [
        ("exams.com", ["shop/edge"]),
        ("exams.com", None),
        ("exams.de", None),
        ("exam.prod", ["shop/edge"]),
        ("www.exams.example.org", ["shop/edge"]),
        ("svc.exams.svc-a.org", None),
        ("exam.local", None),
        ("*.exams.com", ["shop/edge"]),
        ("*", None),
        ("10.20.30.40", None),
    ],
)
def test_a_public_host_is_no_service(tmp_path: Path, host: str, gateways: list[str] | None) -> None:
    text = text_of(tmp_path, virtual_service([host], gateways=gateways))
    assert "service: exam-stable  # CHECK: " in text
    assert "namespace: shop\n" in text


def test_of_public_and_inner_hosts_the_inner_one_is_the_service(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, virtual_service(["exams.com", "exam"], gateways=["edge", "mesh"]))
    assert spec.service == "exam"


def test_a_namespace_of_the_files_may_be_called_like_a_domain(tmp_path: Path) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "de"}}
    spec = spec_of(tmp_path, virtual_service(["exam.de"]), namespace)
    assert (spec.service, spec.namespace) == ("exam", "de")


def test_a_host_of_a_service_entry_is_outside(tmp_path: Path) -> None:
    entry = object_of("ServiceEntry", "networking.istio.io/v1", {"hosts": ["exam.partner"]})
    text = text_of(tmp_path, virtual_service(["exam.partner"]), entry)
    assert "service: exam-stable  # CHECK: " in text


def test_the_baseline_stands_for_a_public_host_wherever_it_is_written(tmp_path: Path) -> None:
    route = virtual_service(["exams.com"])
    route["spec"]["http"][0]["route"].reverse()
    assert spec_of(tmp_path, route).service == "exam-stable"


def test_a_service_for_each_version_is_told_by_its_name(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, virtual_service(["exam"]))
    assert {name: one.labels for name, one in spec.variants.items()} == {
        "exam-stable": {"destination_service_name": "exam-stable"},
        "exam-canary": {"destination_service_name": "exam-canary"},
    }
    assert spec.split == {"exam-stable": 90.0, "exam-canary": 10.0}


def test_services_of_two_namespaces_are_told_by_both(tmp_path: Path) -> None:
    to = ("exam.blue.svc.cluster.local", "exam.green.svc.cluster.local")
    spec = spec_of(tmp_path, virtual_service(["exam"], to=to))
    assert [one.labels for one in spec.variants.values()] == [
        {"destination_service_name": "exam", "destination_service_namespace": "blue"},
        {"destination_service_name": "exam", "destination_service_namespace": "green"},
    ]
    assert spec.split == {"exam": 90.0, "exam-2": 10.0}


# Rollouts and what they drive


def driven(*names: str) -> dict[str, Any]:
    """Argo's routing by one VirtualService, or by several."""
    listed = [{"name": name, "routes": ["main"]} for name in names]
    return {
        "istio": {"virtualService": listed[0]} if len(names) == 1 else {"virtualServices": listed}
    }


@pytest.mark.parametrize(
    ("names", "objects", "service"),
    [
        (["inside"], [virtual_service(["exam"], name="inside")], "exam"),
        (
            ["inside", "outside"],
            [
                virtual_service(["exam"], name="inside"),
                virtual_service(["exams.com"], gateways=["edge"], name="outside"),
            ],
            "exam",
        ),
        (
            ["outside", "inside"],
            [
                virtual_service(["exams.com"], gateways=["edge"], name="outside"),
                virtual_service(["exam.shop.svc.cluster.local"], name="inside"),
            ],
            "exam",
        ),
        (
            ["inside.mesh"],
            [virtual_service(["exam.shop"], name="inside", namespace="mesh")],
            "exam",
        ),
        (["outside"], [virtual_service(["exams.com"], name="outside")], "exam-stable"),
        (["elsewhere"], [], "exam-stable"),
    ],
)
def test_a_rollouts_service_is_the_one_that_its_routes_stand_for(
    tmp_path: Path, names: list[str], objects: list[dict[str, Any]], service: str
) -> None:
    text = text_of(tmp_path, rollout([10], driven(*names)), *objects)
    is_known = service == "exam"
    assert f"service: {service}\n" in text if is_known else f"service: {service}  # CHECK" in text
    assert 'stable: {service: "exam-stable", baseline: true}' in text


def test_a_route_that_is_not_the_rollouts_is_still_a_choice(tmp_path: Path) -> None:
    other = virtual_service(["quiz"], name="quiz", to=("quiz-a", "quiz-b"))
    objects = (rollout([10], driven("inside")), virtual_service(["exam"], name="inside"), other)
    with pytest.raises(CannotInit, match="2 splits fit"):
        text_of(tmp_path, *objects)
    chosen = text_of(tmp_path, *objects, wanted=SpecAnswers(route="inside", name="exam"))
    assert "# From VirtualService shop/inside" in chosen


def test_knative_needs_no_service(tmp_path: Path) -> None:
    target = {"apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "exam"}
    for provider in ("knative", None):
        found = canary({"stepWeight": 50, "maxWeight": 50}, provider=provider, targetRef=target)
        del found["spec"]["service"]
        if provider is None:
            del found["spec"]["provider"]
        assert told(tmp_path, found) == ""
        text = text_of(tmp_path, found)
        assert "mesh: envoy\n" in text
        assert "the cluster in Envoy is shop/REVISION" in text
    plain = canary({"stepWeight": 50, "maxWeight": 50})
    del plain["spec"]["service"]
    assert "spec.service: is missing" in told(tmp_path, plain)


# Clusters of an Envoy


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
def test_envoy_gateways_own_names_of_clusters(tmp_path: Path, kind: str) -> None:
    references = (backend("exam-stable", 90), backend("exam-canary", 10, filters=FILTER))
    spec = spec_of(tmp_path, *gateway_route("eg", *references, kind=kind))
    cluster = f"{kind.lower()}/shop/exam/rule/0/backend"
    assert spec.mesh is Mesh.ENVOY
    assert [one.version for one in spec.variants.values()] == [f"{cluster}/0", f"{cluster}/1"]
    assert spec.split == {"exam-stable": 90.0, "exam-canary": 10.0}


def test_versions_in_one_cluster_cannot_be_told_apart(tmp_path: Path) -> None:
    objects = gateway_route("eg", backend("exam-stable", 90), backend("exam-canary", 10))
    with pytest.raises(CannotInit, match=r"httproute/shop/exam/rule/0: .*can't be told apart"):
        text_of(tmp_path, *objects)
    wanted = SpecAnswers(name="exam", mesh=Mesh.LINKERD_POLICY)
    assert "version: exam-canary" in text_of(tmp_path, *objects, wanted=wanted)


@pytest.mark.parametrize(
    ("controller", "mesh"),
    [
        ("gateway.envoyproxy.io/gatewayclass-controller", None),
        ("istio.io/gateway-controller", Mesh.ISTIO),
        ("gateway.example.org/controller", Mesh.ISTIO),
    ],
)
def test_the_controller_of_the_class_tells_which_gateway_it_is(
    tmp_path: Path, controller: str, mesh: Mesh | None
) -> None:
    version = "gateway.networking.k8s.io/v1"
    class_ = object_of("GatewayClass", version, {"controllerName": controller}, name="ours")
    objects = gateway_route("ours", backend("exam-stable", 90), backend("exam-canary", 10))
    if mesh is None:
        with pytest.raises(CannotInit, match="can't be told apart"):
            text_of(tmp_path, *objects, class_)
    else:
        text = text_of(tmp_path, *objects, class_)
        assert ("mesh: istio\n" in text) == controller.startswith("istio")


@pytest.mark.parametrize("provider", ["contour", "gloo", "appmesh:v1beta2", "osm", "kuma"])
def test_a_cluster_that_is_not_known_is_to_be_looked_up(tmp_path: Path, provider: str) -> None:
    text = text_of(tmp_path, canary({"stepWeight": 50, "maxWeight": 50}, provider=provider))
    if provider == "contour":
        assert "canary: {version: shop_exam-canary_80}\n" in text
    else:
        assert "canary: {version: canary}  # CHECK: the name of its cluster in Envoy" in text


# Versions of the API


@pytest.mark.parametrize(
    ("kind", "version", "message"),
    [
        ("HTTPRoute", "networking.x-k8s.io/v1alpha1", "is unknown, so this HTTPRoute isn't read"),
        ("VirtualService", "appmesh.k8s.aws/v1beta2", "is unknown, so this VirtualService"),
        ("TrafficSplit", "v1", "v1 is unknown, so this TrafficSplit isn't read"),
        ("VirtualService", "", "no apiVersion is unknown, so this VirtualService isn't read"),
        ("TrafficSplit", "split.smi-spec.io/v1beta1", "it is read as split.smi-spec.io/v1alpha4"),
        ("Rollout", "argoproj.io/v1", "argoproj.io/v1 is unknown, it is read as"),
        ("Canary", "flagger.app/v1", "flagger.app/v1 is unknown, it is read as"),
        ("httproute", "gateway.networking.k8s.io/v1", "is httproute, must be HTTPRoute"),
    ],
)
def test_an_unknown_api_version_is_named(
    tmp_path: Path, kind: str, version: str, message: str
) -> None:
    assert message in told(tmp_path, object_of(kind, version, {}))


def test_the_objects_that_were_not_read_are_named(tmp_path: Path) -> None:
    route = object_of("RouteRule", "config.istio.io/v1alpha2", {})
    with pytest.raises(CannotInit, match=r"not read: RouteRule of config.istio.io/v1alpha2"):
        text_of(tmp_path, route)
