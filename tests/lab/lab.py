"""The whole lab: services behind a real Envoy, scraped by a real Prometheus, under load."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from tests.lab.fleet import Fleet, await_answers, await_scrapes
from tests.lab.gateway import Gateway, gateway_jobs
from tests.lab.load_plan import Crowd, LoadPlan, LoadResult, Profile
from tests.lab.load_run import LoadRun
from tests.lab.pod_process import PODS_JOB, PodProcess
from tests.lab.processes import PortPool, wait_until
from tests.lab.prometheus_server import Job, PrometheusServer, Target
from tests.lab.topology import (
    DEFAULT_ROUTE,
    FaultSpec,
    ServiceSpec,
    VariantSpec,
)


class Lab:
    """A context manager; every process ends with it, or with the thread that entered it.

    Use from one thread. Times are real: a call that changes Envoy returns when Envoy obeys.
    """

    def __init__(
        self,
        services: Sequence[ServiceSpec],
        *,
        scrape_interval_s: float = 1.0,
        folder: Path | None = None,
        seed: int = 1,
    ) -> None:
        """folder: where logs, truth and Prometheus' data go and stay; else a temporary one."""
        self._services = {service.name: service for service in services}
        self.scrape_interval_s = scrape_interval_s
        self._kept_folder = folder
        self._seed = seed
        self._exit = ExitStack()

    def __enter__(self) -> Lab:
        """Starts everything and waits until each target was scraped (about 6 s)."""
        try:
            self._make_folders()
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends every process."""
        self._exit.close()

    def _make_folders(self) -> None:
        self.folder = self._kept_folder or Path(tempfile.mkdtemp(prefix="traffic-lab-"))
        if self._kept_folder is None:
            self._exit.callback(shutil.rmtree, self.folder, ignore_errors=True)
        for name in ("envoy", "prometheus", "pods", "load"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)

    def _start(self) -> None:
        """Prometheus first: it takes up targets only every five seconds."""
        ports = PortPool()
        self.prometheus = PrometheusServer(
            self.folder / "prometheus",
            port=ports.take(),
            scrape_interval_s=self.scrape_interval_s,
            jobs=[Job(PODS_JOB), *gateway_jobs(self.services)],
        )
        self._exit.callback(self.prometheus.kill)
        self.prometheus.start()
        flush_s = self.scrape_interval_s / 2
        self.gateway = Gateway(self.folder / "envoy", ports, stats_flush_s=flush_s)
        self._exit.callback(self.gateway.stop)
        self.fleet = Fleet(self.folder / "pods", self.gateway.envoy, ports)
        self._exit.callback(self.fleet.kill)
        for service in self.services:
            self.fleet.start(service, service.variants)
        self.gateway.start(self.services)
        self._scrape(self.fleet.pods, [*self.gateway.targets])

    def _scrape(self, pods: Sequence[PodProcess], others: Sequence[Target] = ()) -> None:
        """Returns when each was scraped once."""
        for pod in pods:
            pod.wait_until_ready()
        targets = [*others, *(pod.target for pod in pods)]
        self.prometheus.add_targets(*targets)
        wait_until(
            lambda: all(self.prometheus.is_up(one.job, one.port) for one in targets),
            what=f"{len(targets)} targets to be scraped",
            timeout_s=30 + 2 * self.scrape_interval_s,
            every_s=0.1,
        )

    @property
    def prometheus_url(self) -> str:
        """Address of Prometheus' HTTP API."""
        return self.prometheus.url

    @property
    def gateway_url(self) -> str:
        """Address of Envoy; the Host header chooses the service."""
        return self.gateway.envoy.url

    @property
    def services(self) -> list[ServiceSpec]:
        """The services as they are now, with their present weights."""
        return list(self._services.values())

    def service(self, name: str) -> ServiceSpec:
        """The service as it is now, with its present weights."""
        return self._services[name]

    def pods(self, service: str, target: str | None = None) -> list[PodProcess]:
        """The pods of a service, of one variant, or the one of that name; or ValueError."""
        return self.fleet.find(service, target)

    def truth(self, service: str) -> dict[tuple[str, str, str], int]:
        """What the pods answered since the start: requests per (variant, pod, answer)."""
        return {
            (pod.destination.variant, pod.name, answer): count
            for pod in self.fleet.find(service)
            for answer, count in pod.truth().items()
        }

    def set_weights(
        self, service: str, weights: Mapping[str, int], *, route: str = DEFAULT_ROUTE
    ) -> None:
        """Splits a route's traffic anew; the weights must sum to 100."""
        self._change(self._services[service].with_weights(route, weights))

    def set_fault(self, service: str, fault: FaultSpec) -> None:
        """Lets Envoy inject faults from now on."""
        self._change(replace(self._services[service], fault=fault))

    def end_faults(self, service: str) -> None:
        """No route injects faults any more."""
        known = self.service(service)
        routes = [replace(one, fault=None) for one in known.routes]
        self._change(replace(known, routes=routes, fault=FaultSpec()))

    def _change(self, service: ServiceSpec) -> None:
        self._services[service.name] = service
        self.gateway.envoy.write_routes(self.services)

    def add_variant(self, service: str, variant: VariantSpec) -> None:
        """Starts the pods of a new variant, which gets nothing until set_weights says so.

        Returns when Prometheus has scraped them (5 to 10 s).
        """
        old = self._services[service]
        new = replace(old, variants=[*old.variants, replace(variant, weight=0)])
        self._services[service] = new
        pods = self.fleet.start(new, [variant])
        for pod in pods:
            pod.wait_until_ready()
        self.gateway.configure(self.services)
        self._scrape(pods)

    def set_behaviour(self, service: str, target: str | None = None, **changed: float) -> None:
        """Changes fields of pod.Behaviour in a variant, in one pod, or in the whole service."""
        for pod in self.fleet.find(service, target):
            pod.behave(**changed)

    def restart_pod(self, service: str, pod: str, *, graceful: bool) -> None:
        """Restarts a pod and its sidecar, whose counters begin again.

        Gracefully it gets no more requests, and Prometheus sees its last counts before it ends.
        Otherwise it is killed: what was not scraped is lost to everybody but the truth.
        """
        one = self.fleet.find_one(service, pod)
        self.fleet.restart(one, graceful=graceful, scrape_interval_s=self.scrape_interval_s)

    def take_out(self, service: str, pod: str) -> None:
        """The pod leaves the endpoints, and goes on."""
        self.fleet.take_out(self.fleet.find_one(service, pod))

    def kill_pod(self, service: str, pod: str) -> None:
        """Ends a pod and its sidecar at once; Envoy still sends requests there."""
        self.fleet.find_one(service, pod).kill()

    def break_scrapes(self, service: str, pod: str) -> None:
        """From now on Prometheus' scrapes of the pod fail; counting goes on."""
        self.fleet.find_one(service, pod).sidecar.break_scrapes(True)

    def heal_scrapes(self, service: str, pod: str) -> None:
        """Ends break_scrapes."""
        self.fleet.find_one(service, pod).sidecar.break_scrapes(False)

    def forget_counters(self, service: str, pod: str) -> None:
        """The pod's proxy drops its series, which begin again: no process restarts.

        What was not scraped is lost; while the service is idle, nothing is.
        """
        sidecar = self.fleet.find_one(service, pod).sidecar
        await_scrapes([sidecar], self.scrape_interval_s)
        sidecar.forget()

    def settle(self) -> None:
        """Returns when Prometheus has seen all that happened, but for pods that are down."""
        running = [pod for pod in self.fleet.pods if pod.is_running]
        await_answers(running)
        sidecars = [pod.sidecar for pod in running if not pod.sidecar.is_broken]
        await_scrapes([*sidecars, self.gateway.sidecar], self.scrape_interval_s)
        # Envoy's histograms are as old as its flush; then comes its scrape.
        time.sleep(1.5 * self.scrape_interval_s + 0.2)

    def start_load(
        self, seconds: float, *, profiles: Sequence[Profile] = (), crowds: Sequence[Crowd] = ()
    ) -> LoadRun:
        """Starts the generator; its result comes from `wait`."""
        self._seed += 1
        folder = self.folder / "load" / str(self._seed)
        plan = LoadPlan(self.gateway.port, seconds, self._seed, str(folder), profiles, crowds)
        run = LoadRun(plan)
        self._exit.callback(run.kill)
        return run

    def drive(
        self, rate: float, seconds: float, *, services: Sequence[str] | None = None
    ) -> LoadResult:
        """Sends plain requests at a rate per second, shared evenly by the services, and waits."""
        hosts = list(self._services) if services is None else services
        profiles = [Profile(host, rate / len(hosts)) for host in hosts]
        return self.start_load(seconds, profiles=profiles).wait()

    def pids(self) -> dict[str, list[int]]:
        """Process ids by role, to measure what the lab costs."""
        sidecar = self.gateway.sidecar.child
        servers = {
            "envoy": self.gateway.envoy.pid,
            "prometheus": self.prometheus.pid,
            "gateway": sidecar.pid if sidecar else None,
        }
        pods = [pod.pids for pod in self.fleet.pods]
        of_pods = {"pods": [one[0] for one in pods], "sidecars": [one[1] for one in pods]}
        return {role: [pid] for role, pid in servers.items() if pid} | of_pods
