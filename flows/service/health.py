"""What the service counts of itself, beside the metrics of the experiments."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from analysis.verdict import Decision
from flows.formats.json_schema import JsonDocument
from flows.warehouse.connection import WarehouseBusy, WarehouseUnusable, open_reader
from flows.workspace.experiments import select_readable
from flows.workspace.paths import Workspace

_PATHS = (
    "flagger", "argo", "verdict", "metrics", "healthz", "readyz",
    "report", "events", "login", "logout", "openapi.json", "api.html",
)  # fmt: skip


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
        # A stream is as long as somebody listens.
        if kind != "/events":
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


_WAIT_S = 0.2


class Alive(JsonDocument):
    """The answer of /healthz."""

    status: str = "ok"


class ReadyAnswer(JsonDocument):
    """The answer of /readyz; all but `ready` only to who may know of every experiment.

    stuck: experiments whose look hangs, and for how long.
    """

    ready: bool
    experiments: int | None = None
    warehouse: str | None = None
    problems: tuple[str, ...] | None = None
    stuck: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Readiness:
    """problems: what is wrong, also of single specs, which don't make the service unready."""

    is_ready: bool
    experiments: int
    warehouse: str
    problems: tuple[str, ...]


def readiness_of(workspace: Workspace) -> Readiness:
    """Reads the specs and opens the warehouse."""
    found = select_readable(workspace)
    problems = found.problems
    if not found.specs:
        problems.append(f"{workspace.experiments} has no spec that can be read")
    state, trouble = _warehouse_state(workspace)
    return Readiness(
        is_ready=bool(found.specs) and not trouble,
        experiments=len(found.specs),
        warehouse=state,
        problems=(*problems, *trouble),
    )


def _warehouse_state(workspace: Workspace) -> tuple[str, list[str]]:
    """A warehouse in use is as good as one that is free; a missing one is made by a look."""
    if not workspace.warehouse.exists():
        folder = next(path for path in workspace.warehouse.parents if path.exists())
        if os.access(folder, os.W_OK | os.X_OK):
            return "none yet", []
        return "unusable", [f"{workspace.warehouse} can't be made: {folder} is not writable"]
    try:
        with open_reader(workspace.warehouse, wait_s=_WAIT_S) as con:
            con.execute("select 1")
    except WarehouseBusy:
        return "in use", []
    except WarehouseUnusable as error:
        return "unusable", [str(error)]
    return "readable", []
