"""The lab must be right before anything is judged on it: truth, splits, flags, resets."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.lab import needs_prometheus
from tests.lab.lab import Lab
from tests.lab.load_plan import Crowd, Profile
from tests.lab.processes import wait_until
from tests.lab.topology import FaultSpec, RouteSpec, ServiceSpec, VariantSpec
from tests.places import REPOSITORY

NAMESPACE = "edtech-production"


def _service(name: str, stable: int = 50, *, pods: int = 1, sticky: bool = False) -> ServiceSpec:
    variants = [
        VariantSpec("stable", "v1", pods=pods, weight=stable),
        VariantSpec("canary", "v2", pods=pods, weight=100 - stable),
    ]
    return ServiceSpec(name, NAMESPACE, variants, sticky=sticky)


SERVICES = [
    _service("split", 75),
    _service("exact", pods=2),
    _service("users", 70, sticky=True),
    ServiceSpec("restarts", NAMESPACE, [VariantSpec("stable", "v1", pods=2, weight=100)]),
    ServiceSpec(
        "flags",
        NAMESPACE,
        [
            VariantSpec("stable", "v1", pods=1, weight=100),
            VariantSpec("dead", "v2", pods=1),
            VariantSpec("narrow", "v3", pods=1, max_requests=1),
        ],
        routes=[
            RouteSpec("dead", {"dead": 100}, prefix="/dead"),
            RouteSpec("narrow", {"narrow": 100}, headers={"deployment-test": "narrow"}),
        ],
    ),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab for all: each test drives a service of its own."""
    needs_prometheus()
    with Lab(SERVICES, scrape_interval_s=0.5) as running:
        yield running


def _counts(lab: Lab, expression: str, *labels: str) -> dict[tuple[str, ...], int]:
    """The present values of counters, by some of their labels."""
    return {
        tuple(one["metric"].get(label, "") for label in labels): int(float(one["value"][1]))
        for one in lab.prometheus.query(f"sum by ({','.join(labels)}) ({expression})")
    }


def _raw(lab: Lab, selector: str) -> list[float]:
    """All samples of the one series."""
    ((_, _, values),) = lab.prometheus.raw_samples(selector, end_s=time.time(), seconds=600)
    return values


def _growth(values: list[float]) -> float:
    """What a counter counted, from zero on, when a fall means that it began again."""
    pairs = pairwise([0.0, *values])
    return sum(after - before if after >= before else after for before, after in pairs)


def test_weights_are_honoured_and_change_live(lab: Lab) -> None:
    for share in (0.75, 0.2):
        weight = round(100 * share)
        lab.set_weights("split", {"stable": weight, "canary": 100 - weight})
        seen = lab.drive(300, 1.5, services=["split"])
        deviation = seen.variants["split"]["stable"] - share * seen.sent
        assert seen.answers["split"] == {"200": seen.sent}
        assert abs(deviation) < 4.5 * math.sqrt(seen.sent * share * (1 - share))


