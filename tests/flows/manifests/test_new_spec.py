"""A new spec calls everything as the cluster and its metrics do, or says what must be looked up.

Covers flows.manifests.spec_split, flows.manifests.variant_names, flows.manifests.yaml_scalar.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flows.manifests.new_spec import CannotInit, SpecAnswers, choose_split, new_spec
from flows.manifests.read import Manifests, read_manifests
from flows.spec.experiment import Experiment, Mesh
from flows.workspace.experiments import load_spec

NOTHING_WANTED = SpecAnswers(name="exam")


def object_of(kind: str, version: str, spec: dict[str, Any], **names: str) -> dict[str, Any]:
    metadata = {"name": "exam", "namespace": "shop"} | names
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


def read(folder: Path, *objects: dict[str, Any]) -> Manifests:
    path = folder / "m.yaml"
    path.write_text("\n---\n".join(map(json.dumps, objects)))
    return read_manifests([path])


def text_of(folder: Path, *objects: dict[str, Any], wanted: SpecAnswers = NOTHING_WANTED) -> str:
    split = choose_split(read(folder, *objects), wanted)
    return new_spec(split, wanted, files=[folder / "m.yaml"], spec_dir=folder)


def spec_of(
    folder: Path, *objects: dict[str, Any], wanted: SpecAnswers = NOTHING_WANTED
) -> Experiment:
    """What the product itself reads in the spec that it writes."""
    path = folder / "exam.yaml"
    path.write_text(text_of(folder, *objects, wanted=wanted))
    return load_spec(path)


def told(folder: Path, *objects: dict[str, Any]) -> str:
    return "\n".join(map(str, read(folder, *objects).findings))


def destination(host: str, weight: int, subset: str | None = None) -> dict[str, Any]:
    named = {"host": host} | ({"subset": subset} if subset else {})
    return {"destination": named, "weight": weight}


def virtual_service(
    hosts: list[str],
    *,
    to: tuple[str, str] = ("exam-stable", "exam-canary"),
    gateways: list[str] | None = None,
    **names: str,
) -> dict[str, Any]:
    route = {"name": "main", "route": [destination(to[0], 90), destination(to[1], 10)]}
    more = {"gateways": gateways} if gateways else {}
    spec = {"hosts": hosts, "http": [route], **more}
    return object_of("VirtualService", "networking.istio.io/v1", spec, **names)


def subsets(host: str, labels: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A host whose traffic goes to two subsets, and the rule that says what they are."""
    first, second = labels
    routes = [destination(host, 90, first), destination(host, 10, second)]
    rule = {
        "host": host,
        "subsets": [{"name": name, "labels": wanted} for name, wanted in labels.items()],
    }
    return (
        object_of(
            "VirtualService",
            "networking.istio.io/v1",
            {"hosts": [host], "http": [{"route": routes}]},
        ),
        object_of("DestinationRule", "networking.istio.io/v1", rule),
    )


def canary(analysis: dict[str, Any], **more: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "exam"}
    steps = {"interval": "10m", "threshold": 5, **analysis}
    spec = {"provider": "istio", "targetRef": target, "service": {"port": 80}, "analysis": steps}
    return object_of("Canary", "flagger.app/v1beta1", spec | more)


def rollout(weights: list[int], routing: dict[str, Any]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = []
    for weight in weights:
        steps += [{"setWeight": weight}, {"pause": {"duration": "10m"}}]
    strategy = {
        "canaryService": "exam-canary",
        "stableService": "exam-stable",
        "trafficRouting": routing,
        "steps": steps,
    }
    return object_of("Rollout", "argoproj.io/v1alpha1", {"strategy": {"canary": strategy}})


def gateway_route(
    class_: str, *references: dict[str, Any], kind: str = "HTTPRoute"
) -> tuple[dict[str, Any], dict[str, Any]]:
    version = "gateway.networking.k8s.io/v1"
    rules = [{"backendRefs": list(references)}]
    return (
        object_of("Gateway", version, {"gatewayClassName": class_}, name="edge"),
        object_of(kind, version, {"parentRefs": [{"name": "edge"}], "rules": rules}),
    )


def backend(name: str, weight: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "port": 80, "weight": weight, **more}


FILTER = [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"remove": ["x"]}}]


