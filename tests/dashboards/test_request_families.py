"""The dashboards look at the same series that the counts are pulled from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

import pytest

from analysis.requests.outcomes import ANSWERED, RequestOutcome
from dashboards.experiment_view import MeshName, Reporter
from dashboards.promql import Match
from dashboards.request_families import ENVOY_FLAG_COUNTERS, side_of
from flows.ingest.requests.mesh.families import FAMILIES
from flows.spec.experiment import Mesh


@dataclass(frozen=True)
class Case:
    mesh: MeshName
    reporter: Reporter


CASES = [Case(mesh, reporter) for mesh in get_args(MeshName) for reporter in get_args(Reporter)]


def test_every_mesh_has_a_side() -> None:
    assert set(get_args(MeshName)) == {mesh.value for mesh in Mesh}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.mesh}-{case.reporter}")
def test_names_labels_and_units_are_those_of_the_pull(case: Case) -> None:
    side, family = side_of(case.mesh, case.reporter), FAMILIES[Mesh(case.mesh)]
    assert all(re.fullmatch(side.requests, name) for name in family.requests)
    assert all(re.fullmatch(side.latency, name) for name in family.latency)
    assert side.version_labels == family.views[case.reporter].version_labels
    assert family.ms_per_unit * side.latency_scale == 1


RESPONSES: list[tuple[MeshName, dict[str, str]]] = [
    ("istio", {"response_code": "200", "response_flags": "-", "grpc_response_status": ""}),
    ("istio", {"response_code": "200", "response_flags": "-", "grpc_response_status": "0"}),
    ("istio", {"response_code": "200", "response_flags": "-", "grpc_response_status": "14"}),
    ("istio", {"response_code": "503", "response_flags": "UO", "grpc_response_status": ""}),
    ("istio", {"response_code": "0", "response_flags": "DC", "grpc_response_status": ""}),
    ("istio", {"response_code": "200", "response_flags": "DC,DI", "grpc_response_status": ""}),
    ("istio", {"response_code": "200", "response_flags": "UT", "grpc_response_status": ""}),
    ("istio", {"response_code": "429", "response_flags": "RL", "grpc_response_status": ""}),
    ("istio", {"response_code": "200", "response_flags": "-", "grpc_response_status": "1"}),
    ("istio", {"response_code": "200", "response_flags": "-", "grpc_response_status": "5"}),
    ("istio", {"response_code": "503", "response_flags": "FI", "grpc_response_status": ""}),
    ("istio", {"response_code": "404", "response_flags": "NR", "grpc_response_status": ""}),
    ("linkerd", {"classification": "success", "status_code": "200"}),
    ("linkerd", {"classification": "failure", "status_code": "503"}),
    ("linkerd", {"classification": "failure", "error": "Cancel"}),
    ("linkerd", {"classification": "success", "status_code": "200", "grpc_status": "1"}),
    ("linkerd", {"classification": "success", "status_code": "429"}),
    ("linkerd-policy", {"http_status": "200", "error": ""}),
    ("linkerd-policy", {"http_status": "500", "error": ""}),
    ("linkerd-policy", {"http_status": "", "error": "Reset"}),
    ("linkerd-policy", {"http_status": "", "error": "Cancel"}),
    ("linkerd-policy", {"grpc_status": "DEADLINE_EXCEEDED", "error": ""}),
    ("linkerd-policy", {"grpc_status": "DeadlineExceeded", "error": ""}),
    ("linkerd-policy", {"grpc_status": "0", "error": ""}),
    ("linkerd-policy", {"grpc_status": "14", "error": ""}),
    ("linkerd-policy", {"grpc_status": "NOT_FOUND", "error": ""}),
    ("envoy", {"envoy_response_code": "200"}),
    ("envoy", {"envoy_response_code": "504"}),
]


@pytest.mark.parametrize(("mesh", "labels"), RESPONSES)
def test_a_request_is_good_on_the_dashboard_as_in_the_verdict(
    mesh: MeshName, labels: dict[str, str]
) -> None:
    side = side_of(mesh, "destination")
    outcome = FAMILIES[Mesh(mesh)].response(labels).outcome
    answered = all(holds(match, labels) for match in side.answered)
    assert answered == (outcome in ANSWERED)
    if answered:
        good = all(holds(match, labels) for match in side.good)
        bad = any(all(holds(match, labels) for match in part) for part in side.bad)
        assert good == (outcome is not RequestOutcome.FAILURE)
        # What failed is always among the causes; a good request may be, for its flag.
        assert good or bad


def holds(match: Match, labels: dict[str, str]) -> bool:
    """Whether a series with the labels meets the condition; a label that it lacks is empty."""
    value = labels.get(match.label, "")
    return {
        "=": value == match.value,
        "!=": value != match.value,
        "=~": re.fullmatch(match.value, value) is not None,
        "!~": re.fullmatch(match.value, value) is None,
    }[match.op]


def test_envoys_flag_counters_are_pulled_too() -> None:
    assert set(ENVOY_FLAG_COUNTERS.values()) <= set(FAMILIES[Mesh.ENVOY].optional)
