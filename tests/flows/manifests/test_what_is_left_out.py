"""What a manifest has and a new spec can't: each is said, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.manifests.split_choice import CannotInit
from flows.spec.experiment import Mesh
from tests.builders.cluster_objects import destination, object_of, spec_of, text_of

ISTIO, GATEWAY = "networking.istio.io/v1", "gateway.networking.k8s.io/v1"
SUBSETS = {"http": [{"route": [destination("exam", 90, "a"), destination("exam", 10, "b")]}]}
FLAGGER = {
    "provider": "istio",
    "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "exam"},
    "service": {"port": 80},
}
STEPS = {"interval": "1m", "threshold": 5, "stepWeight": 10, "maxWeight": 50}
STEPPED = {"setWeight": 5}, {"pause": {"duration": "10m"}}
SERVICES = {"stableService": "exam-stable", "canaryService": "exam-canary"}


def _rules(a: dict[str, str], b: dict[str, str]) -> list[dict[str, Any]]:
    subsets = [{"name": "a", "labels": a}, {"name": "b", "labels": b}]
    return [
        object_of("VirtualService", ISTIO, {"hosts": ["exam"], **SUBSETS}),
        object_of("DestinationRule", ISTIO, {"host": "exam", "subsets": subsets}),
    ]


def _canary(**analysis: Any) -> list[dict[str, Any]]:
    analysed = {**FLAGGER, "analysis": STEPS | analysis}
    return [object_of("Canary", "flagger.app/v1beta1", analysed)]


def _rollout(routing: dict[str, Any]) -> list[dict[str, Any]]:
    canary = {**SERVICES, "trafficRouting": routing, "steps": [*STEPPED]}
    return [object_of("Rollout", "argoproj.io/v1alpha1", {"strategy": {"canary": canary}})]


def _route(rule: dict[str, Any]) -> list[dict[str, Any]]:
    backends = [{"name": f"exam-{one}", "port": 80, "weight": 1} for one in "ab"]
    rules = [{"backendRefs": backends, **rule}]
    return [object_of("HTTPRoute", GATEWAY, {"parentRefs": [{"name": "gw"}], "rules": rules})]


STICKY = "CHECK: sessions stay with their version"


@pytest.mark.parametrize(
    ("objects", "said", "is_said"),
    [
        (
            _rules({"tier": "gold"}, {"tier": "free"}),
            "its pods have tier: gold, which Istio's",
            True,
        ),
        (_rules({"version": "1", "t": "x"}, {"version": "1", "t": "y"}), "have t: y, which", True),
        (_rules({"version": "1", "t": "x"}, {"version": "2", "t": "y"}), "which Istio's", False),
        (_rules({"app": "exam"}, {"app": "exam"}), "which Istio's", False),
        (_canary(sessionAffinity={"cookieName": "c"}), STICKY, True),
        (_canary(), STICKY, False),
        (
            _canary(webhooks=[{"name": "load"}, {"name": "gate"}]),
            "CHECK: webhooks load, gate",
            True,
        ),
        (_rollout({"alb": {"ingress": "i", "stickinessConfig": {"enabled": True}}}), STICKY, True),
        (_rollout({"alb": {"ingress": "i"}}), STICKY, False),
        (
            _rollout({"plugins": {"x/gatewayAPI": {"httpRoute": "r"}}}),
            "CHECK: istio, linkerd",
            True,
        ),
        (_route({"sessionPersistence": {"sessionName": "s"}}), STICKY, True),
        (_route({}), STICKY, False),
    ],
)
def test_what_the_metrics_do_not_tell_is_marked(
    tmp_path: Path, objects: list[dict[str, Any]], said: str, is_said: bool
) -> None:
    assert (said in text_of(tmp_path, *objects)) == is_said
    assert len(spec_of(tmp_path, *objects).variants) == 2


@pytest.mark.parametrize(
    ("http", "said"),
    [
        ({"delegate": {"name": "api"}}, "(add the VirtualService shop/api, which has routes)"),
        ({"delegate": {"name": "api", "namespace": "x"}}, "(add the VirtualService x/api, which"),
        ({"delegate": {"name": "exam"}}, "between two versions"),
        (
            {
                "route": [{"destination": {"host": "exam", "subset": "a"}}],
                "mirror": {"host": "exam", "subset": "b"},
                "mirrorPercentage": {"value": 20},
            },
            "a 100, for all requests; 20 % copied to b",
        ),
    ],
)
def test_what_splits_nothing_is_named(tmp_path: Path, http: dict[str, Any], said: str) -> None:
    found = object_of("VirtualService", ISTIO, {"hosts": ["exam"], "http": [http]})
    with pytest.raises(CannotInit) as told:
        text_of(tmp_path, found)
    assert said in str(told.value)


def test_a_canonical_revision_is_a_version(tmp_path: Path) -> None:
    revision = "service.istio.io/canonical-revision"
    spec = spec_of(tmp_path, *_rules({revision: "r1"}, {revision: "r2"}))
    assert [one.version for one in spec.variants.values()] == ["r1", "r2"]
    assert spec.mesh is Mesh.ISTIO
