"""What the service counts of itself, beside the metrics of the experiments."""

from __future__ import annotations

from contextlib import AbstractContextManager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from analysis.verdict import Decision

_PATHS = ("flagger", "argo", "verdict", "metrics", "healthz", "readyz")
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class ServiceMetrics:
    """Requests by path, method and status, their seconds, and looks by decision.

    What callers choose never makes a new series: unknown paths and methods are `other`.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "verdict_requests", "Requests answered", ["path", "method", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "verdict_request_seconds", "Seconds until the answer", ["path"],
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._looks = Counter(
            "verdict_looks", "Looks taken, by decision or failed", ["decision"],
            registry=self._registry,
        )  # fmt: skip
        self._running = Gauge(
            "verdict_looks_running", "Looks being taken now", registry=self._registry
        )
        self._readable = Gauge(
            "verdict_warehouse_readable", "1 if the experiments' metrics could be read",
            registry=self._registry,
        )  # fmt: skip
        for name in (*(decision.value for decision in Decision), "failed"):
            self._looks.labels(name)

    def request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one answered request."""
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        kind = f"/{first}" if first in _PATHS else "other"
        verb = method if method in _METHODS else "other"
        self._requests.labels(kind, verb, str(status)).inc()
        self._seconds.labels(kind).observe(seconds)

    def looking(self) -> AbstractContextManager[None]:
        """Counts a look as running for the time of the with block."""
        return self._running.track_inprogress()

    def look(self, decision: Decision) -> None:
        """Counts a look that was taken."""
        self._looks.labels(decision.value).inc()

    def failed_look(self) -> None:
        """Counts a look that could not be taken."""
        self._looks.labels("failed").inc()

    def render(self, *, warehouse_readable: bool) -> str:
        """Everything in Prometheus' text format."""
        self._readable.set(float(warehouse_readable))
        return generate_latest(self._registry).decode()
