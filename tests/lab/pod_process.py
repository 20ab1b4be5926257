"""A pod and the sidecar beside it, as processes that live and die together."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.lab.envoy_config import EnvoyFiles
from tests.lab.http_calls import answers, get_json, put_json
from tests.lab.pod import Behaviour
from tests.lab.processes import Child, PortPool, start_python, wait_until
from tests.lab.prometheus_server import Target
from tests.lab.sidecar import SidecarConfig
from tests.lab.topology import Destination
from tests.lab.truth import read_truth

PODS_JOB = "pods"


class SidecarProcess:
    """A sidecar's process and what one may ask it."""

    def __init__(self, config: SidecarConfig, *, log: Path) -> None:
        """Starts nothing."""
        self._config = config
        self._log = log
        self._url = f"http://127.0.0.1:{config.port}"
        self.child: Child | None = None
        self.is_broken = False

    @property
    def port(self) -> int:
        """Where /metrics is."""
        return self._config.port

    def start(self) -> None:
        """Starts it; its counters begin at zero."""
        self.child = start_python("tests.lab.sidecar", self._config.to_json(), log=self._log)
        self.is_broken = False

    def kill(self) -> None:
        """Ends it at once."""
        if self.child:
            self.child.kill()

    def is_ready(self) -> bool:
        """Whether it answers; raises RuntimeError if it ended."""
        if self.child:
            self.child.fail_if_ended()
        return answers(f"{self._url}/state")

    def state(self) -> dict[str, int]:
        """counted: lines since its start; unscraped: lines that Prometheus has not seen."""
        told: dict[str, int] = get_json(f"{self._url}/state")
        return told

    def break_scrapes(self, broken: bool) -> None:
        """While broken, /metrics answers 500."""
        put_json(f"{self._url}/control", {"broken": broken})
        self.is_broken = broken

    def forget(self) -> None:
        """Its counters begin again, and its process goes on."""
        put_json(f"{self._url}/control", {"forget": True})


class PodProcess:
    """One pod of a variant. Its name, ports and truth outlive its restarts."""

    def __init__(
        self,
        destination: Destination,
        number: int,
        *,
        ports: PortPool,
        folder: Path,
        files: EnvoyFiles,
    ) -> None:
        """Takes ports; starts nothing."""
        self.destination = destination
        self.name = f"{destination.workload}-{number}"
        self.port, self._control_port = ports.take(), ports.take()
        self._truth_file = folder / f"{self.name}.truth"
        self._log = folder / f"{self.name}.out"
        self._child: Child | None = None
        self.behaviour = Behaviour()
        config = SidecarConfig(
            port=ports.take(),
            upstream_log=str(files.upstream_log),
            here=destination,
            pod_address=f"127.0.0.1:{self.port}",
        )
        self.sidecar = SidecarProcess(config, log=folder / f"{self.name}-sidecar.out")

    @property
    def target(self) -> Target:
        """What Prometheus scrapes, with the labels that Kubernetes discovery would give."""
        here = self.destination
        labels = {
            "namespace": here.namespace,
            "pod": self.name,
            "app": here.service,
            "version": here.version,
            "deployment": here.workload,
        }
        return Target(PODS_JOB, self.sidecar.port, labels)

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._child is not None and self._child.is_running

    @property
    def pids(self) -> list[int]:
        """Process ids of the pod and its sidecar."""
        return [child.pid for child in (self._child, self.sidecar.child) if child]

    def start(self) -> None:
        """Starts both, the sidecar first so that it misses nothing."""
        self.sidecar.start()
        self._child = start_python(
            "tests.lab.pod",
            str(self.port),
            str(self._control_port),
            str(self._truth_file),
            json.dumps(asdict(self.behaviour)),
            log=self._log,
        )

    def wait_until_ready(self) -> None:
        """Returns when both answer."""
        wait_until(self.sidecar.is_ready, what=f"sidecar of {self.name}")
        wait_until(self._is_ready, what=self.name)

    def _is_ready(self) -> bool:
        if self._child:
            self._child.fail_if_ended()
        return answers(f"{self._control_url}/truth")

    @property
    def _control_url(self) -> str:
        return f"http://127.0.0.1:{self._control_port}"

    def stop(self) -> None:
        """Ends both with SIGTERM."""
        for child in (self._child, self.sidecar.child):
            if child:
                child.stop(timeout_s=3)

    def kill(self) -> None:
        """Ends both with SIGKILL."""
        for child in (self._child, self.sidecar.child):
            if child:
                child.kill()

    def behave(self, **changed: float) -> None:
        """Changes fields of Behaviour, now and for later restarts."""
        merged = asdict(self.behaviour) | changed
        self.behaviour = Behaviour(**merged)
        if self.is_running:
            put_json(f"{self._control_url}/control", changed)

    def in_flight(self) -> int:
        """Requests that it is still working on."""
        told: dict[str, Any] = get_json(f"{self._control_url}/truth")
        return int(told["in_flight"])

    def truth(self) -> dict[str, int]:
        """What it answered over all its lives: requests per answer."""
        return read_truth(self._truth_file)
