"""Counters as the meshes export them, for a stable version with 90 % and a canary with 10 %.

Planted: 100 requests/s; 1 % of stable's and 4 % of the canary's fail; half of all requests take
up to 25 ms, 98 % up to 500 ms, all up to 1000 ms.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dashboards.request_families import ENVOY_FLAG_COUNTERS

RATES = {"stable": 90.0, "canary": 10.0}
FAILED = {"stable": 0.01, "canary": 0.04}
UP_TO_MS = {"10": 0.2, "25": 0.5, "100": 0.9, "500": 0.98, "1000": 1.0, "+Inf": 1.0}
NAMESPACE = "edtech-production"
_NAMES = ("canary", "linkerd", "linkerd-outbound", "route", "route-outbound", "policy", "envoy")
_ARMS = {f"exam-{name}": ("stable", "canary") for name in _NAMES}
_ARMS |= {"exam-tiers": ("standard", "premium"), "quiz-format": ("stable", "canary")}
_FQDN = f"{NAMESPACE}.svc.cluster.local:80"


@dataclass(frozen=True, slots=True)
class Planted:
    """One series: per second it grows by `slope` from `level`."""

    name: str
    labels: dict[str, str]
    slope: float = 0.0
    level: float = 0.0


def planted_series() -> list[Planted]:
    """Every family of every mesh, and the exported metrics."""
    series = [*_exported(), *_verdicts(), *_pipeline()]
    for version in RATES:
        series += [*_istio(version), *_linkerd(version), *_policy(version), *_envoy(version)]
    return series


def _outcomes(
    version: str, name: str, labels: dict[str, str], good: dict[str, str], bad: dict[str, str]
) -> Iterator[Planted]:
    rate, failed = RATES[version], FAILED[version]
    yield Planted(name, {**labels, **good}, rate * (1 - failed))
    yield Planted(name, {**labels, **bad}, rate * failed)


def _histogram(
    version: str, name: str, labels: dict[str, str], scale: float = 1
) -> Iterator[Planted]:
    for edge, share in UP_TO_MS.items():
        le = edge if edge == "+Inf" else f"{float(edge) * scale:g}"
        yield Planted(name, {**labels, "le": le}, RATES[version] * share)


def _istio(version: str) -> Iterator[Planted]:
    common = {
        "destination_service_name": "exam-service",
        "destination_service_namespace": NAMESPACE,
        "destination_version": {"stable": "v1", "canary": "v2"}[version],
        "destination_canonical_revision": {"stable": "v1", "canary": "v2"}[version],
        "destination_app": {"stable": "standard", "canary": "premium"}[version],
        "request_protocol": "http",
    }
    good = {"response_code": "200", "response_flags": "-", "grpc_response_status": ""}
    bad = {"response_code": "503", "response_flags": "URX", "grpc_response_status": ""}
    gone = {"response_code": "0", "response_flags": "DC", "grpc_response_status": ""}
    for reporter in ("destination", "source"):
        labels = {**common, "reporter": reporter}
        yield from _outcomes(version, "istio_requests_total", labels, good, bad)
        yield from _histogram(version, "istio_request_duration_milliseconds_bucket", labels)
        yield Planted("istio_requests_total", {**labels, **gone}, 0.1)


def _linkerd(version: str) -> Iterator[Planted]:
    leaf = f"exam-service-{version}"
    pod = {"namespace": NAMESPACE, "deployment": leaf}
    outbound = {"direction": "outbound", "namespace": "edtech-web"}
    apex = f"exam-service.{_FQDN}"
    for family, labels in (
        ("response", {**pod, "direction": "inbound"}),
        ("response", {**outbound, "authority": apex, "dst_service": leaf}),
        ("route_response", {**pod, "direction": "inbound", "dst": apex, "rt_route": "exams"}),
        ("route_response", {**outbound, "dst": f"{leaf}.{_FQDN}", "rt_route": "exams"}),
    ):
        good = {"classification": "success", "status_code": "200", "error": ""}
        bad = {"classification": "failure", "status_code": "503", "error": ""}
        yield from _outcomes(version, f"{family}_total", labels, good, bad)
        yield from _histogram(version, f"{family}_latency_ms_bucket", labels)


def _policy(version: str) -> Iterator[Planted]:
    labels = {
        "parent_namespace": NAMESPACE,
        "parent_name": "exam-service",
        "route_name": "exams",
        "backend_name": f"exam-service-{version}",
    }
    family = "outbound_http_route_backend_response"
    good, bad = {"http_status": "200", "error": ""}, {"http_status": "", "error": "Reset"}
    yield from _outcomes(version, f"{family}_statuses_total", labels, good, bad)
    yield from _histogram(version, f"{family}_duration_seconds_bucket", labels, 0.001)


def _envoy(version: str) -> Iterator[Planted]:
    labels = {"envoy_cluster_name": f"exam-service-{version}"}
    good, bad = {"envoy_response_code": "200"}, {"envoy_response_code": "503"}
    yield from _outcomes(version, "envoy_cluster_upstream_rq", labels, good, bad)
    yield from _histogram(version, "envoy_cluster_upstream_rq_time_bucket", labels)
    for counter in ENVOY_FLAG_COUNTERS.values():
        yield Planted(counter, labels, 0.05)


def _exported() -> Iterator[Planted]:
    """As a Pushgateway would serve them: with a job."""
    names = ("v1", "exam-service-stable", f"exam-service-stable.{_FQDN}", "standard")
    canaries = ("v2", "exam-service-canary", f"exam-service-canary.{_FQDN}", "premium")
    at = {"job": "split-verdict", "service": "exam-service"}
    for share, versions in ((90.0, names), (10.0, canaries)):
        for version in versions:
            labels = {**at, "namespace": NAMESPACE, "version": version}
            yield Planted("edtech_traffic_split_percentage", labels, level=share)
    for version in canaries:
        labels = {**at, "deployment_version": version}
        yield Planted("edtech_canary_health_score", labels, level=42.0)
    for experiment in ("exam-canary", "exam-tiers", "quiz-format"):
        for variant, rate in zip(_ARMS[experiment], (0.11, 0.13), strict=True):
            labels = {"experiment": experiment, "variant": variant, "outcome": "finished"}
            yield Planted("edtech_ab_test_conversion_rate", labels, level=rate)


def _verdicts() -> Iterator[Planted]:
    """Our own, of each experiment of tests/builders/views.py: rolled back for 3 points."""
    for experiment, (baseline, candidate) in _ARMS.items():
        at = {"job": "split-verdict", "experiment": experiment}
        for decision in ("promote", "hold", "rollback", "invalid"):
            found = float(decision == "rollback")
            yield Planted("split_verdict_decision", {**at, "decision": decision}, level=found)
        for metric, unit in (("errors", "request"), ("finished", "user")):
            of = {**at, "candidate": candidate, "metric": metric, "unit": unit}
            for name, level in (
                ("", 0.03),
                ("_lower", 0.02),
                ("_upper", 0.04),
                ("_allowed", 0.005),
            ):
                yield Planted(f"split_verdict_harm{name}", of, level=level)
        for variant, share in ((baseline, 0.9), (candidate, 0.1)):
            of = {**at, "variant": variant}
            yield Planted("split_verdict_split_observed_ratio", of, level=share)
            yield Planted("split_verdict_split_configured_ratio", of, level=share)
        for check in ("split of users", "users present", "fresh data"):
            yield Planted("split_verdict_check_failed", {**at, "check": check})
        for name, level in (("", 42.0), ("_lower", 12.0), ("_upper", 88.0)):
            yield Planted(f"split_verdict_health_score{name}", at, level=level)
        yield Planted("split_verdict_waits_for_person", at)
        # A stage each minute, so that there are some to mark.
        yield Planted("split_verdict_stage", at, slope=1 / 60)
        for name in ("look", "data"):
            yield Planted(f"split_verdict_{name}_timestamp_seconds", at, level=1_700_000_000.0)


def _pipeline() -> Iterator[Planted]:
    at = {"job": "split-verdict-pipeline"}
    yield Planted("split_verdict_run_timestamp_seconds", at, level=1_700_000_000.0)
    for name in (
        "run_duration_seconds",
        "run_experiments",
        "warehouse_size_bytes",
        "warehouse_wait_seconds",
    ):
        yield Planted(f"split_verdict_{name}", at, level=7.0)
    yield Planted("split_verdict_run_failed", {**at, "experiment": "exam-canary"}, level=1.0)
