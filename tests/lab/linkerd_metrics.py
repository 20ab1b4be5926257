"""Linkerd's proxy metrics, made from access log lines: classic, per route, and per HTTPRoute."""

from __future__ import annotations

from tests.lab.access_log import Answered
from tests.lab.exposition import Registry, Series
from tests.lab.topology import Destination

# fmt: off
BOUNDS_MS = (
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000,
    10_000, 20_000, 30_000, 40_000, 50_000,
)
# fmt: on
_BACKEND_BOUNDS_S = (0.025, 0.05, 0.1, 0.25, 0.5, 1, 10)
_ROUTE_BOUNDS_S = (0.05, 0.5, 1, 10)
_PORT = "80"

# Envoy's flag for what Linkerd calls an error of the proxy.
_ERRORS = {
    "UH": "FailFast",
    "UO": "LoadShed",
    "UF": "Io",
    "UC": "Reset",
    "UT": "ResponseHeadersTimeout",
    "DC": "Cancel",
}


def pod_series(registry: Registry, here: Destination, answered: Answered) -> list[Series]:
    """The series that the proxy of a pod adds to: direction="inbound".

    Deployment, namespace and pod come from the scrape's target labels, as in Linkerd itself.
    """
    peer = {"direction": "inbound", "tls": "true", "target_port": _PORT}
    response = peer | _response(answered)
    route = {"direction": "inbound", "dst": _address(here), "rt_route": answered.route}
    return [
        registry.counter("request_total", peer),
        registry.counter("response_total", response),
        registry.histogram("response_latency_ms", peer | _code(answered), BOUNDS_MS),
        registry.counter("route_request_total", route),
        registry.counter("route_response_total", route | _response(answered)),
        registry.histogram("route_response_latency_ms", route | _code(answered), BOUNDS_MS),
    ]


def gateway_series(registry: Registry, to: Destination, answered: Answered) -> list[Series]:
    """The series that the client's proxy adds to for one request: direction="outbound"."""
    return [*_outbound(registry, to, answered), *_policy(registry, to, answered)]


def attempt_series(registry: Registry, to: Destination, answered: Answered) -> list[Series]:
    """The series that the client's proxy adds to for each attempt at a pod, retries included."""
    route = {"direction": "outbound", "dst": _address(to), "rt_route": answered.route}
    return [
        registry.counter("route_actual_request_total", route),
        registry.counter("route_actual_response_total", route | _response(answered)),
    ]


def _outbound(registry: Registry, to: Destination, answered: Answered) -> list[Series]:
    peer = {"direction": "outbound", "authority": _address(to), "target_port": _PORT}
    if answered.came_from_pod:
        names = ("dst_deployment", "dst_service")
        peer |= dict.fromkeys(names, to.workload) | {"dst_namespace": to.namespace}
    route = {"direction": "outbound", "dst": _address(to), "rt_route": answered.route}
    return [
        registry.counter("request_total", peer),
        registry.counter("response_total", peer | _response(answered)),
        registry.histogram("response_latency_ms", peer | _code(answered), BOUNDS_MS),
        registry.counter("route_request_total", route),
        registry.counter("route_response_total", route | _response(answered)),
        registry.histogram("route_response_latency_ms", route | _code(answered), BOUNDS_MS),
    ]


def _policy(registry: Registry, to: Destination, answered: Answered) -> list[Series]:
    """The families of HTTPRoute; a request that chose no backend has no backend series."""
    route = _reference("parent", "core", "Service", to.service, to) | _reference(
        "route", "gateway.networking.k8s.io", "HTTPRoute", answered.route, to
    )
    status = _status(answered)
    prefix = "outbound_http_route"
    series: list[Series] = [
        registry.counter(f"{prefix}_request_statuses_total", route | status),
        registry.histogram(
            f"{prefix}_request_duration_seconds", route, _ROUTE_BOUNDS_S, ms_per_unit=1000
        ),
    ]
    if not answered.chose_backend:
        return series
    backend = route | _reference("backend", "core", "Service", to.workload, to)
    name = f"{prefix}_backend_response"
    return [
        *series,
        registry.counter(f"{prefix}_backend_requests_total", backend),
        registry.counter(f"{name}_statuses_total", backend | status),
        registry.histogram(
            f"{name}_duration_seconds", backend, _BACKEND_BOUNDS_S, ms_per_unit=1000
        ),
    ]


def _reference(role: str, group: str, kind: str, name: str, to: Destination) -> dict[str, str]:
    return {
        f"{role}_group": group,
        f"{role}_kind": kind,
        f"{role}_namespace": to.namespace,
        f"{role}_name": name,
    }


def _address(to: Destination) -> str:
    host = to.host.replace(to.service, to.workload, 1) if to.own_service else to.host
    return f"{host}:{_PORT}"


def _code(answered: Answered) -> dict[str, str]:
    return {} if answered.code == "0" else {"status_code": answered.code}


def _error(answered: Answered) -> str:
    flags = answered.flags.split(",")
    return next((_ERRORS[flag] for flag in flags if flag in _ERRORS), "")


def _response(answered: Answered) -> dict[str, str]:
    labels = {"classification": "failure" if answered.failed else "success"} | _code(answered)
    if answered.grpc:
        labels["grpc_status"] = answered.grpc
    return labels | ({"error": error} if (error := _error(answered)) else {})


def _status(answered: Answered) -> dict[str, str]:
    """A request that no pod answered has an error in place of a status."""
    error = "" if answered.came_from_pod else _error(answered)
    return {"http_status": "" if error else answered.code, "error": error}
