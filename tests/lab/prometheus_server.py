"""A real Prometheus that scrapes the lab."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import find_program
from tests.lab.http_calls import answers, get_json
from tests.lab.processes import Child, wait_until


@dataclass(frozen=True, slots=True)
class Target:
    """Something to scrape, with the labels that service discovery would add."""

    job: str
    port: int
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Job:
    """Scrape settings that the targets of one kind share."""

    name: str
    path: str = "/metrics"
    query: Mapping[str, str] | None = None


class PrometheusServer:
    """Prometheus with a configuration, targets from files and a data folder of its own."""

    def __init__(
        self, folder: Path, *, port: int, scrape_interval_s: float, jobs: list[Job]
    ) -> None:
        """Writes the configuration into an empty folder; starts nothing."""
        self.url = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._port = port
        self._targets: list[Target] = []
        self._jobs = jobs
        self._child: Child | None = None
        interval = f"{round(scrape_interval_s * 1000)}ms"
        config = {
            "global": {"scrape_interval": interval, "scrape_timeout": interval},
            "scrape_configs": [self._scrape_config(job) for job in jobs],
        }
        # JSON is YAML.
        self._config.write_text(json.dumps(config, indent=1))
        self._write_targets()

    @property
    def _config(self) -> Path:
        return self._folder / "prometheus.yml"

    def _targets_file(self, job: Job) -> Path:
        return self._folder / f"targets-{job.name}.json"

    def _scrape_config(self, job: Job) -> dict[str, Any]:
        return {
            "job_name": job.name,
            "metrics_path": job.path,
            "params": {name: [value] for name, value in (job.query or {}).items()},
            "file_sd_configs": [
                {"files": [str(self._targets_file(job))], "refresh_interval": "1s"}
            ],
        }

    def add_targets(self, *targets: Target) -> None:
        """Adds to what is scraped; a running server takes it up within a second or so."""
        self._targets.extend(targets)
        self._write_targets()

    def remove_target(self, job: str, port: int) -> None:
        """No longer scrapes it."""
        self._targets = [one for one in self._targets if (one.job, one.port) != (job, port)]
        self._write_targets()

    def _write_targets(self) -> None:
        for job in self._jobs:
            groups = [
                {"targets": [f"127.0.0.1:{one.port}"], "labels": dict(one.labels)}
                for one in self._targets
                if one.job == job.name
            ]
            path = self._targets_file(job)
            # The partial file's name must not look like one of the target files.
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(groups))
            partial.rename(path)

    def start(self) -> None:
        """Starts, or starts again on the same data, and waits until it is ready."""
        command = [find_program("prometheus") or "prometheus", f"--config.file={self._config}"]
        command += [f"--storage.tsdb.path={self._folder / 'data'}"]
        command += [f"--web.listen-address=127.0.0.1:{self._port}", "--log.level=warn"]
        # New targets are then scraped within 5 s instead of 10.
        command += ["--storage.tsdb.retention.time=1d", "--scrape.discovery-reload-interval=200ms"]
        self._child = child = Child(command, log=self._folder / "prometheus.out")

        def is_ready() -> bool:
            child.fail_if_ended()
            return answers(f"{self.url}/-/ready")

        wait_until(is_ready, what="Prometheus")

    def stop(self) -> None:
        """Ends it orderly; data is kept."""
        if self._child:
            self._child.stop()

    def kill(self) -> None:
        """Ends it with SIGKILL; data is kept as far as its write-ahead log goes."""
        if self._child:
            self._child.kill()

    @property
    def pid(self) -> int | None:
        """Prometheus' process id."""
        return self._child.pid if self._child else None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The result of an instant query, now."""
        answer = get_json(f"{self.url}/api/v1/query", {"query": expression})
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def raw_samples(
        self, selector: str, *, end_s: float, seconds: float
    ) -> list[tuple[dict[str, str], list[int], list[float]]]:
        """Every sample as scraped: (labels, milliseconds, values) per series.

        Raises ValueError if the server warns or the series hold native histograms.
        """
        query = {"query": f"{selector}[{round(seconds)}s]", "time": f"{end_s:.3f}"}
        answer = get_json(f"{self.url}/api/v1/query", query, timeout_s=120)
        if answer.get("warnings"):
            raise ValueError(f"{selector}: {answer['warnings']}")
        return [
            (
                series["metric"],
                [round(seconds * 1000) for seconds, _ in series["values"]],
                [float(value) for _, value in series["values"]],
            )
            for series in answer["data"]["result"]
        ]

    def is_up(self, job: str, port: int) -> bool:
        """Whether the last scrape of a target worked."""
        found = self.query(f'up{{job="{job}",instance="127.0.0.1:{port}"}}')
        return bool(found) and found[0]["value"][1] == "1"
