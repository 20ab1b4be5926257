"""How the traffic was divided, stage by stage, as the report shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from analysis.metric_result import MetricResult
from analysis.plan import Plan
from analysis.verdict import Verdict
from dashboards.report_view import StageSplit, VariantShare
from flows.formats.time import instant, milliseconds_of
from flows.plan.effective import staged_plan
from flows.publish.traffic import TrafficSpan, requests_in
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection


def read_splits(
    con: Connection, looked: Sequence[tuple[Experiment, Verdict]]
) -> dict[str, tuple[StageSplit, ...]]:
    """Stage by stage where requests are counted; else the users of the metric with the most."""
    found: dict[str, list[StageSplit]] = {}
    stages: list[tuple[Plan, TrafficSpan, Mapping[str, float]]] = []
    for spec, verdict in looked:
        plan = staged_plan(con, spec, at=verdict.look_at)
        at_ms = milliseconds_of(verdict.look_at)
        if spec.request_metrics:
            for stage in plan.stages:
                if stage.start_ms < at_ms:
                    ends = instant(stage.start_ms), instant(min(stage.end_ms, at_ms))
                    stages.append((plan, TrafficSpan(spec.experiment, *ends), stage.shares))
        elif verdict.metrics:
            ends = instant(plan.start_ms), instant(min(at_ms, plan.end_ms))
            shares = _shares(_names(plan), _users(verdict.metrics), plan.user_shares)
            found[spec.experiment] = [StageSplit(*ends, "users with a final value", shares)]
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
