"""Which manifests send users of different routes to the same versions by different splits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.cli.main import main
from flows.manifests.read import read_manifests
from flows.manifests.spec_split import mixed_cohorts
from flows.spec.experiment import Experiment
from flows.workspace.experiments import load_spec

HEADER = [{"headers": {"tier": {"exact": "premium"}}}]


def _object(api: str, kind: str, spec: dict[str, Any], name: str = "web") -> dict[str, Any]:
    return {
        "apiVersion": api,
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": spec,
    }


def _service(*routes: tuple[int, bool], name: str = "web", protocol: str = "http") -> Any:
    """A VirtualService; routes: percent of the canary, and whether of premium users only."""
    items = [
        {
            **({"match": HEADER} if matched else {}),
            "route": [
                {"destination": {"host": "web", "subset": subset}, "weight": weight}
                for subset, weight in (("stable", 100 - canary), ("canary", canary))
                if weight
            ],
        }
        for canary, matched in routes
    ]
    return _object(
        "networking.istio.io/v1", "VirtualService", {"hosts": ["web"], protocol: items}, name
    )


def _http_route(*routes: tuple[int, bool]) -> Any:
    rules = [
        {
            **({"matches": [{"headers": [{"name": "tier", "value": "x"}]}]} if matched else {}),
            "backendRefs": [
                {"name": "stable", "port": 80, "weight": 100 - canary},
                {"name": "canary", "port": 80, "weight": canary},
            ],
        }
        for canary, matched in routes
    ]
    parent = [{"kind": "Service", "group": "core", "name": "web", "port": 80}]
    return _object(
        "gateway.networking.k8s.io/v1", "HTTPRoute", {"parentRefs": parent, "rules": rules}
    )


def _traffic_split(**more: Any) -> Any:
    backends = [{"service": "stable", "weight": 90}, {"service": "canary", "weight": 10}]
    spec = {"service": "web", "backends": backends, **more}
    return _object("split.smi-spec.io/v1alpha4", "TrafficSplit", spec)


def _flagger(**analysis: Any) -> Any:
    spec = {
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "service": {"port": 80},
        "provider": "istio",
        "analysis": {"interval": "1m", "threshold": 5, **analysis},
    }
    return _object("flagger.app/v1beta1", "Canary", spec)


def _argo(*steps: dict[str, Any]) -> Any:
    canary = {
        "stableService": "web-stable",
        "canaryService": "web-canary",
        "trafficRouting": {"istio": {"virtualService": {"name": "web", "routes": ["primary"]}}},
        "steps": list(steps),
    }
    return _object("argoproj.io/v1alpha1", "Rollout", {"strategy": {"canary": canary}})


HEADER_STEP = {"setHeaderRoute": {"name": "h", "match": [{"headerName": "tier"}]}}
PAUSE = {"pause": {"duration": "5m"}}
CASES: dict[str, tuple[Any, bool]] = {
    "header at 100 beside weights": (_service((100, True), (10, False)), True),
    "header at halves beside weights": (_service((50, True), (10, False)), True),
    "header at halves beside all to stable": (_service((50, True), (0, False)), True),
    "header by the same weights": (_service((10, True), (10, False)), False),
    "one route": (_service((10, False)), False),
    "each route to one version (blue-green)": (_service((100, True), (0, False)), False),
    "connections": (_service((10, False), (50, False), protocol="tcp"), False),
    "rules of an HTTPRoute": (_http_route((50, True), (10, False)), True),
    "rules by the same weights": (_http_route((10, True), (10, False)), False),
    "TrafficSplit of some requests": (
        _traffic_split(matches=[{"kind": "HTTPRouteGroup", "name": "premium"}]),
        True,
    ),
    "TrafficSplit of all requests": (_traffic_split(), False),
    "Flagger's steps of some requests": (_flagger(match=HEADER, stepWeight=10), True),
    "Flagger's A/B test": (_flagger(match=HEADER, iterations=10), False),
    "Flagger's steps": (_flagger(stepWeight=10), False),
    "Argo's header route beside weights": (_argo(HEADER_STEP, {"setWeight": 10}, PAUSE), True),
    "Argo's weights": (_argo({"setWeight": 10}, PAUSE), False),
}


@pytest.mark.parametrize("case", CASES)
def test_routes_with_other_splits_are_mixed(case: str, tmp_path: Path) -> None:
    manifest, mixed = CASES[case]
    (tmp_path / "web.yaml").write_text(yaml.safe_dump(manifest))
    found = mixed_cohorts(_spec(), read_manifests([tmp_path / "web.yaml"]))
    assert bool(found) == mixed, found


def test_routes_of_two_objects_are_mixed_too(tmp_path: Path) -> None:
    objects = [_service((10, False), name="inside"), _service((50, False), name="outside")]
    (tmp_path / "web.yaml").write_text(yaml.safe_dump_all(objects))
    assert "outside" in mixed_cohorts(_spec(), read_manifests([tmp_path / "web.yaml"]))


def _spec(**changes: Any) -> Experiment:
    return Experiment.model_validate(
        {
            "experiment": "web",
            "service": "web",
            "namespace": "shop",
            "mesh": "istio",
            "variants": {name: {"version": name} for name in ("stable", "canary")},
            "split": {"stable": 90, "canary": 10},
            "sources": {"requests": {"prometheus": "http://localhost:9090"}},
            **changes,
        }
    )


@pytest.mark.parametrize("route", [None, "http[1]", "http[2]"])
def test_any_route_of_a_file_gives_a_spec_with_all_of_its_cohorts(
    route: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = _service((100, True), (50, True), (10, False))
    (tmp_path / "vs.yaml").write_text(yaml.safe_dump(manifest))
    asked = [] if route is None else ["--route", route]
    main(["--root", str(tmp_path), "init", "--from", str(tmp_path / "vs.yaml"), *asked])
    spec = load_spec(tmp_path / "experiments" / "web.yaml")
    assert {name: cohort.split for name, cohort in spec.cohorts.items()} == {
        "http-0": {"stable": 0, "canary": 100},
        "http-1": {"stable": 50, "canary": 50},
        "http-2": {"stable": 90, "canary": 10},
    }
    (resource,) = yaml.safe_load_all(
        (tmp_path / "experiments" / "mesh" / "web-cohorts.yaml").read_text()
    )
    tags = [each["tagOverrides"] for each in resource["spec"]["metrics"][0]["overrides"]]
    assert tags == [{"split_cohort": {"value": "request.headers['x-split-cohort']"}}] * 2
    capsys.readouterr()
    assert main(["--root", str(tmp_path), "validate"]) == 0
    assert "other splits" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("parent", "mesh", "label", "variant", "said", "adds"),
    [
        ("Service", None, "route_name", {}, "give each rule an HTTPRoute of its own", None),
        (
            "Gateway",
            "istio",
            "split_cohort",
            {"destination_service_name": "web-canary"},
            "must be added to the mesh's metrics first",
            "requestHeaderModifier: {set: [{name: x-split-cohort, value: rule-1}]}",
        ),
        (
            "Gateway",
            "envoy",
            "split_cohort",
            {"split_version": "web-canary"},
            "give each route clusters of its own",
            None,
        ),
    ],
)
def test_each_mesh_tells_the_rules_of_an_http_route_apart_in_its_way(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    parent: str,
    mesh: str | None,
    label: str,
    variant: dict[str, str],
    said: str,
    adds: str | None,
) -> None:
    group = {"group": "", "port": 80} if parent == "Service" else {}
    rules = [
        {
            **({} if everyone else {"matches": [{"headers": [{"name": "tier", "value": "a"}]}]}),
            "backendRefs": [
                {"name": f"web-{name}", "port": 80, "weight": weight}
                for name, weight in (("stable", 100 - share), ("canary", share))
            ],
        }
        for share, everyone in ((50, False), (10, True))
    ]
    spec = {"parentRefs": [{"name": "web", "kind": parent, **group}], "rules": rules}
    file = tmp_path / "route.yaml"
    file.write_text(yaml.safe_dump(_object("gateway.networking.k8s.io/v1", "HTTPRoute", spec)))
    asked = [] if mesh is None else ["--mesh", mesh]
    assert main(["--root", str(tmp_path), "init", "--from", str(file), *asked]) == 0
    assert said in capsys.readouterr().out
    found = load_spec(tmp_path / "experiments" / "web.yaml")
    assert [cohort.match for cohort in found.cohorts.values()] == [
        {label: "rule-0"},
        {label: "rule-1"},
    ]
    assert found.variants["web-canary"].labels == variant
    resource = tmp_path / "experiments" / "mesh" / "web-cohorts.yaml"
    assert resource.exists() == (adds is not None)
    if adds is not None:
        assert adds in resource.read_text()
