"""A service whose counters of users are scraped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flows.formats.time import milliseconds_of
from flows.ingest.users.conversion_counters import pull_conversions
from flows.ingest.users.pull_report import ConversionPull
from flows.spec.experiment import Experiment
from tests.builders.scraped_source import ScrapedSource
from tests.builders.user_specs import START, spec_of

SCRAPE = 15_000
BEGIN = milliseconds_of(START)


def counter_spec(**changes: Any) -> Experiment:
    conversions = {"prometheus": {"url": "http://localhost:9090"}, "metric": "quiz_users_total"}
    metrics = {"done": {"kind": "proportion", "outcome": "finished"}}
    plan = {"start": START.isoformat(), "duration": "6h"}
    fields = {"metrics": metrics, "plan": plan, **changes}
    return spec_of({"conversions": conversions}, **fields)


class Service:
    """A service's counters, scraped every 15 s; counts are what a scrape sees."""

    def __init__(self) -> None:
        self.source = ScrapedSource()
        self.now_ms = BEGIN - 20 * SCRAPE
        self.started_s = self.now_ms // 1000 - 3600

    def scrape(self, counts: dict[tuple[str, str], float], *, times: int = 1, up: int = 1) -> None:
        for _ in range(times):
            self._add("up", up)
            if up:
                self._add("process_start_time_seconds", self.started_s)
                for (variant, outcome), value in counts.items():
                    labels = {"experiment": "quiz", "variant": variant, "outcome": outcome}
                    self._add("quiz_users_total", value, **labels)
            self.now_ms += SCRAPE

    def restart(self) -> None:
        self.started_s = self.now_ms // 1000 - 5

    def _add(self, name: str, value: float, **labels: str) -> None:
        where = {"__name__": name, "job": "quiz", "instance": "quiz:8080"}
        self.source.add({**where, **labels}, {self.now_ms: value})


def pull(service: Service, folder: Path, spec: Experiment | None = None) -> ConversionPull:
    return pull_conversions(
        spec or counter_spec(), service.source, folder / "w.duckdb", until_ms=service.now_ms
    )
