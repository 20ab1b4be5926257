"""Istio's standard metrics, made from access log lines."""

from __future__ import annotations

from tests.lab.access_log import Answered
from tests.lab.exposition import Registry, Series
from tests.lab.topology import Destination

# fmt: off
BOUNDS_MS = (
    0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000,
    300_000, 600_000, 1_800_000, 3_600_000,
)
# fmt: on
_UNKNOWN = "unknown"


def pod_series(registry: Registry, here: Destination, answered: Answered) -> list[Series]:
    """The series that the sidecar of a pod adds to: reporter="destination"."""
    return _series(registry, _labels("destination", here, here, answered))


def gateway_series(registry: Registry, to: Destination, answered: Answered) -> list[Series]:
    """The series that the gateway adds to: reporter="source".

    Without an answer of a pod nothing is known of the peer: its version is "unknown", but its
    revision falls back to "latest", as in Istio.
    """
    peer = to if answered.came_from_pod else None
    return _series(registry, _labels("source", to, peer, answered))


def _series(registry: Registry, labels: dict[str, str]) -> list[Series]:
    return [
        registry.counter("istio_requests_total", labels),
        registry.histogram("istio_request_duration_milliseconds", labels, BOUNDS_MS),
    ]


def _labels(
    reporter: str, to: Destination, peer: Destination | None, answered: Answered
) -> dict[str, str]:
    return {
        "reporter": reporter,
        "source_workload": "gateway",
        "source_workload_namespace": to.namespace,
        "source_canonical_service": "gateway",
        "source_canonical_revision": "latest",
        "destination_workload": peer.workload if peer else _UNKNOWN,
        "destination_workload_namespace": peer.namespace if peer else _UNKNOWN,
        "destination_app": peer.service if peer else _UNKNOWN,
        "destination_version": peer.version if peer else _UNKNOWN,
        "destination_service": to.host,
        "destination_service_name": to.service,
        "destination_service_namespace": to.namespace,
        "destination_canonical_service": peer.service if peer else _UNKNOWN,
        "destination_canonical_revision": peer.version if peer else "latest",
        "request_protocol": answered.protocol,
        "response_code": answered.code,
        "grpc_response_status": answered.grpc,
        "response_flags": answered.flags,
        "connection_security_policy": "mutual_tls" if reporter == "destination" else _UNKNOWN,
        **{name: value for name, value in answered.tags if name in to.tags},
    }