def test_every_family_equals_the_truth_when_nothing_was_killed(lab: Lab) -> None:
    lab.set_behaviour("exact", "canary", error_share=0.2, grpc_error_share=0.2)
    grpc = {"content-type": "application/grpc"}
    profiles = [Profile("exact", 80), Profile("exact", 40, method="POST", headers=grpc)]
    seen = lab.start_load(2.5, profiles=profiles).wait()
    lab.settle()
    truth = lab.truth("exact")
    assert sum(truth.values()) == seen.sent
    assert {answer for _, _, answer in truth} == {"200", "503", "200 grpc 14"}
    per_code: Counter[tuple[str, str]] = Counter()
    per_cluster: Counter[tuple[str, str]] = Counter()
    for (variant, pod, answer), count in truth.items():
        per_code[pod, answer[:3]] += count
        per_cluster[f"exact-{variant}", answer[:3]] += count
    istio = 'istio_requests_total{app="exact",reporter="destination"}'
    inbound = 'response_total{app="exact",direction="inbound"}'
    source = 'istio_requests_total{destination_service_name="exact",reporter="source"}'
    outbound = 'response_total{authority=~"exact[.].*",direction="outbound"}'
    backend = 'outbound_http_route_backend_response_statuses_total{parent_name="exact"}'
    envoy = 'envoy_cluster_upstream_rq{envoy_cluster_name=~"exact-.*"}'
    assert _counts(lab, istio, "pod", "response_code") == per_code
    assert _counts(lab, inbound, "pod", "status_code") == per_code
    assert _counts(lab, source, "destination_workload", "response_code") == per_cluster
    assert _counts(lab, outbound, "dst_deployment", "status_code") == per_cluster
    assert _counts(lab, backend, "backend_name", "http_status") == per_cluster
    assert _counts(lab, envoy, "envoy_cluster_name", "envoy_response_code") == per_cluster
    failed_grpc = 'istio_requests_total{app="exact",grpc_response_status="14",response_code="200"}'
    assert _counts(lab, failed_grpc, "pod") == _answers(truth, "200 grpc 14")
    for histogram in (
        'istio_request_duration_milliseconds_bucket{app="exact",le="+Inf"}',
        'response_latency_ms_bucket{app="exact",le="+Inf"}',
    ):
        assert sum(_counts(lab, histogram, "pod").values()) == seen.sent
    clusters = 'envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=~"exact.*",le="+Inf"}'
    assert sum(_counts(lab, clusters, "envoy_cluster_name").values()) == seen.sent


def _answers(truth: Mapping[tuple[str, str, str], int], wanted: str) -> dict[tuple[str, ...], int]:
    return {(pod,): count for (_, pod, answer), count in truth.items() if answer == wanted}


def test_a_user_keeps_the_variant_and_completes_where_it_was_exposed(lab: Lab) -> None:
    conversion = {"stable": 0.2, "canary": 0.8}
    crowd = Crowd("quiz", "users", 300, conversion, visits=3.0, complete_within_s=0.4)
    seen = lab.start_load(3, crowds=[crowd]).wait()
    exposures = pq.read_table(seen.exposures).to_pylist()
    outcomes = pq.read_table(seen.outcomes).to_pylist()
    variant_of = {row["user_id"]: row["variant"] for row in exposures}
    users = Counter(variant_of.values())
    completed = Counter(variant_of[row["user_id"]] for row in outcomes)
    assert len({(row["user_id"], row["variant"]) for row in exposures}) == len(variant_of) == 300
    assert abs(users["stable"] - 210) < 4.5 * math.sqrt(300 * 0.7 * 0.3)
    assert completed["canary"] / users["canary"] > completed["stable"] / users["stable"] + 0.2
    assert len(exposures) + len(outcomes) == seen.sent


def test_requests_that_reach_no_pod_show_their_flags_at_the_source_alone(lab: Lab) -> None:
    lab.kill_pod("flags", "flags-dead-0")
    lab.set_fault("flags", FaultSpec(abort_share=0.3, delay_share=0.3, delay_ms=20))
    narrow = {"deployment-test": "narrow"}
    profiles = [
        Profile("flags", 60),
        Profile("flags", 30, path="/dead"),
        Profile("flags", 60, headers=narrow),
    ]
    lab.start_load(2.5, profiles=profiles).wait()
    lab.settle()
    source = 'istio_requests_total{destination_service_name="flags",reporter="source"}'
    seen = _counts(lab, source, "response_flags", "destination_version")
    unknown = {flags for flags, version in seen if version == "unknown"}
    assert {"FI", "DI,FI", "UF", "UO"} <= unknown
    assert ("DI", "v1") in seen
    destination = 'istio_requests_total{app="flags",reporter="destination"}'
    arrived = _counts(lab, destination, "pod")
    truth = lab.truth("flags")
    assert arrived == {(pod,): count for (_, pod, _), count in truth.items()}
    assert arrived["flags-narrow-0",] < sum(truth.values())
    outbound = 'response_total{authority=~"flags[.].*",error!=""}'
    assert {("Io",), ("LoadShed",)} <= set(_counts(lab, outbound, "error"))


