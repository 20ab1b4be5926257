"""The proxy's metrics beside one pod, or of the gateway: Envoy's access log in, /metrics out.

`python -m tests.lab.sidecar CONFIG_JSON`. Its counters begin at zero with its process, and only
lines of requests that ended after its start are counted, so that a restart resets as in a mesh.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.lab import istio_metrics, linkerd_metrics
from tests.lab.access_log import Answered, Tail, parse_line
from tests.lab.exposition import Registry, Series
from tests.lab.http_server import Reply, Request, serve
from tests.lab.topology import Destination, read_destinations

_POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class SidecarConfig:
    """What one sidecar reads and where it listens; for the gateway `here` is None."""

    port: int
    upstream_log: str
    here: Destination | None = None
    pod_address: str = ""
    gateway_log: str = ""
    destinations: str = ""
    """The gateway's file that write_destinations writes."""

    def to_json(self) -> str:
        """As the process takes it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SidecarConfig:
        """The reverse of to_json."""
        fields: dict[str, Any] = json.loads(text)
        if fields["here"]:
            fields["here"] = Destination(**fields["here"])
        return cls(**fields)


class LogCounter:
    """Adds the new lines of one log to the series that each line belongs to."""

    def __init__(self, tail: Tail, series_of: Callable[[Answered], list[Series]]) -> None:
        """series_of is asked once per kind of line."""
        self._tail = tail
        self._series_of = series_of
        self._known: dict[Answered, list[Series]] = {}

    def take_new(self, *, since_s: float) -> int:
        """Counts what was appended and ended since then; returns how many lines."""
        taken = 0
        for raw in self._tail.read():
            line = parse_line(raw)
            if line.ended_s < since_s:
                continue
            series = self._known.get(line.answered)
            if series is None:
                series = self._known[line.answered] = self._series_of(line.answered)
            for one in series:
                one.observe(line.latency_ms)
            taken += bool(series)
        return taken

    def forget(self) -> None:
        """The series are gone: they are asked for again."""
        self._known.clear()


def pod_logs(config: SidecarConfig, here: Destination, registry: Registry) -> list[LogCounter]:
    """The attempts at this pod alone."""

    def series_of(answered: Answered) -> list[Series]:
        if answered.code == "0":
            if {"UF", "UO"} & set(answered.flags.split(",")):
                return []  # it never reached the pod, which says nothing
            # Whoever gave the attempt up (a time-out, a hedge that was faster): its client left.
            answered = replace(answered, flags="DC")
        istio = istio_metrics.pod_series(registry, here, answered)
        return istio + linkerd_metrics.pod_series(registry, here, answered)

    needle = f'"{config.pod_address}"'.encode()
    return [LogCounter(Tail(Path(config.upstream_log), needle=needle), series_of)]


def gateway_logs(config: SidecarConfig, registry: Registry) -> list[LogCounter]:
    """All requests, and all attempts at any pod."""

    def destination(answered: Answered) -> Destination | None:
        known = read_destinations(Path(config.destinations))
        matching = [one for one in known if one.workload == answered.cluster]
        services = [one for one in known if one.service == answered.service]
        if matching:
            return matching[0]
        return Destination(answered.service, services[0].namespace, "", "") if services else None

    def requests(answered: Answered) -> list[Series]:
        if (to := destination(answered)) is None:
            return []
        istio = istio_metrics.gateway_series(registry, to, answered)
        return istio + linkerd_metrics.gateway_series(registry, to, answered)

    def attempts(answered: Answered) -> list[Series]:
        to = destination(answered)
        return linkerd_metrics.attempt_series(registry, to, answered) if to else []

    return [
        LogCounter(Tail(Path(config.gateway_log)), requests),
        LogCounter(Tail(Path(config.upstream_log)), attempts),
    ]


class Sidecar:
    """Serves /metrics, and says at /state what Prometheus has not seen yet."""

    def __init__(self, config: SidecarConfig) -> None:
        """The logs are read from their present end on."""
        self._config = config
        self._started_s = time.time()
        self._broken = False
        self._registry = Registry(started_s=self._started_s)
        self.counted = self.unscraped = 0
        self._logs = (
            pod_logs(config, config.here, self._registry)
            if config.here
            else gateway_logs(config, self._registry)
        )

    def forget(self) -> None:
        """All counters begin again, as after an eviction; the process goes on."""
        self._registry.clear()
        for log in self._logs:
            log.forget()

    def take_new(self) -> None:
        """Counts what the logs say since the last time."""
        taken = sum(log.take_new(since_s=self._started_s) for log in self._logs)
        self.counted += taken
        self.unscraped += taken

    def answer(self, request: Request, reply: Reply) -> None:
        """Answers Prometheus and the lab."""
        self.take_new()
        if request.path == "/metrics":
            self._expose(request, reply)
        elif request.path == "/state":
            told = {"counted": self.counted, "unscraped": self.unscraped}
            reply.send(200, json.dumps(told).encode())
        elif request.path == "/control" and request.method == "PUT":
            asked = json.loads(request.body)
            self._broken = asked.get("broken", self._broken)
            if asked.get("forget"):
                self.forget()
            reply.send(200, b"")
        else:
            reply.send(404, b"")

    def _expose(self, request: Request, reply: Reply) -> None:
        if self._broken:
            reply.send(500, b"told to fail")
            return
        if request.headers.get("user-agent", "").startswith("Prometheus"):
            self.unscraped = 0
        kind = {"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        reply.send(200, self._registry.render(), kind)


async def run(config: SidecarConfig) -> None:
    """Serves until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    sidecar = Sidecar(config)
    await serve(config.port, sidecar.answer)
    while not stopped.is_set():
        sidecar.take_new()
        try:
            await asyncio.wait_for(stopped.wait(), _POLL_S)
        except TimeoutError:
            continue


if __name__ == "__main__":
    asyncio.run(run(SidecarConfig.from_json(sys.argv[1])))
