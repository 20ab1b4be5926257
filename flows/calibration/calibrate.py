"""Replays an experiment's own baseline history, to say what its gate can see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.calibration.history import History
from analysis.calibration.injections import NO_HARM
from analysis.calibration.judges import Judge, Setting
from analysis.calibration.outcome import Decisions
from analysis.calibration.replay import (
    Replay,
    Scenario,
    groups_of,
    injections_of,
    is_seen,
    judge_runs,
    looks_of,
    summarise,
)
from analysis.plan import Plan
from flows.calibration.calibrate_users import calibrate_users, history_document, notes_on_users
from flows.calibration.calibration_document import CalibrationDocument
from flows.calibration.known_users import LEAST_USERS, read_users
from flows.calibration.request_history import (
    ALL_KNOWN,
    CannotCalibrate,
    Period,
    candidates_share,
    read_history,
)
from flows.formats.time import milliseconds
from flows.look.bad_kinds import rule_of
from flows.plan.from_spec import limits_of, plan_of
from flows.spec.experiment import Experiment
from flows.spec.metrics import ErrorShare, SlowShare
from flows.spec.signals import BaselineEdge, default_signals
from flows.warehouse.connection import open_reader

DEFAULT_RUNS = 500
DEFAULT_SEED = 1
_MOST_LOOKS = 60
# The guide's gate, where a metric has no objective: success rate >= 0.95, p99 <= the bound.
_FAILED = 0.05
_SLOW = 0.01
# Less than that of the traffic doesn't change what can be seen.
_MUCH_TRAFFIC = 0.05

Progress = Callable[[int, int], None]


def calibrate(
    spec: Experiment,
    warehouse: Path,
    *,
    runs: int = DEFAULT_RUNS,
    seed: int = DEFAULT_SEED,
    period: Period = ALL_KNOWN,
    progress: Progress = lambda done, total: None,
) -> CalibrationDocument:
    """How the gate of an experiment does on its baseline's history, without and with harm.

    runs: of each scenario. period: which history is replayed. progress: called with runs done and
    runs in all.
    Raises CannotCalibrate where too little is known of requests, or of users if only they count;
    WarehouseBusy or WarehouseUnusable.
    """
    _check_replayed(spec)
    whole = replace(plan_of(spec, start_ms=0), cohorts=())
    planned = looks_of(whole, whole.planned_buckets)
    with open_reader(warehouse) as con:
        history = read_history(con, spec, period) if spec.request_metrics else None
        elsewhere = candidates_share(con, spec, history) if history else 0.0
        known = read_users(con, spec, period) if spec.user_metrics else None
    users = (
        ()
        if known is None
        else calibrate_users(spec, whole, known, runs=runs, seed=seed, progress=progress)
    )
    user_history = history_document(known) if known is not None and users else None
    user_notes = tuple(notes_on_users(spec, whole, known))
    if history is None and user_history is None:
        raise CannotCalibrate(
            f"{spec.experiment}: fewer than {LEAST_USERS} users with a final value are "
            f"known{period}; pull first, or calibrate when it has run for longer"
        )
    replayed = _replay(spec, whole, history, seed) if history else None
    notes = (*_notes(spec, replayed), *_traffic_note(elsewhere)) if replayed else ()
    return CalibrationDocument.of(
        spec,
        replayed,
        _scenarios(replayed, runs, progress) if replayed else (),
        runs=runs,
        seed=seed,
        plan_s=whole.end_ms / 1000,
        planned_looks=len(planned),
        notes=(*notes, *user_notes),
        users=users,
        user_history=user_history,
    )


def _replay(spec: Experiment, whole: Plan, history: History, seed: int) -> Replay:
    """What of the plan can be replayed: what failed, what was slow, and signals of these kinds."""
    edges = _slow_edges(spec, history)
    names = {*_replayed(spec), *history.signals, *edges, *_failures(spec)}
    kept = sorted((m for m in whole.metrics if m.name in names), key=lambda m: not m.role.decides)
    plan = replace(whole, metrics=tuple(kept))
    finite = int(np.isfinite(history.edges_ms).sum())
    choices = {m.name: finite for m in plan.metrics if m.baseline_quantile is not None}
    looks = looks_of(plan, _MOST_LOOKS)
    setting = Setting(plan, limits_of(spec), looks, _thresholds(spec), choices)
    return Replay(history, setting, edges, seed)


def _scenarios(replayed: Replay, runs: int, progress: Progress) -> tuple[Scenario, ...]:
    """Every scenario; one whose harm no metric counts has the runs without harm."""
    injections = injections_of(replayed)
    seen = {item: item is NO_HARM or is_seen(replayed, item) for item in injections}
    unharmed: list[dict[Judge, Decisions]] = []
    scenarios, done = [], 0
    for injection in injections:
        parts = [] if seen[injection] else unharmed
        for group in groups_of(replayed, runs) if seen[injection] else ():
            parts.append(judge_runs(replayed, injection, group))
            done += len(group)
            progress(done, runs * sum(seen.values()))
        unharmed = parts if injection is NO_HARM else unharmed
        scenarios.append(summarise(replayed, injection, parts))
    return tuple(scenarios)


def _slow_edges(spec: Experiment, history: History) -> dict[str, float | None]:
    """By metric of slow requests its edge; also by latency signal, where no metric has the same."""
    said = {
        name: history.edge_at(milliseconds(metric.above))
        for name, metric in spec.request_metrics.items()
        if isinstance(metric, SlowShare)
    }
    near = {
        name: history.edge_near(signal.quantile)
        for name, signal in default_signals(spec).items()
        if isinstance(signal, BaselineEdge)
    }
    return {n: edge for n, edge in near.items() if edge and edge not in said.values()} | said


def _failures(spec: Experiment) -> list[str]:
    """The signal that counts failures where no metric does."""
    signals = default_signals(spec).items()
    return [name for name, one in signals if getattr(one, "outcome", "") == "failure"]


def _check_replayed(spec: Experiment) -> None:
    if not (spec.request_metrics or spec.user_metrics):
        raise CannotCalibrate(
            f"{spec.experiment}: counters and queries of its own aren't replayed; metrics of "
            "requests and users are"
        )


def _replayed(spec: Experiment) -> dict[str, ErrorShare | SlowShare]:
    """The metrics that the history has the requests of: what failed, and what was slow."""
    return {k: m for k, m in spec.request_metrics.items() if isinstance(m, ErrorShare | SlowShare)}


def _thresholds(spec: Experiment) -> np.ndarray:
    """The spec's objectives; without one the guide's, and what a quantile leaves above it."""
    deciding = (metric for metric in _replayed(spec).values() if metric.role.decides)
    return np.array([_threshold(metric) for metric in deciding])


def _threshold(metric: ErrorShare | SlowShare) -> float:
    if metric.objective is not None:
        return metric.objective
    if isinstance(metric, ErrorShare):
        return _FAILED
    return 1 - metric.quantile if metric.quantile is not None else _SLOW


def _traffic_note(elsewhere: float) -> tuple[str, ...]:
    if elsewhere < _MUCH_TRAFFIC:
        return ()
    note = (
        f"{elsewhere:.0%} of this history's requests went to candidates; replays have the "
        "baseline's alone, so with all of them the gate sees more, and sooner"
    )
    return (note,)


def _notes(spec: Experiment, replayed: Replay) -> tuple[str, ...]:
    """What a reader must know to trust the numbers."""
    history, plan = replayed.history, replayed.setting.plan
    found = []
    if plan.planned_buckets > 3 * len(history.starts_ms):
        found.append(
            f"the plan has {plan.planned_buckets} buckets, the history only "
            f"{len(history.starts_ms)}: rare bursts may not be in it"
        )
    if spec.user_metrics:
        found.append(
            "requests are judged as if the spec named no metrics per user, and each of these as if "
            "it were alone"
        )
    if spec.measured_metrics:
        found.append(f"counters and queries aren't replayed: {', '.join(spec.measured_metrics)}")
    if spec.cohorts:
        found.append("requests of all cohorts are replayed as one, by the plan's own split")
    if len(plan.candidates) > 1:
        found.append(
            f"harm is done by {plan.candidates[0]} alone; a rollback of any candidate counts"
        )
    if not all(stage.shares for stage in plan.stages):
        found.append("no split is configured: traffic is divided equally")
    errors = {n: m for n, m in spec.request_metrics.items() if isinstance(m, ErrorShare)}
    if not errors:
        found.append("no metric counts failures: they hold as a signal, and roll nothing back")
    if len({rule_of(spec, metric) for metric in errors.values()}) > 1:
        found.append(f"all metrics of failures are replayed with the lists of {next(iter(errors))}")
    blind = [name for name, edge in replayed.slow_edges.items() if edge is None]
    if blind:
        found.append(
            f"no latency of the baseline is known at the bound of {', '.join(blind)}: "
            "without it there is never a promote"
        )
    return tuple(found)
