"""From the warehouse to what the HTML report shows of each experiment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from analysis.metric_result import Estimate, MetricResult
from analysis.plan import Plan
from analysis.verdict import Decision, Verdict
from dashboards.report_numbers import possible
from dashboards.report_view import ExperimentReport, PastHarm, PastLook, StageSplit, VariantShare
from flows.formats.time import instant, milliseconds_of
from flows.look.verdict_document import restored
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run

# More can't be told apart in a picture of a page's width.
_MOST_LOOKS = 120


def report_views(warehouse: Path, specs: Sequence[Experiment]) -> list[ExperimentReport]:
    """The report of every experiment with a look, by name; raises WarehouseBusy or -Unusable."""
    by_name = {spec.experiment: spec for spec in specs}
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/latest_verdicts").fetchall()
        return [
            _report(con, by_name[name], json.loads(verdict), looks)
            for name, looks, verdict in rows
            if name in by_name
        ]


def _report(
    con: Connection, spec: Experiment, stored: Mapping[str, Any], looks: int
) -> ExperimentReport:
    verdict = restored(Verdict, stored)
    past = past_looks(con, spec, verdict.look_at, _MOST_LOOKS)
    plan = plan_at(con, spec, at=verdict.look_at)
    return ExperimentReport(
        verdict=verdict,
        service=spec.service,
        namespace=spec.namespace,
        description=spec.description,
        looks=past,
        earlier_looks=looks - len(past),
        split=tuple(_split(con, spec, plan, verdict.metrics, verdict.look_at)),
        spec_hash=stored["spec_hash"],
        software_version=stored["software_version"],
    )


def past_looks(
    con: Connection, spec: Experiment, until: datetime, most: int
) -> tuple[PastLook, ...]:
    """The latest looks of an experiment up to a time, oldest first."""
    rows = run(
        con, "aggregate/latest_looks", experiment=spec.experiment, until=until, looks=most
    ).fetchall()
    return tuple(
        PastLook(
            at.astimezone(UTC),
            Decision(decision),
            score,
            tuple(_harm_of(restored(MetricResult, each)) for each in json.loads(metrics)),
        )
        for at, decision, score, metrics in reversed(rows)
    )


def _harm_of(metric: MetricResult) -> PastHarm:
    """Harm is what it is beyond the allowed, and the allowed."""
    excess, allowed = metric.excess, metric.margin
    harm = Estimate(excess.value + allowed, excess.lower + allowed, excess.upper + allowed)
    shown = possible(harm, is_share=metric.is_share)
    return PastHarm(metric.metric, metric.candidate_variant, shown, allowed, metric.is_share)


def _split(
    con: Connection, spec: Experiment, plan: Plan, metrics: Sequence[MetricResult], at: datetime
) -> Iterator[StageSplit]:
    """Stage by stage where requests are counted; else the users of the metric with the most."""
    names = (plan.baseline, *plan.candidates)
    at_ms = milliseconds_of(at)
    if not spec.request_metrics:
        if metrics:
            seen = _users(metrics)
            ends = instant(plan.start_ms), instant(min(at_ms, plan.end_ms))
            yield StageSplit(*ends, "users", _shares(names, seen, plan.user_shares))
        return
    for stage in plan.stages:
        if stage.start_ms >= at_ms:
            return
        start, end = instant(stage.start_ms), instant(min(stage.end_ms, at_ms))
        rows = run(
            con,
            "aggregate/exported_traffic",
            experiment=spec.experiment,
            variants=list(names),
            since=start,
            until=end,
        ).fetchall()
        seen = {variant: float(requests) for variant, requests in rows}
        yield StageSplit(start, end, "requests", _shares(names, seen, stage.shares))


def _users(metrics: Sequence[MetricResult]) -> dict[str, float]:
    """Users with a final value by variant, for each the most that a metric has."""
    seen: dict[str, float] = {}
    for metric in metrics:
        arms = (
            (metric.baseline_variant, metric.exposure_baseline),
            (metric.candidate_variant, metric.exposure_candidate),
        )
        for variant, users in arms:
            seen[variant] = max(users, seen.get(variant, 0.0))
    return seen


def _shares(
    names: Sequence[str], seen: Mapping[str, float], configured: Mapping[str, float]
) -> tuple[VariantShare, ...]:
    total = sum(seen.values())
    return tuple(
        VariantShare(
            name,
            seen.get(name, 0.0),
            seen.get(name, 0.0) / total if total else None,
            configured.get(name),
        )
        for name in names
    )
