"""From the warehouse to what the HTML report shows of each experiment."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from analysis.metric_result import Estimate, MetricResult
from analysis.plan import Plan
from analysis.verdict import Decision, Verdict
from dashboards.report_numbers import possible
from dashboards.report_view import ExperimentReport, PastHarm, PastLook, StageSplit, VariantShare
from flows.formats.time import instant, milliseconds_of
from flows.look.verdict_document import restored
from flows.plan.effective import plan_at
from flows.publish.traffic import TrafficSpan, requests_in
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.warehouse.statements import Connection, run

# More can't be told apart in a picture of a page's width.
_MOST_LOOKS = 120


def report_views(
    warehouse: Path, specs: Sequence[Experiment], *, index_only: Collection[str] = ()
) -> list[ExperimentReport]:
    """The report of every experiment with a look, by name; raises WarehouseBusy or -Unusable.

    index_only: experiments whose earlier looks and split aren't wanted.
    """
    by_name = {spec.experiment: spec for spec in specs}
    with open_reader(warehouse) as con:
        rows = run(con, "aggregate/latest_verdicts").fetchall()
        stored = {name: json.loads(verdict) for name, _, verdict in rows if name in by_name}
        verdicts = {name: restored(Verdict, each) for name, each in stored.items()}
        whole = {name: each for name, each in verdicts.items() if name not in index_only}
        past = past_looks(con, {name: each.look_at for name, each in whole.items()}, _MOST_LOOKS)
        splits = _splits(con, [(by_name[name], each) for name, each in whole.items()])
    return [
        ExperimentReport(
            verdict=verdicts[name],
            service=by_name[name].service,
            namespace=by_name[name].namespace,
            description=by_name[name].description,
            looks=past.get(name, ()),
            earlier_looks=looks - len(past.get(name, ())),
            split=splits.get(name, ()),
            spec_hash=stored[name]["spec_hash"],
            software_version=stored[name]["software_version"],
        )
        for name, looks, _ in rows
        if name in by_name
    ]


def past_looks(
    con: Connection, until: Mapping[str, datetime], most: int
) -> dict[str, tuple[PastLook, ...]]:
    """By experiment, its latest looks up to a time, oldest first."""
    asked = {"experiments": list(until), "until": list(until.values()), "looks": most}
    found: dict[str, list[PastLook]] = {}
    for name, at, decision, score, metrics in run(
        con, "aggregate/latest_looks", **asked
    ).fetchall():
        harms = tuple(_harm_of(restored(MetricResult, each)) for each in json.loads(metrics))
        look = PastLook(at.astimezone(UTC), Decision(decision), score, harms)
        found.setdefault(name, []).append(look)
    return {name: tuple(reversed(looks)) for name, looks in found.items()}


def _harm_of(metric: MetricResult) -> PastHarm:
    """Harm is what it is beyond the allowed, and the allowed."""
    excess, allowed = metric.excess, metric.margin
    harm = Estimate(excess.value + allowed, excess.lower + allowed, excess.upper + allowed)
    shown = possible(harm, is_share=metric.is_share)
    return PastHarm(metric.metric, metric.candidate_variant, shown, allowed, metric.is_share)


def _splits(
    con: Connection, looked: Sequence[tuple[Experiment, Verdict]]
) -> dict[str, tuple[StageSplit, ...]]:
    """Stage by stage where requests are counted; else the users of the metric with the most."""
    found: dict[str, list[StageSplit]] = {}
    stages: list[tuple[Plan, TrafficSpan, Mapping[str, float]]] = []
    for spec, verdict in looked:
        plan = plan_at(con, spec, at=verdict.look_at)
        at_ms = milliseconds_of(verdict.look_at)
        if spec.request_metrics:
            for stage in plan.stages:
                if stage.start_ms < at_ms:
                    ends = instant(stage.start_ms), instant(min(stage.end_ms, at_ms))
                    stages.append((plan, TrafficSpan(spec.experiment, *ends), stage.shares))
        elif verdict.metrics:
            ends = instant(plan.start_ms), instant(min(at_ms, plan.end_ms))
            shares = _shares(_names(plan), _users(verdict.metrics), plan.user_shares)
            found[spec.experiment] = [StageSplit(*ends, "users", shares)]
    counted = requests_in(con, [span for _, span, _ in stages])
    for (plan, span, configured), seen in zip(stages, counted, strict=True):
        shares = _shares(_names(plan), seen, configured)
        split = StageSplit(span.since, span.until, "requests", shares)
        found.setdefault(span.experiment, []).append(split)
    return {name: tuple(splits) for name, splits in found.items()}


def _names(plan: Plan) -> tuple[str, ...]:
    return (plan.baseline, *plan.candidates)


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
    total = sum(seen.get(name, 0.0) for name in names)
    return tuple(
        VariantShare(
            name,
            seen.get(name, 0.0),
            seen.get(name, 0.0) / total if total else None,
            configured.get(name),
        )
        for name in names
    )
