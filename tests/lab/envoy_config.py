"""Envoy's configuration: a bootstrap, and files for clusters, endpoints and routes.

The files are what Envoy watches: each is replaced by a rename, and says its version, so that
one can wait until Envoy has taken it in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.access_log import GATEWAY_FIELDS, UPSTREAM_FIELDS
from tests.lab.topology import (
    FaultSpec,
    RetrySpec,
    RouteSpec,
    ServiceSpec,
    VariantSpec,
    workload,
)

_TYPES = "type.googleapis.com/envoy"
_HTTP = f"{_TYPES}.extensions.filters.http"
_FAULT = "envoy.filters.http.fault"
_LIMIT = "envoy.filters.http.local_ratelimit"
_LIMIT_TYPE = f"{_HTTP}.local_ratelimit.v3.LocalRateLimit"
_LUA = "envoy.filters.http.lua"
_Json = dict[str, Any]
STATS_TAGS = (
    # As Istio's proxies do.
    {"tag_name": "cluster_name", "regex": r"^cluster\.((outbound\|.+?\.svc\.cluster\.local)\.)"},
    # Clusters of cohorts are called service-cohort--variant (docs/how-to/cohorts.md).
    {"tag_name": "split_service", "regex": r"^cluster\.(([a-z0-9-]+)-[a-z0-9]+--)"},
    {"tag_name": "split_cohort", "regex": r"^cluster\.(([a-z0-9-]+?)--)"},
    {"tag_name": "split_version", "regex": r"^cluster\.[a-z0-9-]+?--(([a-z0-9-]+)\.)"},
)


@dataclass(frozen=True, slots=True)
class EnvoyFiles:
    """Where Envoy's files are, all in one folder."""

    folder: Path

    @property
    def bootstrap(self) -> Path:
        """What Envoy is started with."""
        return self.folder / "bootstrap.json"

    @property
    def routes(self) -> Path:
        """RDS."""
        return self.folder / "routes.json"

    @property
    def clusters(self) -> Path:
        """CDS."""
        return self.folder / "clusters.json"

    def endpoints(self, cluster: str) -> Path:
        """EDS of one cluster."""
        return self.folder / f"endpoints-{cluster}.json"

    @property
    def gateway_log(self) -> Path:
        """One line per request of a client."""
        return self.folder / "gateway.log"

    @property
    def upstream_log(self) -> Path:
        """One line per attempt at a pod."""
        return self.folder / "upstream.log"


