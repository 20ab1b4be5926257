"""Everything that Prometheus holds of some metrics, in one small Parquet file."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.lab.prometheus_server import PrometheusServer

REQUEST_METRICS = (
    "istio_requests_total",
    "istio_request_duration_milliseconds_bucket",
    "response_total",
    "response_latency_ms_bucket",
    "route_response_total",
    "route_response_latency_ms_bucket",
    "route_actual_response_total",
    "outbound_http_route_request_statuses_total",
    "outbound_http_route_backend_response_statuses_total",
    "outbound_http_route_backend_response_duration_seconds_bucket",
    "envoy_cluster_upstream_rq",
    "envoy_cluster_upstream_rq_time_bucket",
)
OPTIONAL_METRICS = (
    "envoy_cluster_upstream_rq_total",
    "envoy_cluster_upstream_rq_retry",
    "envoy_cluster_upstream_rq_timeout",
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_http_fault_aborts_injected",
)
EVIDENCE_METRICS = ("up", "process_start_time_seconds", "envoy_server_uptime")

Series = tuple[dict[str, str], list[int], list[float]]


def write_raw_samples(
    path: Path, prometheus: PrometheusServer, *, end_s: float, seconds: float
) -> int:
    """Writes one row per series (labels, ts_ms, values); returns the number of samples.

    Rows that share their scrapes lie side by side, so that equal times compress to nothing.
    """
    series = [
        one
        for name in (*REQUEST_METRICS, *OPTIONAL_METRICS, *EVIDENCE_METRICS)
        for one in prometheus.raw_samples(name, end_s=end_s, seconds=seconds)
    ]
    series.sort(key=_order)
    times, values = pa.list_(pa.int64()), pa.list_(pa.float64())
    table = pa.table(
        {
            "labels": pa.array([json.dumps(labels, sort_keys=True) for labels, _, _ in series]),
            "ts_ms": pa.array([ts for _, ts, _ in series], times),
            "values": pa.array([value for _, _, value in series], values),
        }
    )
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=False,
        column_encoding={
            "labels": "DELTA_BYTE_ARRAY",
            "ts_ms.list.element": "DELTA_BINARY_PACKED",
            "values.list.element": "BYTE_STREAM_SPLIT",
        },
    )
    return sum(len(ts) for _, ts, _ in series)


def _order(series: Series) -> tuple[str, str, str, float, str]:
    labels = series[0]
    bound = float(labels.get("le", "0"))
    rest = json.dumps({k: v for k, v in labels.items() if k != "le"}, sort_keys=True)
    return (labels.get("job", ""), labels.get("instance", ""), labels["__name__"], bound, rest)
