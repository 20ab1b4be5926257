"""What a look of a warm process, and the pull before it, cost as a plan grows.

`python -m benchmarks.look_cost [--pods 40]`: a warehouse of a day of so many pods, scraped every
15 s, each with 6 series of requests and 20 latency edges, two of which restart every hour from the
first half hour on. Looks after 1, 8 and 24 hours and the pull of one more minute, each the median
of five, in CPU seconds; the floor is the look after one hour. Samples come from memory: how they
are read is measured by pull_speed.
Writes benchmarks/RESULTS.md.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.processes import goal_of
from benchmarks.results import Figure, write_results
from flows.formats.time import instant
from flows.ingest.requests.pull_requests import pull_requests
from flows.ingest.sources.samples import Samples, Selector
from flows.look.evaluate import score_experiment
from flows.spec.experiment import Experiment
from flows.warehouse.kept_open import keep_open
from tests.builders.scraped_source import matches

_START_MS, _STEP_MS, _HOURS = 1_760_000_400_000, 15_000, 24
_CODES = ("200", "204", "404", "429", "500", "503")
_EDGES = (
    *("1", "5", "10", "25", "50", "75", "100", "150", "200", "300", "400", "500", "750", "1000"),
    *("1500", "2000", "2500", "5000", "10000", "+Inf"),
)
_RESTARTING = 2
_LOOKS, _AFTER_H = 5, (1, 8, 24)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=40)
    pods = parser.parse_args().pods
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Path(folder) / "warehouse.duckdb"
        with keep_open(warehouse):
            end_ms = _START_MS + _HOURS * 3_600_000
            pull_requests(_spec(), Scraped(pods), warehouse, until_ms=end_ms)
            costs = {hours: _look(warehouse, hours) for hours in _AFTER_H}
        pull = _minutes_pull(warehouse, Scraped(pods), end_ms)
    first = costs[_AFTER_H[0]]
    name = f"a look at {pods} pods of {len(_CODES) + len(_EDGES)} series"
    write_results(
        [goal_of(f"{name}, after {_AFTER_H[0]} h", first, 0.06)]
        + [
            Figure(f"{name}, after {hours} h", costs[hours], "s", "", first, "after 1 h")
            for hours in _AFTER_H[1:]
        ]
        + [Figure(f"{name}, the pull of a minute before it", pull, "s", "")]
    )


def _look(warehouse: Path, hours: int) -> float:
    """The median CPU seconds of looks that end so many hours after the start."""
    costs = []
    for minute in range(_LOOKS + 1):
        at = instant(_START_MS) + timedelta(hours=hours, minutes=minute - _LOOKS)
        began = time.process_time()
        score_experiment(_spec(), warehouse, at=at)
        costs.append(time.process_time() - began)
    return statistics.median(costs[1:])


def _minutes_pull(warehouse: Path, source: Scraped, end_ms: int) -> float:
    """The median CPU seconds of pulls a minute after the other, the warehouse opened for each."""
    costs = []
    for minute in range(1, _LOOKS + 1):
        began = time.process_time()
        with keep_open(warehouse):
            pull_requests(_spec(), source, warehouse, until_ms=end_ms + minute * 60_000)
        costs.append(time.process_time() - began)
    return statistics.median(costs)


@dataclass(frozen=True, slots=True)
class Scraped:
    """A source of samples that are computed: every pod has 40 requests a second."""

    pods: int

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """As SampleSource has it."""
        first = max(0, start_ms // _STEP_MS * _STEP_MS - _START_MS + _STEP_MS) // _STEP_MS
        last = (end_ms - _START_MS) // _STEP_MS
        at = np.arange(first, last + 1)
        chosen = [
            (labels, self._values(labels, at))
            for labels in self._series()
            if any(matches(selector, labels) for selector in selectors)
        ]
        return Samples(
            tuple(labels for labels, _ in chosen),
            np.arange(len(chosen) + 1) * len(at),
            np.tile(_START_MS + at * _STEP_MS, len(chosen)),
            np.concatenate([np.zeros(0), *(values for _, values in chosen)]),
        )

    def metric_names(self) -> Sequence[str]:
        """As SampleSource has it."""
        return sorted({labels["__name__"] for labels in self._series()})

    def _series(self) -> Iterator[Mapping[str, str]]:
        for pod in range(self.pods):
            target = {
                "pod": f"p{pod}",
                "instance": f"10.0.0.{pod}:15020",
                "job": "mesh",
                "reporter": "destination",
                "destination_service_name": "shop",
                "destination_service_namespace": "prod",
                "destination_workload": "shop",
                "destination_version": f"v{1 + pod % 2}",
            }
            yield {"__name__": "up"} | target
            for code in _CODES:
                yield {"__name__": "istio_requests_total", "response_code": code} | target
            for le in _EDGES:
                name = "istio_request_duration_milliseconds_bucket"
                yield {"__name__": name, "response_code": "200", "le": le} | target

    @staticmethod
    def _values(labels: Mapping[str, str], at: Any) -> Any:
        if labels["__name__"] == "up":
            return np.ones(len(at))
        if "le" in labels:
            share = 1 - 1 / (2 + _EDGES.index(labels["le"])) if labels["le"] != "+Inf" else 1.0
        else:
            share = 1.0 if labels["response_code"] == "200" else 0.002
        if int(labels["pod"][1:]) < _RESTARTING:
            at = (at + 120) % 240
        return np.floor(at * 600 * share)


def _spec() -> Experiment:
    return Experiment.model_validate(
        {
            "experiment": "look-cost",
            "service": "shop",
            "namespace": "prod",
            "mesh": "istio",
            "variants": {"stable": {"version": "v1"}, "canary": {"version": "v2"}},
            "split": {"stable": 50, "canary": 50},
            "plan": {"start": instant(_START_MS), "duration": f"{_HOURS + 1}h"},
            "sources": {"requests": {"prometheus": "http://127.0.0.1:9090"}},
        }
    )


if __name__ == "__main__":
    main()
