"""The latest looks as Prometheus metrics: one file for all experiments, and a push where wanted.

The labels name a version as the dashboards do (VariantView.deployment_version), so that their
panels find it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from analysis.verdict import Decision
from dashboards.experiment_view import ExperimentView
from dashboards.exported_metrics import (
    PREFIX_PATTERN,
    ConversionRate,
    ExperimentMetrics,
    HealthScore,
    PushFailed,
    TrafficShare,
    push_metrics,
)
from flows.formats.safe_text import safe_text
from flows.formats.time import instant, milliseconds_of
from flows.formats.urls import endpoint_of
from flows.plan.effective import plan_at
from flows.publish.dashboards import view_of
from flows.publish.marts import PublishFailed
from flows.publish.traffic import TrafficSpan, requests_in
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run
from flows.workspace.paths import Workspace

PUSHGATEWAY = "VERDICT_PUSHGATEWAY"
METRIC_PREFIX = "VERDICT_METRIC_PREFIX"
DEFAULT_PREFIX = "edtech"


@dataclass(frozen=True, slots=True)
class _Look:
    """The latest look at an experiment, and how its dashboards see it."""

    spec: Experiment
    view: ExperimentView
    look_at: datetime
    decision: Decision


def metrics_path(workspace: Workspace) -> Path:
    """Where the file of all experiments is written: beside the dashboards.

    One for all: the textfile collector refuses the same series from two, and reads only *.prom.
    """
    return workspace.dashboards.parent / "metrics.prom"


def metric_prefix() -> str:
    """How exported metrics begin, on dashboards too: VERDICT_METRIC_PREFIX, by default edtech.

    Raises PublishFailed if no metric can begin so.
    """
    prefix = os.environ.get(METRIC_PREFIX) or DEFAULT_PREFIX
    if not re.fullmatch(PREFIX_PATTERN, prefix):
        raise PublishFailed(
            f"{METRIC_PREFIX} is {prefix!r}, must be letters, digits and underscores, such as "
            f"{DEFAULT_PREFIX}; nothing was published"
        )
    return prefix


def has_gateway() -> bool:
    """Whether VERDICT_PUSHGATEWAY names a gateway."""
    return bool(os.environ.get(PUSHGATEWAY))


def push_all(found: Sequence[ExperimentMetrics], prefix: str = DEFAULT_PREFIX) -> tuple[str, ...]:
    """Pushes to the gateway that VERDICT_PUSHGATEWAY names, if it does; returns warnings.

    A gateway that fails is no more than that: the file is there.
    """
    gateway = os.environ.get(PUSHGATEWAY, "")
    return tuple(_pushed(found, gateway, prefix)) if gateway else ()


def latest_metrics(warehouse: Path, specs: Sequence[Experiment]) -> list[ExperimentMetrics]:
    """What the latest look at each experiment exports; experiments without a look are left out."""
    by_name = {spec.experiment: spec for spec in specs}
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/exported_looks").fetchall()
        looks = [
            _Look(by_name[name], view_of(by_name[name]), look_at, Decision(decision))
            for name, look_at, decision in rows
            if name in by_name
        ]
        users = _by_experiment(run(con, "aggregate/exported_users").fetchall())
        scores = _by_experiment(run(con, "aggregate/exported_scores").fetchall())
        counted = [look for look in looks if look.spec.request_metrics]
        requests = {
            look.spec.experiment: seen
            for look, seen in zip(
                counted, requests_in(con, [_span(con, look) for look in counted]), strict=True
            )
        }
    return [
        _metrics_of(
            look,
            _users(look, users.get(look.spec.experiment, ())),
            requests.get(look.spec.experiment, {}),
            scores.get(look.spec.experiment, ()),
        )
        for look in looks
    ]


def _by_experiment(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """What follows the experiment's name in each row."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, *rest in rows:
        found.setdefault(name, []).append(tuple(rest))
    return found


def _pushed(found: Sequence[ExperimentMetrics], gateway: str, prefix: str) -> Iterator[str]:
    """Pushes each experiment's group; after a failure the rest isn't tried: each may wait long."""
    server = endpoint_of(gateway)
    for look in found:
        try:
            push_metrics(
                look,
                server.url,
                prefix=prefix,
                login=server.credentials,
                parameters=server.parameters,
            )
        except PushFailed as error:
            yield safe_text(str(error))
            return


def _metrics_of(
    look: _Look,
    users: Mapping[str, Mapping[str, tuple[float, float]]],
    requests: Mapping[str, float],
    scores: Iterable[tuple[Any, ...]],
) -> ExperimentMetrics:
    judged = max(users.values(), key=lambda arms: sum(n for n, _ in arms.values()), default={})
    counts = requests if look.spec.request_metrics else {v: judged[v][0] for v in judged}
    return ExperimentMetrics(
        experiment=look.spec.experiment,
        look_at_ms=milliseconds_of(look.look_at),
        shares=tuple(_shares(look, counts)),
        conversions=tuple(_conversions(look, users)),
        scores=tuple(_scores(look, scores)),
    )


def _span(con: Connection, look: _Look) -> TrafficSpan:
    """The part of the look's stage up to it: earlier ones were split otherwise."""
    plan = plan_at(con, look.spec, at=look.look_at)
    until_ms = milliseconds_of(look.look_at)
    begun = [stage.start_ms for stage in plan.stages if stage.start_ms < until_ms]
    since = instant(max(begun, default=until_ms))
    return TrafficSpan(look.spec.experiment, since, instant(until_ms))


def _users(
    look: _Look, rows: Iterable[tuple[Any, ...]]
) -> dict[str, dict[str, tuple[float, float]]]:
    """By metric and variant: users judged, and the mean of their values (nan without users)."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for metric, variant, users, mean in rows:
        if variant in look.spec.variants:
            known = float("nan") if mean is None else mean
            found.setdefault(metric, {})[variant] = (users, known)
    return found


def _shares(look: _Look, counts: Mapping[str, float]) -> Iterator[TrafficShare]:
    """A version without traffic has 0 %; without any traffic nothing is known."""
    total = sum(counts.get(variant.name, 0) for variant in look.view.variants)
    for variant in look.view.variants if total else ():
        yield TrafficShare(
            service=look.view.service,
            version=variant.deployment_version,
            namespace=look.view.namespace,
            percentage=float(100 * counts.get(variant.name, 0) / total),
        )


def _conversions(
    look: _Look, users: Mapping[str, Mapping[str, tuple[float, float]]]
) -> Iterator[ConversionRate]:
    """Of metrics with the same outcome (other windows) the first in the spec counts."""
    outcomes: set[str] = set()
    for name, metric in look.spec.user_metrics.items():
        if not metric.is_share or metric.outcome in outcomes:
            continue
        outcomes.add(metric.outcome)
        for variant, (_, rate) in users.get(name, {}).items():
            yield ConversionRate(variant, metric.outcome, rate)


def _scores(look: _Look, rows: Iterable[tuple[Any, ...]]) -> Iterator[HealthScore]:
    """A look at bad data has no score: an alert or a gate on the metric must not trust it."""
    if look.decision is Decision.INVALID:
        return
    versions = {variant.name: variant.deployment_version for variant in look.view.candidates}
    for candidate, score in rows:
        if candidate in versions:
            yield HealthScore(look.view.service, versions[candidate], score)
