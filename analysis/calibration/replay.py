"""Replays: many runs of a plan on its own history, with and without harm, by every judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.calibration.bursts import bursts_of_cells, bursts_of_metrics
from analysis.calibration.history import LATENCY, History
from analysis.calibration.injections import (
    NO_HARM,
    Injection,
    counts_of,
    error_injections,
    expected_harm,
    latency_injections,
)
from analysis.calibration.judges import Judge, Runs, Setting, decide
from analysis.calibration.outcome import Decisions, Outcome
from analysis.calibration.resample import draw_timeline, thin
from analysis.plan import MetricPlan, Plan
from analysis.requests.bucket_counts import BucketCounts

# Cells of an array that a group of runs may have: keeps memory small and progress visible.
_MOST_CELLS = 400_000
_MOST_RUNS = 100
# A harm of one margin is exactly at the margin, whatever rounding says.
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Replay:
    """What is to be replayed.

    slow_edges: by metric that counts slow requests, the edge in milliseconds at which it does;
        None where no edge is known. All other metrics count failures, or are signals of the
        history.
    seed: the same seed gives the same runs, however many there are.
    """

    history: History
    setting: Setting
    slow_edges: Mapping[str, float | None]
    seed: int

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the plan's metrics."""
        return tuple(metric.name for metric in self.setting.plan.metrics)

    @property
    def deciding(self) -> tuple[MetricPlan, ...]:
        """The metrics that roll back; harm is what is beyond their margins."""
        return tuple(metric for metric in self.setting.plan.metrics if metric.role.decides)

    @property
    def bursts(self) -> dict[str, float]:
        """By metric, in bursts of which size its bad requests come."""
        names = tuple(metric.name for metric in self.deciding)
        return bursts_of_metrics(self.history, names, self.slow_edges)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of harm: how large it is by metric, and how every judge dealt with it.

    harm, margin: by metric, shares of requests.
    """

    injection: Injection
    harm: Mapping[str, float]
    margin: Mapping[str, float]
    outcomes: Mapping[Judge, Outcome]

    @property
    def excess(self) -> float:
        """The largest harm beyond a margin: from 0 on a promote is wrong, up to 0 a rollback."""
        over = (round(self.harm[name] - self.margin[name], _DIGITS) for name in self.harm)
        return max(over, default=0.0)


def looks_of(plan: Plan, most: int) -> IntArray:
    """When one looks, from the plan's start at 0: whole buckets, at most so many looks.

    Of more looks some are taken, dense at first and then at a constant ratio, so that a time is
    known to about a tenth of it.
    """
    end = plan.last_look_ms - plan.start_ms
    every = np.arange(plan.look_every_ms, end + 1, plan.look_every_ms) // plan.bucket_ms
    looks = np.unique(np.append(every * plan.bucket_ms, end)).astype(np.int64)
    looks = looks[looks > 0]
    if looks.size <= most:
        return looks
    return looks[np.unique(np.geomspace(1, looks.size, most).round().astype(np.int64)) - 1]


def injections_of(replay: Replay) -> tuple[Injection, ...]:
    """No harm first, then every kind of harm that a metric of the plan looks for."""
    found: tuple[Injection, ...] = (NO_HARM,)
    counts_failures = [m.name for m in replay.deciding if m.name not in replay.slow_edges]
    if counts_failures:
        margins = _margins(replay)
        found += error_injections(min(margins[name] for name in counts_failures))
    if any(replay.slow_edges.get(metric.name) is not None for metric in replay.deciding):
        found += latency_injections(replay.history)
    return found


def groups_of(replay: Replay, runs: int) -> Iterator[range]:
    """The runs in groups that fit into memory."""
    plan = replay.setting.plan
    cells = plan.planned_buckets * len(plan.metrics)
    size = max(1, min(_MOST_RUNS, _MOST_CELLS // cells))
    for first in range(0, runs, size):
        yield range(first, min(first + size, runs))


def simulate(replay: Replay, injection: Injection, group: range) -> Runs:
    """Runs of the plan in which the first candidate has this harm, the others none.

    A run has the same timeline and the same division whatever the harm is.
    """
    bursts = bursts_of_cells(replay.history, replay.metrics, replay.slow_edges)
    drawn = [_one_run(replay, injection, run, bursts) for run in group]
    plan = replay.setting.plan
    names = (plan.baseline, *plan.candidates)
    return Runs(
        requests={
            name: np.array([cells[i][:, :LATENCY].sum(axis=1) for cells, _ in drawn], dtype=float)
            for i, name in enumerate(names)
        },
        counts={
            name: BucketCounts(
                np.array([counts[i].total for _, counts in drawn]),
                np.array([counts[i].bad for _, counts in drawn]),
            )
            for i, name in enumerate(names)
        },
    )


def is_seen(replay: Replay, injection: Injection) -> bool:
    """Whether the harm changes any count; if not, its runs are those without harm."""
    return any(
        expected_harm(injection, replay.history, replay.slow_edges, name) != 0
        for name in replay.metrics
    )


def judge_runs(replay: Replay, injection: Injection, group: range) -> dict[Judge, Decisions]:
    """What every judge decides in these runs."""
    runs = simulate(replay, injection, group)
    return {judge: decide(judge, replay.setting, runs) for judge in Judge}


def summarise(
    replay: Replay, injection: Injection, parts: list[dict[Judge, Decisions]]
) -> Scenario:
    """The scenario from the decisions of all its groups."""
    return Scenario(
        injection=injection,
        harm={
            metric.name: expected_harm(injection, replay.history, replay.slow_edges, metric.name)
            for metric in replay.deciding
        },
        margin=_margins(replay),
        outcomes={
            judge: Outcome.of(Decisions.joined([part[judge] for part in parts])) for judge in Judge
        },
    )


def _margins(replay: Replay) -> dict[str, float]:
    """By metric, the harm that is allowed at the history's share of bad requests."""
    margins = {}
    for metric in replay.deciding:
        base = _base_share(replay, metric.name)
        margins[metric.name] = metric.allowed_harm.absolute + metric.allowed_harm.relative * base
    return margins


def _base_share(replay: Replay, metric: str) -> float:
    history = replay.history
    if metric not in replay.slow_edges:
        return history.failed_share
    edge, total = replay.slow_edges[metric], history.latency.sum()
    if edge is None or not total:
        return 0.0
    return float(history.latency[:, history.edges_ms > edge].sum() / total)


def _one_run(
    replay: Replay, injection: Injection, run: int, bursts: FloatArray
) -> tuple[IntArray, tuple[BucketCounts, ...]]:
    """One run's cells by variant, and what the metrics count of each."""
    plan, history = replay.setting.plan, replay.history
    rng = np.random.default_rng([replay.seed, run])
    timeline = draw_timeline(rng, len(history.good), plan.planned_buckets)
    cells = thin(rng, history.cells[timeline], _shares(plan), bursts)
    counts = tuple(
        counts_of(
            rng, each, injection if i == 1 else NO_HARM, history, replay.metrics, replay.slow_edges
        )
        for i, each in enumerate(cells)
    )
    return cells, counts


def _shares(plan: Plan) -> FloatArray:
    """Configured share of each variant in each bucket; equal where none is configured.

    float64[buckets, variants].
    """
    names = (plan.baseline, *plan.candidates)
    starts = plan.start_ms + np.arange(plan.planned_buckets) * plan.bucket_ms
    stage = np.searchsorted([s.start_ms for s in plan.stages], starts, "right") - 1
    rows = [
        [s.shares.get(name, 0.0) if s.shares else 1 / len(names) for name in names]
        for s in plan.stages
    ]
    return np.array(rows)[stage]
