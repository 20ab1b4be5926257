"""The last run of the pipeline as Prometheus metrics: how long it took, and what failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dashboards.gauges import gauge, labels_of

HELP = {
    "run_timestamp_seconds": "Time at which the last run ended",
    "run_duration_seconds": "How long the last run took",
    "run_experiments": "Experiments of the last run",
    "run_failed": "1 for an experiment, or a step, of the last run that failed",
    "warehouse_size_bytes": "Size of the warehouse's file",
    "warehouse_wait_seconds": "How long the last run waited for its turn at the warehouse",
}


@dataclass(frozen=True, slots=True)
class PipelineRun:
    """One run, however it ended.

    ended_s: seconds since the epoch. failed: experiments and steps ("publish") by name.
    waited_s: for the warehouse, while others held it.
    """

    ended_s: float
    duration_s: float
    experiments: int
    failed: tuple[str, ...]
    warehouse_bytes: int
    waited_s: float


def render_run(run: PipelineRun) -> str:
    """The text format."""
    return "".join(
        gauge(f"split_verdict_{name}", HELP[name], samples) for name, samples in _families(run)
    )


def _families(run: PipelineRun) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    yield "run_timestamp_seconds", [("", run.ended_s)]
    yield "run_duration_seconds", [("", run.duration_s)]
    yield "run_experiments", [("", float(run.experiments))]
    failed = {labels_of({"experiment": name}) for name in run.failed}
    yield "run_failed", [(labels, 1.0) for labels in failed]
    yield "warehouse_size_bytes", [("", float(run.warehouse_bytes))]
    yield "warehouse_wait_seconds", [("", run.waited_s)]