def write_resources(path: Path, version: int, resources: Sequence[_Json]) -> None:
    """Replaces a file that Envoy watches."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps({"version_info": str(version), "resources": list(resources)}))
    partial.rename(path)


def bootstrap(files: EnvoyFiles, *, port: int, admin_port: int, stats_flush_s: float) -> _Json:
    """What Envoy starts with; all that changes is in the watched files.

    stats_flush_s: histograms on the admin port are as old as this.
    """
    return {
        "stats_flush_interval": f"{stats_flush_s:g}s",
        "stats_config": {"stats_tags": list(STATS_TAGS)},
        "node": {"id": "gateway", "cluster": "lab"},
        "admin": {"address": _address(admin_port)},
        "dynamic_resources": {"cds_config": _watched(files.clusters)},
        "static_resources": {
            "listeners": [
                {
                    "name": "ingress",
                    "address": _address(port),
                    "filter_chains": [{"filters": [_connection_manager(files)]}],
                }
            ]
        },
    }


def _connection_manager(files: EnvoyFiles) -> _Json:
    kind = f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"upstream_log": [_access_log(files.upstream_log, UPSTREAM_FIELDS)]}
    return {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": kind,
            "stat_prefix": "ingress",
            "access_log": [_access_log(files.gateway_log, GATEWAY_FIELDS)],
            "rds": {"route_config_name": "routes", "config_source": _watched(files.routes)},
            "http_filters": [
                _filter(_LUA, f"{_HTTP}.lua.v3.Lua", {}),
                _filter(_FAULT, f"{_HTTP}.fault.v3.HTTPFault", {}),
                _filter(_LIMIT, _LIMIT_TYPE, {"stat_prefix": "listener"}),
                _filter("envoy.filters.http.router", f"{_HTTP}.router.v3.Router", router),
            ],
        },
    }


def _filter(name: str, kind: str, config: _Json) -> _Json:
    return {"name": name, "typed_config": {"@type": kind, **config}}


def _access_log(path: Path, fields: Mapping[str, str]) -> _Json:
    kind = f"{_TYPES}.extensions.access_loggers.file.v3.FileAccessLog"
    config = {"path": str(path), "log_format": {"json_format": dict(fields)}}
    return _filter("envoy.access_loggers.file", kind, config)


def _watched(path: Path) -> _Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(path)}}


def _address(port: int) -> _Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def cluster(files: EnvoyFiles, service: str, variant: VariantSpec) -> _Json:
    """The CDS resource of one variant."""
    name = workload(service, variant.name)
    found: _Json = {
        "@type": f"{_TYPES}.config.cluster.v3.Cluster",
        "name": name,
        "type": "EDS",
        "connect_timeout": "1s",
        "lb_policy": variant.policy,
        "eds_cluster_config": {"eds_config": _watched(files.endpoints(name))},
        # A pod that left the endpoints must get nothing more: no panic routing to it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
    }
    if variant.stats_as:
        found["alt_stat_name"] = variant.stats_as
    if variant.max_requests is not None:
        limits = {"max_requests": variant.max_requests, "max_connections": 1024}
        found["circuit_breakers"] = {"thresholds": [limits]}
    if variant.ejects_after is not None:
        found["outlier_detection"] = {
            "consecutive_5xx": variant.ejects_after,
            "interval": "1s",
            "base_ejection_time": "5s",
            "max_ejection_percent": 100,
            "enforcing_consecutive_5xx": 100,
            "enforcing_success_rate": 0,
        }
    return found


def endpoints(cluster_name: str, ports: Sequence[int]) -> _Json:
    """The EDS resource of one cluster."""
    pods = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "@type": f"{_TYPES}.config.endpoint.v3.ClusterLoadAssignment",
        "cluster_name": cluster_name,
        "endpoints": [{"lb_endpoints": pods}],
    }


def route_configuration(services: Sequence[ServiceSpec]) -> _Json:
    """The RDS resource: a virtual host per service."""
    return {
        "@type": f"{_TYPES}.config.route.v3.RouteConfiguration",
        "name": "routes",
        "virtual_hosts": [_virtual_host(service) for service in services],
    }


def _virtual_host(service: ServiceSpec) -> _Json:
    names = (service.name, f"{service.name}.{service.namespace}.svc.cluster.local")
    return {
        "name": service.name,
        "domains": [domain for name in names for domain in (name, f"{name}:80")],
        "routes": [_route(service, route) for route in service.all_routes()],
        "typed_per_filter_config": {_FAULT: _fault(service.fault)},
    }


def _route(service: ServiceSpec, route: RouteSpec) -> _Json:
    headers = [
        {"name": name, "string_match": {"exact": value}} for name, value in route.headers.items()
    ]
    hashes = route.sticky or any(
        "HASH" in v.policy or v.policy == "MAGLEV" for v in service.variants
    )
    action: _Json = {
        "weighted_clusters": {
            "use_hash_policy": route.sticky,
            "clusters": [
                _weighted(service, variant, weight, route.is_limited)
                for variant, weight in route.weights.items()
            ],
        },
        **_waiting(route.retry or RetrySpec(service.retries, timeout_s=service.timeout_s)),
    }
    if hashes:
        action["hash_policy"] = [{"header": {"header_name": "x-user-id"}}]
    match: _Json = {"prefix": route.prefix, "headers": headers}
    if route.percent < 100:
        share = {"numerator": route.percent, "denominator": "HUNDRED"}
        match["runtime_fraction"] = {"default_value": share}
    own: _Json = {} if route.fault is None else {_FAULT: _fault(route.fault)}
    if route.lua:
        code = {"@type": f"{_HTTP}.lua.v3.LuaPerRoute", "source_code": {"inline_string": route.lua}}
        own[_LUA] = code
    found = {"name": f"{service.name}-{route.name}", "match": match, "route": action}
    return {**found, "typed_per_filter_config": own} if own else found


def _waiting(how: RetrySpec) -> _Json:
    """The part of a route's action that says how long it waits and what it tries again."""
    found: _Json = {"timeout": f"{how.timeout_s:g}s"}
    if how.retries:
        found["retry_policy"] = {"retry_on": how.on, "num_retries": how.retries}
        if how.per_try_s is not None:
            found["retry_policy"]["per_try_timeout"] = f"{how.per_try_s:g}s"
    if how.hedges:
        found["hedge_policy"] = {"hedge_on_per_try_timeout": True}
    return found


def _weighted(service: ServiceSpec, name: str, weight: int, is_limited: bool) -> _Json:
    header = {"header": {"key": "x-variant", "value": name}}
    found: _Json = {
        "name": workload(service.name, name),
        "weight": weight,
        "response_headers_to_add": [header],
    }
    variant = service.variant(name)
    if variant.tokens is not None and is_limited:
        found["typed_per_filter_config"] = {_LIMIT: _limit(found["name"], variant)}
    return found


def _limit(prefix: str, variant: VariantSpec) -> _Json:
    enforced = {"numerator": variant.enforced, "denominator": "HUNDRED"}
    return {
        "@type": _LIMIT_TYPE,
        "stat_prefix": prefix,
        "token_bucket": {
            "max_tokens": variant.tokens,
            "tokens_per_fill": variant.tokens,
            "fill_interval": "1s",
        },
        "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
        "filter_enforced": {"default_value": enforced},
    }


def _fault(fault: FaultSpec) -> _Json:
    config: _Json = {"@type": f"{_HTTP}.fault.v3.HTTPFault"}
    if fault.abort_share:
        share = _share(fault.abort_share)
        config["abort"] = {"http_status": fault.abort_status, "percentage": share}
    if fault.delay_share:
        share = _share(fault.delay_share)
        config["delay"] = {"fixed_delay": f"{fault.delay_ms / 1000:g}s", "percentage": share}
    return config


def _share(share: float) -> _Json:
    return {"numerator": round(share * 1e6), "denominator": "MILLION"}
