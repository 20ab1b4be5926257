"""What the service grants: sizes, times and rates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The defaults suit a cluster's controllers; a client is one address (IPv6: one /64).

    body_timeout_s: for the whole body of a request; header_timeout_s: for its head.
    verdict_timeout_s: how long a caller waits for a verdict, below Flagger's and Argo's time-out
        in docs/. The look itself goes on, and a later call finds it.
    workers: looks at one time; the warehouse has one writer, more would only wait for it.
    waiting: looks that may wait for a worker.
    requests_per_second, burst: of one client.
    """

    body_bytes: int = 64 * 1024
    body_timeout_s: float = 5.0
    header_bytes: int = 16 * 1024
    header_timeout_s: float = 10.0
    verdict_timeout_s: float = 25.0
    workers: int = 2
    waiting: int = 64
    requests_per_second: float = 50.0
    burst: int = 400
    connections: int = 1024
    connections_per_client: int = 400
    shutdown_s: float = 30.0
