"""The gateway: Envoy, the sidecar that counts for it, and what both know of the services."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.lab.envoy_server import EnvoyServer
from tests.lab.pod_process import SidecarProcess
from tests.lab.processes import PortPool, wait_until
from tests.lab.prometheus_server import Job, Target
from tests.lab.sidecar import SidecarConfig
from tests.lab.topology import ServiceSpec, write_destinations

GATEWAY_JOB = "gateway"
ENVOY_JOB = "envoy"
_LABELS = {"app": "gateway", "pod": "gateway-0"}


def gateway_jobs(services: Sequence[ServiceSpec]) -> tuple[Job, Job]:
    """Envoy leaves out series that were never used, as a proxy with its own metrics would.

    Not where pods may be ejected: that none was must be told from what isn't exported.
    """
    ejects = any(v.ejects_after is not None for service in services for v in service.variants)
    query = {} if ejects else {"usedonly": ""}
    return Job(GATEWAY_JOB), Job(ENVOY_JOB, path="/stats/prometheus", query=query)


class Gateway:
    """Both processes."""

    def __init__(self, folder: Path, ports: PortPool, *, stats_flush_s: float) -> None:
        """Takes ports and writes Envoy's bootstrap into the folder; starts nothing."""
        self._folder = folder
        self.port, self._admin_port = ports.take(), ports.take()
        self.envoy = EnvoyServer(
            folder, port=self.port, admin_port=self._admin_port, stats_flush_s=stats_flush_s
        )
        config = SidecarConfig(
            port=ports.take(),
            upstream_log=str(self.envoy.files.upstream_log),
            gateway_log=str(self.envoy.files.gateway_log),
            destinations=str(self._destinations),
        )
        self.sidecar = SidecarProcess(config, log=folder / "sidecar.out")

    @property
    def _destinations(self) -> Path:
        return self._folder / "destinations.json"

    @property
    def targets(self) -> tuple[Target, Target]:
        """What Prometheus scrapes."""
        return (
            Target(GATEWAY_JOB, self.sidecar.port, _LABELS),
            Target(ENVOY_JOB, self._admin_port, _LABELS),
        )

    def start(self, services: Sequence[ServiceSpec]) -> None:
        """Starts both; the endpoints of all clusters must have been written."""
        self.configure(services)
        self.sidecar.start()
        self.envoy.start()
        wait_until(self.sidecar.is_ready, what="the gateway's sidecar")

    def configure(self, services: Sequence[ServiceSpec]) -> None:
        """Sets clusters and routes, and returns when Envoy obeys."""
        write_destinations(self._destinations, services)
        self.envoy.write_clusters(services)
        self.envoy.write_routes(services)

    def stop(self) -> None:
        """Ends both."""
        self.envoy.stop()
        self.sidecar.kill()
