"""Linkerd's proxy metrics: per response, per ServiceProfile route, and per HTTPRoute backend."""

from __future__ import annotations

import re

from flows.ingest.requests.mesh.family import Family, Labels, Response, ResponseClass, View, equals
from flows.ingest.sources.samples import Matcher
from flows.spec.experiment import Experiment, Mesh

# Pod labels that the scrape configuration of Linkerd adds, and the usual version label.
_INBOUND_VERSIONS = ("deployment", "version", "pod_template_hash")
_OUTBOUND_VERSIONS = ("dst_service", "dst_deployment", "dst_pod_template_hash")

# gRPC statuses that Linkerd classifies as failures, by number and as older proxies spell them.
_GRPC_FAILURES = frozenset(
    [
        "2",
        "4",
        "7",
        "13",
        "14",
        "15",
        "unknown",
        "deadlineexceeded",
        "permissiondenied",
        "internal",
        "unavailable",
        "dataloss",
    ]
)
_CLIENT_ERRORS = frozenset(("cancel", "cancelled"))


def classified_response(labels: Labels) -> Response:
    """The proxy's own classification, which honours the response classes of a ServiceProfile."""
    grpc_status, error = labels.get("grpc_status", ""), labels.get("error", "")
    code = labels.get("status_code", "")
    code = code if grpc_status in ("", "0") else f"{code} grpc {grpc_status}"
    if _is_client_error(error):
        return Response(ResponseClass.CANCELLED, code, (error,))
    failed = labels.get("classification", "success") == "failure"
    return Response(
        ResponseClass.FAILED if failed else ResponseClass.OK, code, (error,) if error else ()
    )


def backend_response(labels: Labels) -> Response:
    """The policy families don't classify: an error, 5xx or a failing gRPC status is a failure."""
    http, grpc = labels.get("http_status", ""), labels.get("grpc_status", "")
    error = labels.get("error", "")
    flags = (error,) if error else ()
    code = http or (f"grpc {grpc}" if grpc else "")
    if _is_client_error(error):
        return Response(ResponseClass.CANCELLED, code, flags)
    grpc_failed = re.sub(r"[ _]", "", grpc).lower() in _GRPC_FAILURES
    failed = bool(error) or http.startswith("5") or grpc_failed
    return Response(ResponseClass.FAILED if failed else ResponseClass.OK, code, flags)


def _is_client_error(error: str) -> bool:
    return error.lower() in _CLIENT_ERRORS


def _authority(label: str, spec: Experiment) -> tuple[Matcher, ...]:
    """The service's name as clients write it: bare, with its namespace, in full; with a port."""
    service, namespace = re.escape(spec.service), re.escape(spec.namespace)
    return (Matcher(label, "=~", rf"{service}(\.{namespace}(\.svc(\..+)?)?)?(:[0-9]+)?"),)


def _namespace(spec: Experiment) -> tuple[Matcher, ...]:
    """Inbound series name no service: beside the namespace, the variants' deployments pick them."""
    return equals(namespace=spec.namespace)


_INBOUND = View(equals(direction="inbound"), _namespace, _INBOUND_VERSIONS, names_service=False)
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
    optional=("route_actual_response_total", "route_retryable_total"),
)


def _parent(spec: Experiment) -> tuple[Matcher, ...]:
    return equals(parent_name=spec.service, parent_namespace=spec.namespace)


# Counted by the client's proxy only, so every reporter means the same.
_POLICY = View(where=(), scope=_parent, version_labels=("backend_name",))

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
