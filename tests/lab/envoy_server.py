"""A real Envoy as the lab's gateway."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tests.lab import find_program
from tests.lab.envoy_config import (
    EnvoyFiles,
    bootstrap,
    cluster,
    endpoints,
    route_configuration,
    write_resources,
)
from tests.lab.http_calls import answers, get
from tests.lab.processes import Child, wait_until
from tests.lab.topology import ServiceSpec


class EnvoyServer:
    """Envoy and the files that it watches."""

    def __init__(self, folder: Path, *, port: int, admin_port: int, stats_flush_s: float) -> None:
        """Writes the bootstrap into an empty folder; starts nothing."""
        self.files = EnvoyFiles(folder)
        self.url = f"http://127.0.0.1:{port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self._version = 0
        self._clusters: frozenset[str] = frozenset()
        self._child: Child | None = None
        config = bootstrap(
            self.files, port=port, admin_port=admin_port, stats_flush_s=stats_flush_s
        )
        self.files.bootstrap.write_text(json.dumps(config))

    def start(self) -> None:
        """Starts Envoy and waits for it; clusters, endpoints and routes must be written."""
        command = [find_program("envoy") or "envoy", "-c", str(self.files.bootstrap)]
        command += ["--disable-hot-restart", "--concurrency", "1", "-l", "warn"]
        command += ["--file-flush-interval-msec", "100"]
        self._child = child = Child(command, log=self.files.folder / "envoy.out")

        def is_ready() -> bool:
            child.fail_if_ended()
            return answers(f"{self.admin_url}/ready")

        wait_until(is_ready, what="Envoy")

    def stop(self) -> None:
        """Ends Envoy."""
        if self._child:
            self._child.stop(timeout_s=3)

    @property
    def pid(self) -> int | None:
        """Envoy's process id."""
        return self._child.pid if self._child else None

    def write_endpoints(self, cluster_name: str, ports: Sequence[int]) -> None:
        """Sets the pods of a cluster; waits until Envoy has them, if it knows the cluster."""
        path, version = self.files.endpoints(cluster_name), self._next_version()
        write_resources(path, version, [endpoints(cluster_name, ports)])
        # EDS exposes no version, but the membership itself.
        if cluster_name in self._clusters:
            self._await_stat(rf"^cluster\.{cluster_name}\.membership_total$", str(len(ports)))

    def write_clusters(self, services: Sequence[ServiceSpec]) -> None:
        """Sets the clusters; their endpoints must have been written before."""
        resources = [
            cluster(self.files, service.name, variant)
            for service in services
            for variant in service.variants
        ]
        version = self._next_version()
        write_resources(self.files.clusters, version, resources)
        self._clusters = frozenset(resource["name"] for resource in resources)
        self._await_stat(r"^cluster_manager\.cds\.version_text$", f'"{version}"')

    def write_routes(self, services: Sequence[ServiceSpec]) -> None:
        """Sets hosts, matches, weights and faults."""
        version = self._next_version()
        write_resources(self.files.routes, version, [route_configuration(services)])
        self._await_stat(r"^http\.ingress\.rds\.routes\.version_text$", f'"{version}"')

    def _next_version(self) -> int:
        self._version += 1
        return self._version

    def _await_stat(self, pattern: str, value: str) -> None:
        if not self._child:
            return
        stats = f"{self.admin_url}/stats?filter={pattern.replace(chr(92), '%5C')}"
        wait_until(
            lambda: re.search(rf": {re.escape(value)}$", get(stats).decode(), re.M) is not None,
            what=f"Envoy's {pattern} = {value}",
        )
