"""The pods of all services, and the endpoints through which Envoy knows them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tests.lab.envoy_server import EnvoyServer
from tests.lab.pod_process import PodProcess, SidecarProcess
from tests.lab.processes import PortPool, wait_until
from tests.lab.topology import Destination, ServiceSpec, VariantSpec, workload

# Envoy's log reaches its file within 0.1 s.
_LOG_FLUSH_S = 0.25


class Fleet:
    """Starts, finds, drains and ends pods."""

    def __init__(self, folder: Path, envoy: EnvoyServer, ports: PortPool) -> None:
        """No pod yet."""
        self._folder = folder
        self._envoy = envoy
        self._ports = ports
        self._pods: dict[str, PodProcess] = {}

    def start(self, service: ServiceSpec, variants: Sequence[VariantSpec]) -> list[PodProcess]:
        """Starts the pods of these variants and tells Envoy's files of them; doesn't wait."""
        started = [
            self._start_pod(service, variant, number)
            for variant in variants
            for number in range(variant.pods)
        ]
        for variant in variants:
            self._write_endpoints(service.name, variant.name)
        return started

    def _start_pod(self, service: ServiceSpec, variant: VariantSpec, number: int) -> PodProcess:
        here = Destination(
            service.name, service.namespace, variant.name, variant.version, service.tags
        )
        files = self._envoy.files
        pod = PodProcess(here, number, ports=self._ports, folder=self._folder, files=files)
        pod.start()
        self._pods[pod.name] = pod
        return pod

    @property
    def pods(self) -> list[PodProcess]:
        """All of them, whether they run or not."""
        return list(self._pods.values())

    def find(self, service: str, target: str | None = None) -> list[PodProcess]:
        """The pods of a service: of one variant, the one of that name, or all.

        Raises ValueError if there is none.
        """
        found = [
            pod
            for pod in self._pods.values()
            if pod.destination.service == service
            and target in {None, pod.destination.variant, pod.name}
        ]
        if not found:
            raise ValueError(f"{service} has no variant or pod {target}")
        return found

    def find_one(self, service: str, pod: str) -> PodProcess:
        """The pod of that name; raises ValueError."""
        (found,) = self.find(service, pod)
        return found

    def restart(self, pod: PodProcess, *, graceful: bool, scrape_interval_s: float) -> None:
        """Restarts it; gracefully with its last counts scraped before it ends."""
        if graceful:
            self._drain(pod, scrape_interval_s)
            pod.stop()
        else:
            pod.kill()
        pod.start()
        pod.wait_until_ready()
        if graceful:
            self._write_endpoints(pod.destination.service, pod.destination.variant)

    def take_out(self, pod: PodProcess) -> None:
        """Envoy sends no more requests there."""
        self._write_endpoints(pod.destination.service, pod.destination.variant, without=pod)

    def _drain(self, pod: PodProcess, scrape_interval_s: float) -> None:
        here = pod.destination
        self._write_endpoints(here.service, here.variant, without=pod)
        await_answers([pod])
        await_scrapes([pod.sidecar], scrape_interval_s)

    def _write_endpoints(
        self, service: str, variant: str, *, without: PodProcess | None = None
    ) -> None:
        ports = [pod.port for pod in self.find(service, variant) if pod is not without]
        self._envoy.write_endpoints(workload(service, variant), ports)

    def kill(self) -> None:
        """Ends every pod at once."""
        for pod in self._pods.values():
            pod.kill()


def await_answers(pods: Sequence[PodProcess]) -> None:
    """Returns when the pods work on nothing more, and Envoy's log says so."""
    wait_until(lambda: not any(pod.in_flight() for pod in pods), what="the last answers")
    time.sleep(_LOG_FLUSH_S)


def await_scrapes(sidecars: Sequence[SidecarProcess], scrape_interval_s: float) -> None:
    """Returns when Prometheus has scraped all that the sidecars have counted."""
    wait_until(
        lambda: not any(one.state()["unscraped"] for one in sidecars),
        what="Prometheus to scrape the last counts",
        timeout_s=10 + 3 * scrape_interval_s,
    )
