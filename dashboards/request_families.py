"""Where each mesh counts requests: metric names, conditions and labels, for PromQL.

The counterpart of flows/sources (which this package may not import): a test holds them together.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.experiment_view import MeshName, Reporter
from dashboards.promql import Match, Matches, equals


@dataclass(frozen=True, slots=True)
class CountingSide:
    """One place where a mesh counts requests.

    requests, latency: counter and histogram bucket names, or a pattern for several.
    latency_unit: Grafana's unit of `le`.
    scope: what belongs to the service; uses the dashboard's variables.
    version_labels: labels that can name a version, the usual one first.
    answered: leaves out requests whose client left and injected faults: no answer of the service.
    good: within `answered`, what is no failure.
    bad: alternatives, each takes a part of what went wrong.
    cause_labels: labels that tell why.
    service_labels: labels that name the service; empty if the series don't.
    namespace_values, service_values: label_values() queries; None if the series don't tell.
    namespace_part, service_part: what to take of those values, as Grafana wants it; all if empty.
    """

    title: str
    requests: str
    latency: str
    latency_unit: str
    scope: Matches
    version_labels: tuple[str, ...]
    answered: Matches
    good: Matches
    bad: tuple[Matches, ...]
    cause_labels: tuple[str, ...]
    service_labels: tuple[str, ...] = ()
    namespace_values: str | None = None
    service_values: str | None = None
    namespace_part: str = ""
    service_part: str = ""

    @property
    def uses_reporter(self) -> bool:
        """Whether the reader chooses the reporter."""
        return any("$reporter" in match.value for match in self.scope)

    @property
    def latency_scale(self) -> float:
        """How many of the latency's units one millisecond is."""
        return 1.0 if self.latency_unit == "ms" else 0.001


_SERVICE = Match("destination_service_name", "=~", "$service")
_NAMESPACE = Match("destination_service_namespace", "=~", "$namespace")
# Flags can be a list ("UF,URX"); code 0 is a client that left, too.
_NO_ANSWER = "(.*,)?(DC|DR|FI|DI)(,.*)?"
_FAILURE = "(.*,)?(UT|UF|UO|UH|UC|UR|URX|UPE|LR|SI|NC|OM|LH|UMSDR|DT|NFCF|DF|DO)(,.*)?"
_FAILED_GRPC = "2|4|13|14|15"

ISTIO = CountingSide(
    title="Istio",
    requests="istio_requests_total",
    latency="istio_request_duration_milliseconds_bucket",
    latency_unit="ms",
    # Never both reporters in one sum: every request would count twice.
    scope=(Match("reporter", "=", "$reporter"), _NAMESPACE, _SERVICE),
    version_labels=("destination_version", "destination_canonical_revision"),
    answered=(
        Match("response_code", "!=", "0"),
        Match("response_flags", "!~", _NO_ANSWER),
        Match("grpc_response_status", "!=", "1"),
    ),
    good=(
        Match("response_code", "!~", "5.."),
        Match("grpc_response_status", "!~", _FAILED_GRPC),
        Match("response_flags", "!~", _FAILURE),
    ),
    bad=(
        (Match("response_code", "=~", "5.."),),
        (Match("grpc_response_status", "=~", _FAILED_GRPC),),
        (Match("response_flags", "!~", "|-"),),
    ),
    cause_labels=("response_flags", "response_code"),
    service_labels=("destination_service_namespace", "destination_service_name"),
    namespace_values="label_values(istio_requests_total, destination_service_namespace)",
    service_values=(
        'label_values(istio_requests_total{destination_service_namespace=~"$namespace"}, '
        "destination_service_name)"
    ),
)

_NOT_ABANDONED = (
    Match("error", "!~", "(?i:cancel|cancell?ed)"),
    Match("grpc_status", "!~", "(?i:1|cancell?ed)"),
)
_POD_LABELS = ("deployment", "version", "pod_template_hash")
_DST_LABELS = ("dst_service", "dst_deployment", "dst_pod_template_hash")


def _name_of_service(label: str) -> Match:
    """The service's name as clients write it: bare, with its namespace, in full; with a port."""
    return Match(label, "=~", r"(${service})(\.(${namespace})(\.svc(\..+)?)?)?(:[0-9]+)?")


