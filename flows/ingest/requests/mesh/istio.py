"""Istio's standard metrics: the destination counts per version, the source what users saw."""

from __future__ import annotations

from analysis.requests.outcomes import NO_GRPC_STATUS, Response, grpc_number
from flows.ingest.requests.mesh.family import (
    Family,
    Labels,
    View,
    equals,
    split_flags,
    unless_told,
)
from flows.ingest.sources.samples import Matcher
from flows.spec.experiment import Mesh


def istio_response(labels: Labels) -> Response:
    """Code, gRPC status and flags are labels; a Telemetry resource can remove any of them.

    Flags are at least "-"; a gRPC answer without a status is broken, or it isn't told.
    """
    found = Response(
        labels.get("response_code", ""),
        grpc_number(labels.get("grpc_response_status", "")),
        split_flags(labels.get("response_flags", "")),
    )
    has_status = bool(found.grpc_status) or labels.get("request_protocol") != "grpc"
    told = {"no-flags": "response_flags" in labels, NO_GRPC_STATUS: has_status}
    return unless_told(found, told)


def _has_no_peer(labels: Labels) -> bool:
    """A request that reached no pod: the revision "latest" is then only Istio's fallback."""
    return labels.get("destination_workload", "unknown") in ("", "unknown")


_IDENTITY_LABELS = frozenset(
    {
        "destination_service_name",
        "destination_service",
        "destination_workload",
        "destination_app",
        "destination_canonical_service",
    }
)


# The source's proxy found no pod to send the request to, or lost it: the pod's own counts nothing.
_UNREACHED = (
    *equals(reporter="source"),
    Matcher("response_flags", "=~", "(.*,)?(UF|UH|UO|NC|UC)(,.*)?"),
)


def _view(reporter: str) -> View:
    return View(
        where=equals(reporter=reporter),
        scope=lambda spec: equals(
            destination_service_name=spec.service, destination_service_namespace=spec.namespace
        ),
        version_labels=("destination_version", "destination_canonical_revision"),
        identity_labels=_IDENTITY_LABELS,
        unreached=_UNREACHED if reporter == "destination" else (),
    )


ISTIO = Family(
    mesh=Mesh.ISTIO,
    requests=("istio_requests_total",),
    latency=("istio_request_duration_milliseconds_bucket",),
    ms_per_unit=1.0,
    views={reporter: _view(reporter) for reporter in ("destination", "source", "waypoint")},
    route_labels=(),
    response=istio_response,
    has_no_version=_has_no_peer,
    # The sidecar's own age first: a merged scrape carries the application's start time.
    start_metrics=("envoy_server_uptime", "process_start_time_seconds"),
    code_label="response_code",
    flag_label="response_flags",
)