def candidate_percents(spec: Experiment) -> list[float]:
    (candidate,) = (name for name in spec.variants if name != spec.baseline)
    return [stage.weights[candidate] for stage in spec.stages]


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


# Versions and other text


TEXTS = (
    "1.9",
    "1.10",
    "2",
    "1e3",
    "0x10",
    "0o7",
    "1_000",
    "12:30:00",
    "2026-01-02",
    ".5",
    "-1",
    "+1",
    ".inf",
    "true",
    "False",
    "yes",
    "n",
    "on",
    "OFF",
    "null",
    "~",
    "v1: x",
    "a #b",
    "*x",
    "é",
)


@pytest.mark.parametrize("version", TEXTS)
def test_a_version_stays_text(tmp_path: Path, version: str) -> None:
    labels = {"old": {"version": "v0"}, "new": {"version": version}}
    spec = spec_of(tmp_path, *subsets("exam", labels))
    assert [one.version for one in spec.variants.values()] == ["v0", version]


@pytest.mark.parametrize("name", ["1", "on", "null", "1e3", "0x10"])
def test_a_subset_and_a_namespace_may_be_called_like_a_value(tmp_path: Path, name: str) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, name: {"version": "v1"}})
    for one in objects:
        one["metadata"]["namespace"] = name
    spec = spec_of(tmp_path, *objects)
    assert (list(spec.variants), spec.namespace) == (["old", name], name)


@pytest.mark.parametrize(("value", "version"), [(None, None), (True, "true"), (2, "2"), ({}, None)])
def test_a_label_that_is_no_text_is_named(tmp_path: Path, value: Any, version: str | None) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": value}})
    text = text_of(tmp_path, *objects)
    if version is None:
        assert "new: {version: new}  # CHECK: the version label of its pods" in text
    else:
        assert f'new: {{version: "{version}"}}' in text
    assert value is None or "subsets[1].labels.version: must be text" in told(tmp_path, *objects)


@pytest.mark.parametrize(
    "version", ["1.10", "2.0", "1.5e+3", "0x1F", "010", "yes", "TRUE", "1_000"]
)
def test_a_version_without_quotes_is_read_as_it_stands(tmp_path: Path, version: str) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": "VERSION"}})
    path = tmp_path / "m.yaml"
    path.write_text("\n---\n".join(map(json.dumps, objects)).replace('"VERSION"', version))
    manifests = read_manifests([path])
    text = new_spec(
        choose_split(manifests, NOTHING_WANTED), NOTHING_WANTED, files=[], spec_dir=path
    )
    assert f'new: {{version: "{version}"}}\n' in text
    told = f'labels.version: must be text, is {version}; put it in quotes: "{version}"'
    assert any(told in str(finding) for finding in manifests.findings)


def test_names_that_are_alike_in_a_spec_are_told_apart(tmp_path: Path) -> None:
    labels = {"exam.a": {"version": "1"}, "exam-a": {"version": "2"}}
    spec = spec_of(tmp_path, *subsets("exam", labels))
    assert list(spec.variants) == ["exam-a", "exam-a-2"]


def test_a_name_with_a_line_end_writes_no_line_of_its_own(tmp_path: Path) -> None:
    objects = subsets("exam", {"old": {"version": "v0"}, "new": {"version": "v1"}})
    objects[0]["metadata"]["name"] = "exam\nservice: other"
    assert spec_of(tmp_path, *objects).service == "exam"


# Weights