def test_a_graceful_restart_resets_counters_and_loses_nothing(lab: Lab) -> None:
    run = lab.start_load(3, profiles=[Profile("restarts", 100)])
    time.sleep(1.0)
    lab.restart_pod("restarts", "restarts-stable-0", graceful=True)
    run.wait()
    lab.settle()
    of_pod = 'pod="restarts-stable-0"'
    values = _raw(lab, f'istio_requests_total{{{of_pod},response_code="200"}}')
    truth = lab.truth("restarts")["stable", "restarts-stable-0", "200"]
    assert any(after < before for before, after in pairwise(values))
    assert _growth(values) == truth
    assert len(set(_raw(lab, f"process_start_time_seconds{{{of_pod}}}"))) == 2


def test_a_killed_pod_loses_at_most_what_was_not_scraped_and_never_the_truth(lab: Lab) -> None:
    before = sum(lab.truth("restarts").values())
    run = lab.start_load(3, profiles=[Profile("restarts", 100)])
    time.sleep(1.0)
    lab.restart_pod("restarts", "restarts-stable-1", graceful=False)
    seen = run.wait()
    lab.settle()
    answered = seen.answers["restarts"]["200"]
    # A pod can be killed between counting an answer and sending it.
    assert 0 <= sum(lab.truth("restarts").values()) - before - answered <= 1
    counted = _growth(_raw(lab, 'istio_requests_total{pod="restarts-stable-1"}'))
    truth = lab.truth("restarts")["stable", "restarts-stable-1", "200"]
    # At 50 requests a second, about half a second's worth lies between two scrapes; none is lost
    # where the kill comes right after one.
    assert truth - 75 < counted <= truth


def test_broken_scrapes_leave_a_gap_and_healed_ones_catch_up(lab: Lab) -> None:
    pod = "exact-stable-0"
    run = lab.start_load(2.5, profiles=[Profile("exact", 60)])
    lab.break_scrapes("exact", pod)
    wait_until(lambda: _counts(lab, f'up{{pod="{pod}"}}', "pod") == {(pod,): 0}, what="a gap")
    lab.heal_scrapes("exact", pod)
    run.wait()
    lab.settle()
    truth = lab.truth("exact")["stable", pod, "200"]
    selector = f'istio_requests_total{{pod="{pod}",response_code="200",reporter="destination"}}'
    assert _counts(lab, selector, "pod") == {(pod,): truth}
    assert 0.0 in _raw(lab, f'up{{pod="{pod}"}}')


def test_a_variant_can_appear_later_and_its_errors_are_new_series(lab: Lab) -> None:
    lab.add_variant("split", VariantSpec("late", "v3", pods=1))
    lab.set_weights("split", {"stable": 50, "late": 50})
    lab.drive(60, 1.5, services=["split"])
    lab.set_behaviour("split", "late", error_share=1.0, error_status=500)
    lab.drive(60, 1.5, services=["split"])
    lab.settle()
    of_late = 'istio_requests_total{pod="split-late-0"}'
    assert _counts(lab, of_late, "response_code") == {
        (answer,): count
        for (name, _, answer), count in lab.truth("split").items()
        if name == "late"
    }
    first_error = _raw(lab, 'istio_requests_total{pod="split-late-0",response_code="500"}')
    assert len(first_error) < len(_raw(lab, 'up{pod="split-late-0"}'))


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    root = REPOSITORY
    program = (
        "import time; from pathlib import Path; from tests.lab.processes import Child; "
        f"child = Child(['sleep', '60'], log=Path({str(tmp_path / 'log')!r})); "
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(parent.pid, signal.SIGKILL)
    wait_until(lambda: not _is_alive(child), what="the child's end")


def _is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody has waited for doesn't."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