def _linkerd(
    title: str, family: str, scope: Matches, versions: tuple[str, ...], names: str | None
) -> CountingSide:
    """A side of the families that Linkerd's proxy classifies itself.

    names: the label that names the service as clients write it, if one does.
    """
    counter = f"{family}_total"
    values = f"label_values({counter}, {names})" if names else None
    return CountingSide(
        title=title,
        requests=counter,
        latency=f"{family}_latency_ms_bucket",
        latency_unit="ms",
        scope=scope,
        version_labels=versions,
        answered=_NOT_ABANDONED,
        good=equals(classification="success"),
        bad=(equals(classification="failure"),),
        cause_labels=("error", "status_code", "grpc_status"),
        service_labels=(names,) if names else (),
        namespace_values=values,
        service_values=values,
        namespace_part=r"/^[^.:]+\.([^.:]+)/",
        service_part=r"/^([^.:]+)/",
    )


_INBOUND, _OUTBOUND = equals(direction="inbound"), equals(direction="outbound")

LINKERD_INBOUND = _linkerd(
    "Linkerd, inbound",
    "response",
    (*_INBOUND, Match("namespace", "=~", "$namespace")),
    _POD_LABELS,
    None,
)
LINKERD_OUTBOUND = _linkerd(
    "Linkerd, outbound",
    "response",
    (*_OUTBOUND, _name_of_service("authority")),
    _DST_LABELS,
    "authority",
)
ROUTE_INBOUND = _linkerd(
    "Linkerd routes, inbound",
    "route_response",
    (*_INBOUND, _name_of_service("dst")),
    _POD_LABELS,
    "dst",
)
# Outbound, `dst` is what tells the versions apart: it can't name the service as well.
ROUTE_OUTBOUND = _linkerd("Linkerd routes, outbound", "route_response", _OUTBOUND, ("dst",), None)

_GRPC_FAILURES = (
    "(?i:2|4|13|14|15|unknown|deadline[ _]?exceeded|internal|unavailable|data[ _]?loss)"
)
_STATUSES = "outbound_(http|grpc)_route_backend_response_statuses_total"

LINKERD_POLICY = CountingSide(
    title="Linkerd HTTPRoute and GRPCRoute",
    requests=_STATUSES,
    latency="outbound_(http|grpc)_route_backend_response_duration_seconds_bucket",
    latency_unit="s",
    scope=(Match("parent_namespace", "=~", "$namespace"), Match("parent_name", "=~", "$service")),
    version_labels=("backend_name",),
    answered=_NOT_ABANDONED,
    good=(
        Match("error", "=", ""),
        Match("http_status", "!~", "5.."),
        Match("grpc_status", "!~", _GRPC_FAILURES),
    ),
    bad=(
        (Match("error", "!=", ""),),
        (Match("http_status", "=~", "5.."),),
        (Match("grpc_status", "=~", _GRPC_FAILURES),),
    ),
    cause_labels=("error", "http_status", "grpc_status"),
    service_labels=("parent_namespace", "parent_name"),
    namespace_values=f'label_values({{__name__=~"{_STATUSES}"}}, parent_namespace)',
    service_values=(
        f'label_values({{__name__=~"{_STATUSES}", parent_namespace=~"$namespace"}}, parent_name)'
    ),
)

ENVOY = CountingSide(
    title="Envoy",
    # Exactly this name: the _xx, external, internal, canary and zone twins count again.
    requests="envoy_cluster_upstream_rq",
    latency="envoy_cluster_upstream_rq_time_bucket",
    latency_unit="ms",
    scope=(),
    version_labels=("envoy_cluster_name",),
    answered=(),
    good=(Match("envoy_response_code", "!~", "5.."),),
    bad=((Match("envoy_response_code", "=~", "5.."),),),
    cause_labels=("envoy_response_code",),
)

# A bare Envoy's series carry no response flags; these counters move where a log line has the flag.
ENVOY_FLAG_COUNTERS = {
    "UT (timeout)": "envoy_cluster_upstream_rq_timeout",
    "URX (retries exhausted)": "envoy_cluster_upstream_rq_retry_limit_exceeded",
    "UO (circuit open)": "envoy_cluster_upstream_rq_pending_overflow",
    "UF (connect failure)": "envoy_cluster_upstream_cx_connect_fail",
    "UH (no healthy host)": "envoy_cluster_upstream_cx_none_healthy",
    "ejected hosts": "envoy_cluster_outlier_detection_ejections_enforced_total",
}


def side_of(mesh: MeshName, reporter: Reporter) -> CountingSide:
    """Where the requests of an experiment are counted."""
    inbound = reporter == "destination"
    return {
        "istio": ISTIO,
        "linkerd": LINKERD_INBOUND if inbound else LINKERD_OUTBOUND,
        "linkerd-route": ROUTE_INBOUND if inbound else ROUTE_OUTBOUND,
        "linkerd-policy": LINKERD_POLICY,
        "envoy": ENVOY,
    }[mesh]
