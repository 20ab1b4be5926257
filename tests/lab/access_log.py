"""Envoy's access log, read as it grows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# One JSON object a line. The gateway's log has a line per request of a client; the upstream log
# has one per attempt at a pod, so that a pod sees retries, as its own proxy would.
FIELDS: Mapping[str, str] = {
    "at": "%START_TIME(%s.%6f)%",
    "authority": "%REQ(:AUTHORITY)%",
    "cluster": "%UPSTREAM_CLUSTER_RAW%",
    "code": "%RESPONSE_CODE%",
    "content_type": "%REQ(CONTENT-TYPE)%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "host": "%UPSTREAM_HOST%",
    "method": "%REQ(:METHOD)%",
    "ms": "%DURATION%",
    "path": "%REQ(:PATH)%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "route": "%ROUTE_NAME%",
}
# What a Telemetry resource's tagOverrides can add to Istio's labels; the rest are Envoy's names.
TAGS: Mapping[str, str] = {
    "user_tier": "%REQ(USER-TIER)%",
    "user_id": "%REQ(X-USER-ID)%",
    "country": "%REQ(X-COUNTRY-CODE)%",
    "feature_beta": "%REQ(X-FEATURE-BETA)%",
    "experiment_group": "%REQ(EXPERIMENT-GROUP)%",
    "chaos_test": "%REQ(CHAOS-TEST)%",
    "request_method": "%REQ(:METHOD)%",
    "request_route": "%ROUTE_NAME%",
    "split_cohort": "%ROUTE_NAME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
}
UPSTREAM_TAGS = {name: TAGS[name] for name in ("request_method", "request_route", "user_id")}
GATEWAY_FIELDS = {**FIELDS, **TAGS, "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%"}
UPSTREAM_FIELDS = {**FIELDS, **UPSTREAM_TAGS, "us": "%COMMON_DURATION(US_TX_BEG:US_RX_BEG:us)%"}


@dataclass(frozen=True, slots=True)
class Answered:
    """What a log line says, but for its time: the key of the series that it adds to."""

    service: str
    cluster: str
    code: str
    flags: str
    grpc: str
    """The gRPC status number, empty for plain HTTP."""
    route: str
    came_from_pod: bool
    """Envoy answered itself otherwise."""
    tags: tuple[tuple[str, str], ...] = ()
    """By TAGS, of which the upstream log has a few."""

    @property
    def protocol(self) -> str:
        """As Istio's request_protocol."""
        return "grpc" if self.grpc else "http"

    @property
    def chose_backend(self) -> bool:
        """Whether it got past Envoy's filters: an injected fault reaches no cluster."""
        return bool(self.cluster) and not {"FI", "RL"} & set(self.flags.split(","))

    @property
    def failed(self) -> bool:
        """As Linkerd classifies: no answer, 5xx, or a gRPC status that blames the server."""
        return (
            self.code == "0"
            or self.code.startswith("5")
            or self.grpc in ("2", "4", "7", "13", "14", "15")
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One access log line."""

    answered: Answered
    latency_ms: float
    ended_s: float
    """Unix time."""


def parse_line(line: bytes) -> Line:
    """Reads one line; raises ValueError if it is no JSON."""
    fields: dict[str, Any] = json.loads(line)
    us, ms = fields.get("us"), float(fields["ms"] or 0)
    return Line(
        answered=Answered(
            service=(fields["authority"] or "").split(":")[0].split(".")[0],
            cluster=fields["cluster"] or "",
            code=str(fields["code"]),
            flags=fields["flags"] or "-",
            grpc=_grpc_status(fields),
            route=fields["route"] or "",
            # The upstream log has no details: there, a code above 0 can only be the pod's.
            came_from_pod=fields["details"] in (None, "via_upstream") and fields["code"] != 0,
            tags=tuple((name, fields[name] or "") for name in TAGS if name in fields),
        ),
        latency_ms=us / 1000 if us else ms,
        ended_s=float(fields["at"]) + ms / 1000,
    )


def _grpc_status(fields: Mapping[str, Any]) -> str:
    if not (fields["content_type"] or "").startswith("application/grpc"):
        return ""
    return "0" if fields["grpc"] is None else str(fields["grpc"])


class Tail:
    """The complete lines that were appended since the last read and contain the needle."""

    def __init__(self, path: Path, *, needle: bytes = b"") -> None:
        """Starts at the file's end; a file that isn't there yet is read from its start."""
        self._path = path
        self._needle = needle
        self._position = max(path.stat().st_size - 1, 0) if path.exists() else 0
        # The end may lie inside a line: what comes before the next newline is not a whole one.
        self._is_inside_line = self._position > 0
        self._rest = b""

    def read(self) -> list[bytes]:
        """What is new."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._position)
            appended = file.read()
        self._position += len(appended)
        complete, newline, rest = (self._rest + appended).rpartition(b"\n")
        self._rest = rest
        if newline and self._is_inside_line:
            complete = complete.partition(b"\n")[2]
            self._is_inside_line = False
        if not newline or self._needle not in complete:
            return []
        return [line for line in complete.split(b"\n") if self._needle in line and line]
