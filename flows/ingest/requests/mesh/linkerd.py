"""Linkerd's proxy metrics: per response, per ServiceProfile route, and per HTTPRoute backend.

What they can't tell: injected faults (Linkerd injects by sending to another backend), and which
latencies are of requests that were cut off. A gRPC stream without trailers counts as a success.
"""

from __future__ import annotations

import re

from analysis.requests.outcomes import Response, grpc_number
from flows.ingest.requests.mesh.family import Family, Labels, View, equals, unless_told
from flows.ingest.sources.samples import Matcher
from flows.spec.experiment import Experiment, Mesh

# Pod labels that the scrape configuration of Linkerd adds, and the usual version label.
_INBOUND_VERSIONS = ("deployment", "version", "pod_template_hash")
_OUTBOUND_VERSIONS = ("dst_service", "dst_deployment", "dst_pod_template_hash")


def classified_response(labels: Labels) -> Response:
    """The proxy's own classification, which honours the response classes of a ServiceProfile."""
    classification = labels.get("classification")
    found = Response(
        labels.get("status_code", ""),
        grpc_number(labels.get("grpc_status", "")),
        _errors(labels),
        None if classification is None else classification.lower() == "failure",
    )
    return unless_told(found, {"no-classification": classification is not None})


def backend_response(labels: Labels) -> Response:
    """The policy families don't classify: status, gRPC status and error say how it ended."""
    return Response(
        labels.get("http_status", ""), grpc_number(labels.get("grpc_status", "")), _errors(labels)
    )


def _errors(labels: Labels) -> tuple[str, ...]:
    """The proxy's own error stands for a response flag."""
    error = labels.get("error", "")
    return (error,) if error else ()


def _authority(label: str, spec: Experiment) -> tuple[Matcher, ...]:
    """The service's name as clients write it: bare, with its namespace, in full; with a port."""
    service, namespace = re.escape(spec.service), re.escape(spec.namespace)
    return (Matcher(label, "=~", rf"{service}(\.{namespace}(\.svc(\..+)?)?)?(:[0-9]+)?"),)


# Inbound series name no service: beside the namespace, the variants' deployments pick them. No user
# asks what the kubelet's probes and scrapes of the proxy itself (its admin port) do.
_INBOUND = View(
    (
        *equals(direction="inbound"),
        Matcher("route_name", "!=", "probe"),
        Matcher("target_port", "!=", "4191"),
    ),
    lambda spec: equals(namespace=spec.namespace),
    _INBOUND_VERSIONS,
    names_service=False,
)
_OUTBOUND = View(
    equals(direction="outbound"), lambda spec: _authority("authority", spec), _OUTBOUND_VERSIONS
)

LINKERD = Family(
    mesh=Mesh.LINKERD,
    requests=("response_total",),
    latency=("response_latency_ms_bucket",),
    ms_per_unit=1.0,
    views={"destination": _INBOUND, "source": _OUTBOUND, "waypoint": _OUTBOUND},
    route_labels=(),
    response=classified_response,
    latency_tells=False,
    begun={"request_total": 1},
)


def _route_view(direction: str, version_labels: tuple[str, ...]) -> View:
    where = equals(direction=direction)
    return View(where, lambda spec: _authority("dst", spec), version_labels)


# Effective responses: what the caller got after retries. The actual ones are beside them.
LINKERD_ROUTE = Family(
    mesh=Mesh.LINKERD_ROUTE,
    requests=("route_response_total",),
    latency=("route_response_latency_ms_bucket",),
    ms_per_unit=1.0,
    views={
        "destination": _route_view("inbound", _INBOUND_VERSIONS),
        "source": _route_view("outbound", ("dst",)),
        "waypoint": _route_view("outbound", ("dst",)),
    },
    route_labels=("rt_route",),
    response=classified_response,
    latency_tells=False,
    begun={"route_request_total": 1},
    optional=("route_actual_response_total", "route_retryable_total"),
)


# Counted by the client's proxy only, so every reporter means the same.
_POLICY = View(
    where=(),
    scope=lambda spec: equals(parent_name=spec.service, parent_namespace=spec.namespace),
    version_labels=("backend_name",),
)

LINKERD_POLICY = Family(
    mesh=Mesh.LINKERD_POLICY,
    requests=tuple(
        f"outbound_{protocol}_route_backend_response_statuses_total"
        for protocol in ("http", "grpc")
    ),
    latency=tuple(
        f"outbound_{protocol}_route_backend_response_duration_seconds_bucket"
        for protocol in ("http", "grpc")
    ),
    ms_per_unit=1000.0,
    views=dict.fromkeys(("destination", "source", "waypoint"), _POLICY),
    route_labels=("route_namespace", "route_name"),
    response=backend_response,
    latency_tells=False,
    code_label="http_status",
    begun={f"outbound_{protocol}_route_backend_requests_total": 1 for protocol in ("http", "grpc")},
    shared=tuple(
        f"outbound_{protocol}_route_{counter}_total"
        for protocol in ("http", "grpc")
        for counter in (
            "request_statuses",
            "retry_requests",
            "retry_successes",
            "retry_limit_exceeded",
            "retry_overflow",
        )
    ),
)
