"""A bare Envoy: one cluster per version behind weighted clusters, counted by final answers.

What its cluster counters can't tell: response flags, gRPC statuses (an answer 200 with status 14
is a success here), and which version a request was for that a fault filter or a rate limit of the
listener answered. Such counters are kept beside the verdict (`shared`), of no version.
"""

from __future__ import annotations

from analysis.requests.outcomes import Response
from flows.ingest.requests.mesh.family import Family, Labels, View
from flows.spec.experiment import Mesh

# Counts of attempts, retries, ejections and limits: they explain a verdict, never decide it.
# Attempts (rq_total) and final answers (rq) must not be mixed in one share.
_CLUSTER = (
    "upstream_rq_total",
    "upstream_rq_timeout",
    "upstream_rq_per_try_timeout",
    "upstream_rq_retry",
    "upstream_rq_retry_success",
    "upstream_rq_retry_limit_exceeded",
    "upstream_rq_retry_overflow",
    "upstream_rq_pending_overflow",
    "upstream_rq_pending_failure_eject",
    "upstream_cx_overflow",
    "upstream_cx_connect_fail",
    "upstream_cx_none_healthy",
    "outlier_detection_ejections_enforced_total",
    "lb_healthy_panic",
)
_LISTENER = (
    "http_fault_aborts_injected",
    "http_fault_delays_injected",
    "http_local_rate_limit_rate_limited",
    "http_downstream_rq_rx_reset",
    "http_no_route",
    "http_no_cluster",
)


# Requests for a cluster: attempts at a host, those that found none, and no retry twice. A client
# that left has no code, so it is one of them without an answer (upstream_rq).
_BEGUN = {
    "upstream_rq_total": 1,
    "upstream_rq_pending_failure_eject": 1,
    "upstream_rq_pending_overflow": 1,
    "upstream_rq_active_overflow": 1,
    "upstream_rq_cancelled": 1,
    "upstream_cx_none_healthy": 1,
    "upstream_rq_retry": -1,
}


def envoy_response(labels: Labels) -> Response:
    """The code is all that there is."""
    return Response(labels.get("envoy_response_code", ""))


# Series name no service, only clusters: the variants pick them.
_CLUSTERS = View(
    where=(), scope=lambda _: (), version_labels=("envoy_cluster_name",), names_service=False
)

ENVOY = Family(
    mesh=Mesh.ENVOY,
    # Exactly this name: the _xx, external, internal, canary and zone twins count again.
    requests=("envoy_cluster_upstream_rq",),
    latency=("envoy_cluster_upstream_rq_time_bucket",),
    ms_per_unit=1.0,
    views=dict.fromkeys(("destination", "source", "waypoint"), _CLUSTERS),
    route_labels=(),
    response=envoy_response,
    latency_tells=False,
    begun={f"envoy_cluster_{name}": sign for name, sign in _BEGUN.items()},
    optional=tuple(f"envoy_cluster_{name}" for name in _CLUSTER),
    shared=tuple(f"envoy_{name}" for name in _LISTENER),
    start_metrics=("envoy_server_uptime", "process_start_time_seconds"),
    code_label="envoy_response_code",
    flag_counters={
        "UO": (
            "envoy_cluster_upstream_rq_pending_overflow",
            "envoy_cluster_upstream_rq_active_overflow",
        ),
        "UH": ("envoy_cluster_upstream_cx_none_healthy",),
    },
)
