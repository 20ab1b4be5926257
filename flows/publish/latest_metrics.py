"""The latest looks as Prometheus metrics: one file for all experiments, and a push where wanted.

The labels name a version as the dashboards do (VariantView.deployment_version), so that their
panels find it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

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
        return [_metrics_of(con, look) for look in looks]


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


def _metrics_of(con: Connection, look: _Look) -> ExperimentMetrics:
    users = _users(con, look)
    judged = max(users.values(), key=lambda arms: sum(n for n, _ in arms.values()), default={})
    counts = (
        _requests(con, look) if look.spec.request_metrics else {v: judged[v][0] for v in judged}
    )
    return ExperimentMetrics(
        experiment=look.spec.experiment,
        look_at_ms=milliseconds_of(look.look_at),
        shares=tuple(_shares(look, counts)),
        conversions=tuple(_conversions(look, users)),
        scores=tuple(_scores(con, look)),
    )


def _requests(con: Connection, look: _Look) -> dict[str, float]:
    """Requests by variant in the look's stage: earlier ones were split otherwise."""
    plan = plan_at(con, look.spec, at=look.look_at)
    until_ms = milliseconds_of(look.look_at)
    begun = [stage.start_ms for stage in plan.stages if stage.start_ms < until_ms]
    return dict(
        run(
            con,
            "aggregate/exported_traffic",
            experiment=look.spec.experiment,
            variants=list(look.spec.variants),
            since=instant(max(begun, default=until_ms)),
            until=instant(until_ms),
        ).fetchall()
    )


def _users(con: Connection, look: _Look) -> dict[str, dict[str, tuple[float, float]]]:
    """By metric and variant: users judged, and the mean of their values (nan without users)."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    asked = {"experiment": look.spec.experiment, "look_at": look.look_at}
    for metric, variant, users, mean in run(con, "aggregate/exported_users", **asked).fetchall():
        if variant in look.spec.variants:
            known = float("nan") if mean is None else mean
            found.setdefault(metric, {})[variant] = (users, known)
    return found


def _shares(look: _Look, counts: Mapping[str, float]) -> Iterator[TrafficShare]:
    """A version without traffic has 0 %; without any traffic nothing is known."""
    total = sum(counts.values())
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


def _scores(con: Connection, look: _Look) -> Iterator[HealthScore]:
    """A look at bad data has no score: an alert or a gate on the metric must not trust it."""
    if look.decision is Decision.INVALID:
        return
    versions = {variant.name: variant.deployment_version for variant in look.view.candidates}
    asked = {"experiment": look.spec.experiment, "look_at": look.look_at}
    for candidate, score in run(con, "aggregate/exported_scores", **asked).fetchall():
        if candidate in versions:
            yield HealthScore(look.view.service, versions[candidate], score)
