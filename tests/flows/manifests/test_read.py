"""Each kind of manifest is read for its split, and each kind of mistake is found where it is.

Covers flows.manifests.kinds.argo_rollout, flows.manifests.kinds.argo_routing,
flows.manifests.kinds.destination_rule, flows.manifests.kinds.flagger_canary,
flows.manifests.kinds.http_route, flows.manifests.kinds.istio_matches,
flows.manifests.kinds.service_profile, flows.manifests.kinds.traffic_split,
flows.manifests.kinds.virtual_service, flows.manifests.objects, flows.manifests.registry.
"""

from __future__ import annotations

from textwrap import dedent

import pytest

from flows.formats.yaml_file import parse_documents
from flows.manifests.read import Manifests, manifests_in
from flows.manifests.split import Severity, Split
from flows.spec.experiment import Mesh


def read(text: str) -> Manifests:
    return manifests_in(parse_documents(dedent(text), "m.yaml"), ("m.yaml",))


def split_in(text: str) -> Split:
    (found,) = read(text).splits
    return found


def wrong(text: str) -> list[str]:
    return [str(one) for one in read(text).findings if one.severity is Severity.WRONG]


def traffic_split(version: str, first: str, second: str) -> str:
    return f"""\
        apiVersion: split.smi-spec.io/{version}
        kind: TrafficSplit
        metadata: {{name: exam, namespace: shop}}
        spec:
          service: exam
          backends:
          - {{service: exam-v1, weight: {first}}}
          - {{service: exam-v2, weight: {second}}}
        """


@pytest.mark.parametrize(
    ("version", "first", "second"),
    [
        ("v1alpha1", "900m", "100m"),
        ("v1alpha1", "9", "1"),
        ("v1alpha2", "90", "10"),
        ("v1alpha3", "90", "10"),
        ("v1alpha4", "900", "100"),
    ],
)
def test_traffic_splits_of_all_versions(version: str, first: str, second: str) -> None:
    text = traffic_split(version, first, second)
    assert split_in(text).percents == {"exam-v1": 90.0, "exam-v2": 10.0}
    assert split_in(text).mesh is Mesh.LINKERD
    assert wrong(text) == []


VIRTUAL_SERVICE = """\
    apiVersion: networking.istio.io/v1
    kind: VirtualService
    metadata: {name: exam, namespace: shop}
    spec:
      hosts: [exam]
      http:
      - match:
        - headers: {x-group: {regex: "a.*"}}
          uri: {prefix: /api}
        - sourceLabels: {region: ph}
        fault: {delay: {fixedDelay: 2s, percentage: {value: 5}}}
        mirror: {host: exam, subset: v2}
        mirrorPercentage: {value: 20}
        route:
        - {destination: {host: exam, subset: v1}, weight: 75}
        - {destination: {host: exam, subset: v2}, weight: 25}
    ---
    apiVersion: networking.istio.io/v1
    kind: DestinationRule
    metadata: {name: exam, namespace: shop}
    spec:
      host: exam
      subsets:
      - {name: v1, labels: {version: v1.0.0}}
      - {name: v2, labels: {version: v2.0.0}}
    """


def test_a_virtual_service_says_split_cohort_fault_mirror_and_versions() -> None:
    found = split_in(VIRTUAL_SERVICE)
    assert found.percents == {"v1": 75.0, "v2": 25.0}
    assert [one.version for one in found.backends] == ["v1.0.0", "v2.0.0"]
    assert "x-group" in str(found.cohort)
    assert "/api" in str(found.cohort)
    assert " or " in str(found.cohort)
    assert [(fault.what, fault.percent) for fault in found.faults] == [("delay 2s", 5.0)]
    assert [(mirror.target.name, mirror.percent) for mirror in found.mirrors] == [("v2", 20.0)]
    assert wrong(VIRTUAL_SERVICE) == []


def test_an_http_route_says_its_weights() -> None:
    found = split_in("""\
        apiVersion: gateway.networking.k8s.io/v1
        kind: HTTPRoute
        metadata: {name: exam, namespace: shop}
        spec:
          parentRefs: [{name: gateway}]
          rules:
          - backendRefs: [{name: exam-v1, port: 80, weight: 3}, {name: exam-v2, port: 80}]
        """)
    assert found.percents == {"exam-v1": 75.0, "exam-v2": 25.0}


def test_a_flagger_canary_says_its_stages() -> None:
    found = split_in("""\
        apiVersion: flagger.app/v1beta1
        kind: Canary
        metadata: {name: exam, namespace: shop}
        spec:
          provider: linkerd
          targetRef: {apiVersion: apps/v1, kind: Deployment, name: exam}
          service: {port: 80}
          analysis: {interval: 1m, threshold: 5, maxWeight: 30, stepWeight: 10}
        """)
    assert [(one.candidate_percent, one.duration_s) for one in found.stages] == [
        (10.0, 60.0),
        (20.0, 60.0),
        (30.0, 60.0),
    ]
    assert found.mesh is Mesh.LINKERD
    assert found.knows_baseline


def test_an_argo_rollout_says_its_stages() -> None:
    found = split_in("""\
        apiVersion: argoproj.io/v1alpha1
        kind: Rollout
        metadata: {name: exam, namespace: shop}
        spec:
          selector: {matchLabels: {app: exam}}
          template: {metadata: {labels: {app: exam}}, spec: {containers: [{name: exam, image: e}]}}
          strategy:
            canary:
              canaryService: exam-canary
              stableService: exam-stable
              steps: [{setWeight: 20}, {pause: {duration: 10m}}, {setWeight: 50}, {pause: {}}]
        """)
    assert [(one.candidate_percent, one.duration_s) for one in found.stages] == [
        (20.0, 600.0),
        (50.0, None),
    ]


def test_anchors_and_several_documents_are_read() -> None:
    text = dedent(traffic_split("v1alpha2", "&w 50", "*w")) + "---\n# nothing\n"
    assert split_in(text).percents == {"exam-v1": 50.0, "exam-v2": 50.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "weight: 75",
            "wieght: 75",
            "spec.http[0].route[0].wieght: unknown field 'wieght' (did you",
        ),
        (
            "subset: v2}, weight",
            "subset: v3}, weight",
            "v3 is not a subset of exam: there are v1, v2",
        ),
        ("weight: 25", 'weight: "25"', "spec.http[0].route[1].weight: must be a number, is '25'"),
        (
            "subset: v2}, weight: 25}",
            "subset: v2, weight: 25}}",
            "weight: unknown field 'weight'; it belongs to",
        ),
        (
            "host: exam\n      subsets:",
            (
                "host: exam\n      trafficPolicy:\n        connectionPool: {http: {interval: 1s}}\n"
                "      subsets:"
            ),
            ".tcp.tcpKeepalive, or to spec.trafficPolicy.outlierDetection",
        ),
        ("{value: 5}", "5", "spec.http[0].fault.delay.percentage: must hold fields"),
    ],
)
def test_a_mistake_is_found_where_it_is(old: str, new: str, message: str) -> None:
    assert old in VIRTUAL_SERVICE
    assert any(message in line for line in wrong(VIRTUAL_SERVICE.replace(old, new, 1)))


def test_findings_name_file_line_and_object() -> None:
    (found,) = wrong(VIRTUAL_SERVICE.replace("weight: 75", "wieght: 75"))
    assert found.startswith("m.yaml:15: VirtualService shop/exam: spec.http[0].route[0].wieght: ")
    assert found.endswith("(did you mean 'weight'?)")
