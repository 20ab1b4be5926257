"""The latest looks as Prometheus metrics: one file for all experiments, and a push where wanted.

The labels name a version as the dashboards do (VariantView.deployment_version), so that their
panels find it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.plan import Stage
from analysis.verdict import Decision, Verdict
from dashboards.experiment_view import ExperimentView
from dashboards.exported_metrics import (
    PREFIX_PATTERN,
    ConversionRate,
    ExperimentMetrics,
    HealthScore,
    render_metrics,
)
from dashboards.report_view import VariantShare
from dashboards.service_shares import VersionTraffic, service_shares
from dashboards.verdict_metrics import verdict_samples
from flows.formats.safe_text import safe_text, safe_url
from flows.formats.time import instant, milliseconds_of
from flows.formats.urls import endpoint_of
from flows.look.verdict_document import restored
from flows.plan.effective import staged_plan
from flows.publish.dashboards import view_of
from flows.publish.marts import PublishFailed
from flows.publish.pushgateway import PushFailed, push_text
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
    """The latest look at an experiment, and how its dashboards see it.

    stage: the latest that has begun, and its number from 1; None before the first.
    """

    spec: Experiment
    view: ExperimentView
    verdict: Verdict
    stage: tuple[int, Stage] | None

    @property
    def at_ms(self) -> int:
        return milliseconds_of(self.verdict.look_at)

    @property
    def since_ms(self) -> int:
        """Where its stage begins: earlier ones were split otherwise."""
        return self.stage[1].start_ms if self.stage else self.at_ms


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
            f"{METRIC_PREFIX} is {safe_url(prefix)!r}, must be letters, digits and underscores, "
            f"such as {DEFAULT_PREFIX}; nothing was published"
        )
    return prefix


def has_gateway() -> bool:
    """Whether VERDICT_PUSHGATEWAY names a gateway."""
    return bool(os.environ.get(PUSHGATEWAY))


def push_all(found: Sequence[ExperimentMetrics], prefix: str = DEFAULT_PREFIX) -> tuple[str, ...]:
    """Pushes to the gateway that VERDICT_PUSHGATEWAY names, if it does; returns warnings.

    Each experiment has its group. A gateway that fails is no more than that: the file is there.
    """
    try:
        for look in found:
            push(render_metrics([look], prefix=prefix), experiment=look.experiment)
    except PushFailed as error:
        # The rest isn't tried: each may wait long.
        return (safe_text(str(error)),)
    return ()


def push(text: str, *, job: str = "split-verdict", experiment: str = "") -> None:
    """Pushes to the gateway that VERDICT_PUSHGATEWAY names, if it does; raises PushFailed."""
    if not has_gateway():
        return
    server = endpoint_of(os.environ[PUSHGATEWAY])
    push_text(
        text,
        server.url,
        job=job,
        experiment=experiment,
        login=server.credentials,
        parameters=server.parameters,
    )


def latest_metrics(warehouse: Path, specs: Sequence[Experiment]) -> list[ExperimentMetrics]:
    """What the latest look at each experiment exports; experiments without a look are left out."""
    by_name = {spec.experiment: spec for spec in specs}
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/latest_verdicts").fetchall()
        looks = [
            _look(con, by_name[name], json.loads(stored))
            for name, _, stored in rows
            if name in by_name
        ]
        users = _by_experiment(run(con, "aggregate/exported_users").fetchall())
        scores = _by_experiment(run(con, "aggregate/exported_scores").fetchall())
        waiting = {name for (name,) in run(con, "aggregate/waiting_deliveries").fetchall()}
        counted = [look for look in looks if look.spec.request_metrics]
        requests = requests_in(con, [_span(look) for look in counted])
    by_look = dict(zip((look.spec.experiment for look in counted), requests, strict=True))
    judged = [_users(look, users.get(look.spec.experiment, ())) for look in looks]
    counts = [
        by_look[look.spec.experiment] if look.spec.request_metrics else _most_users(of)
        for look, of in zip(looks, judged, strict=True)
    ]
    shares = service_shares(
        one for look, seen in zip(looks, counts, strict=True) for one in _traffic(look, seen)
    )
    return [
        ExperimentMetrics(
            experiment=look.spec.experiment,
            look_at_ms=look.at_ms,
            shares=tuple(shares.get(look.spec.experiment, ())),
            conversions=tuple(_conversions(look, of)),
            scores=tuple(_scores(look, scores.get(look.spec.experiment, ()))),
            verdict=verdict_samples(
                look.verdict,
                stage=look.stage[0] if look.stage else None,
                split=_split(look, seen),
                waits=look.spec.experiment in waiting,
            ),
        )
        for look, of, seen in zip(looks, judged, counts, strict=True)
    ]


def _look(con: Connection, spec: Experiment, stored: Mapping[str, Any]) -> _Look:
    verdict = restored(Verdict, stored)
    at_ms = milliseconds_of(verdict.look_at)
    stages = staged_plan(con, spec, at=verdict.look_at).stages
    begun = [(i, stage) for i, stage in enumerate(stages, 1) if stage.start_ms < at_ms]
    return _Look(spec, view_of(spec), verdict, begun[-1] if begun else None)


def _by_experiment(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    """What follows the experiment's name in each row."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for name, *rest in rows:
        found.setdefault(name, []).append(tuple(rest))
    return found


def _span(look: _Look) -> TrafficSpan:
    return TrafficSpan(look.spec.experiment, instant(look.since_ms), look.verdict.look_at)


def _traffic(look: _Look, counts: Mapping[str, float]) -> Iterator[VersionTraffic]:
    for variant in look.view.variants:
        yield VersionTraffic(
            look.spec.experiment,
            look.at_ms,
            look.view.service,
            look.view.namespace,
            variant.deployment_version,
            float(counts.get(variant.name, 0)) / max((look.at_ms - look.since_ms) / 1000, 1.0),
            is_users=not look.spec.request_metrics,
        )


def _split(look: _Look, counts: Mapping[str, float]) -> Iterator[VariantShare]:
    """Seen and configured shares; nothing is seen without traffic."""
    configured = look.stage[1].shares if look.stage else {}
    total = float(sum(counts.get(name, 0) for name in look.spec.variants))
    for name in look.spec.variants:
        seen = float(counts.get(name, 0))
        yield VariantShare(name, seen, seen / total if total else None, configured.get(name))


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


def _most_users(users: Mapping[str, Mapping[str, tuple[float, float]]]) -> Mapping[str, float]:
    """Users by variant, of the metric that has most."""
    judged = max(users.values(), key=lambda arms: sum(n for n, _ in arms.values()), default={})
    return {variant: users for variant, (users, _) in judged.items()}


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
    if look.verdict.decision is Decision.INVALID:
        return
    versions = {variant.name: variant.deployment_version for variant in look.view.candidates}
    for candidate, score in rows:
        if candidate in versions:
            yield HealthScore(look.view.service, versions[candidate], score)