@pytest.mark.parametrize(
    ("analysis", "percents"),
    [
        ({"stepWeight": 20, "maxWeight": 50}, [20, 40, 60]),
        ({"stepWeight": 10, "maxWeight": 30}, [10, 20, 30]),
        ({"stepWeight": 30, "maxWeight": 50}, [30, 60]),
        ({"stepWeight": 15, "maxWeight": 50}, [15, 30, 45, 60]),
        ({"stepWeight": 30}, [30, 60, 90]),
        ({"stepWeight": 60, "maxWeight": 50}, [60]),
        ({"stepWeight": 7, "maxWeight": 20}, [7, 14, 21]),
        ({"stepWeights": [1, 10, 50]}, [1, 10, 50]),
    ],
)
def test_flagger_adds_steps_until_the_maximum_is_reached(
    tmp_path: Path, analysis: dict[str, Any], percents: list[float]
) -> None:
    assert candidate_percents(spec_of(tmp_path, canary(analysis))) == percents


def test_a_step_that_does_not_divide_is_named(tmp_path: Path) -> None:
    text = told(tmp_path, canary({"stepWeight": 20, "maxWeight": 50}))
    assert "stepWeight: doesn't divide maxWeight: the last weight is 60, not 50" in text
    assert told(tmp_path, canary({"stepWeight": 25, "maxWeight": 50})) == ""


@pytest.mark.parametrize(
    ("most", "weights", "percents"),
    [
        (None, [5, 50], [5, 50]),
        (100, [5, 50], [5, 50]),
        (1000, [5, 50, 500], [0.5, 5, 50]),
        (10_000, [1, 2500], [0.01, 25]),
        (3, [1, 2], [33.333333, 66.666667]),
        (20, [1, 10], [5, 50]),
    ],
)
def test_argos_weights_are_parts_of_the_maximum(
    tmp_path: Path, most: int | None, weights: list[int], percents: list[float]
) -> None:
    routing: dict[str, Any] = {"nginx": {"stableIngress": "exam"}}
    found = rollout(weights, routing | ({"maxTrafficWeight": most} if most else {}))
    assert candidate_percents(spec_of(tmp_path, found)) == percents
    assert told(tmp_path, found) == ""


def test_the_labels_that_argo_gives_to_roles_are_their_versions(tmp_path: Path) -> None:
    found = rollout([5], {})
    del found["spec"]["strategy"]["canary"]["canaryService"]
    del found["spec"]["strategy"]["canary"]["stableService"]
    assert "differ by a hash only" in text_of(tmp_path, found)
    for role, version in (("stable", "v1"), ("canary", "v2")):
        metadata = {"labels": {"version": version}}
        found["spec"]["strategy"]["canary"][f"{role}Metadata"] = metadata
    assert "differ by a hash only" not in text_of(tmp_path, found)
    variants = spec_of(tmp_path, found).variants
    assert {name: one.version for name, one in variants.items()} == {"stable": "v1", "canary": "v2"}


@pytest.mark.parametrize(
    ("routing", "weight", "message"),
    [
        ({"nginx": {}, "maxTrafficWeight": 1000}, 1001, "is 1001, must be from 0 to 1000"),
        ({"nginx": {}}, 500, "is 500, must be from 0 to 100"),
        ({"istio": {}, "maxTrafficWeight": 1000}, 5, "is for nginx and plugins only"),
        ({"nginx": {}, "maxTrafficWeight": 0}, 5, "is 0, must be a whole number above 0"),
    ],
)
def test_weights_that_argo_refuses_are_named(
    tmp_path: Path, routing: dict[str, Any], weight: int, message: str
) -> None:
    if "nginx" in routing:
        routing = routing | {"nginx": {"stableIngress": "exam"}}
    assert message in told(tmp_path, rollout([weight], routing))


@pytest.mark.parametrize("weights", [(900, 100), (9, 1), (27, 3)])
def test_weights_of_any_sum_are_shares(tmp_path: Path, weights: tuple[int, int]) -> None:
    stable, new = weights
    spec = {"parentRefs": [{"kind": "Service", "name": "exam"}]}
    rules = [{"backendRefs": [backend("exam-stable", stable), backend("exam-canary", new)]}]
    route = object_of("HTTPRoute", "gateway.networking.k8s.io/v1", {**spec, "rules": rules})
    assert spec_of(tmp_path, route).split == {"exam-stable": 90.0, "exam-canary": 10.0}


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
