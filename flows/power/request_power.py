"""What an experiment can see: from its history in the warehouse, or from what a person expects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import Evidence
from analysis.judge.planned_end import final_alpha
from analysis.judge.recent_health import least_last_part
from analysis.judge.started_harm import counts_from_the_first
from analysis.judge.wide_buckets import width_of, with_width
from analysis.plan import MetricPlan, Plan, Unit
from analysis.power.detection import (
    Detection,
    Rule,
    Traffic,
    detectable_harm,
    overdispersion_of,
    simulate_detection,
)
from analysis.requests.bucket_counts import BucketCounts
from flows.formats.time import milliseconds_of
from flows.ingest.pulled_windows import PulledWindows
from flows.look.dependencies import waits_for, waits_for_first_verdict
from flows.look.expected_users import rate_of_arrivals
from flows.look.pods_seen import unlike_pods_seen
from flows.look.read_evidence import read_evidence
from flows.manifests.spec_split import manifests_of_spec
from flows.manifests.unlike_pods import unlike_pods
from flows.plan.effective import plan_at
from flows.plan.from_spec import plan_of
from flows.power.expected import Expected, NoHistory, expected_of
from flows.power.planning_document import (
    DetectableHarm,
    DetectionRow,
    LateDetection,
    PlanningDocument,
    RequestPlan,
)
from flows.power.user_power import SHARES, user_plans
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_reader
from flows.workspace.experiments import find_spec
from flows.workspace.paths import Workspace

_SEED = 20_260_101
_LATE_RUNS = 100
_QUANTILE = "pull its history: no --mean or --sd tells how sharply a quantile is known"


def plan_experiment(
    workspace: Workspace, name: str, *, expected: Expected, at: datetime | None = None
) -> PlanningDocument:
    """The figures for every metric. Raises InputError, NoHistory or WarehouseUnusable."""
    path, spec = find_spec(workspace.experiments, name)
    if not (spec.request_metrics or spec.user_metrics):
        raise NoHistory(
            f"{name}: {', '.join(spec.measured_metrics)}: what counters and queries can find isn't "
            "worked out beforehand; metrics of requests and users are"
        )
    expected.check_names(spec.request_metrics, spec.user_metrics)
    is_share = (metric for metric, one in spec.user_metrics.items() if one.is_share)
    quantiles = (name for name, one in spec.user_metrics.items() if one.kind == "quantile")
    expected = replace(expected, shares=frozenset(is_share), quantiles=frozenset(quantiles))
    look = at or datetime.now(UTC)
    plan, evidence, rate, seen, waits = _history(workspace, spec, path.parent, look)
    # As they will be judged once most of the plan is over.
    width = width_of(plan, plan.planned_buckets)
    wide, seen_wide = with_width(plan, width), evidence and evidence.merged(width)
    requests = tuple(_request_plans(wide, seen_wide, expected))
    users = tuple(user_plans(plan, evidence.users if evidence else None, expected, rate))
    if not requests and not users:
        raise NoHistory(
            f"{name}: no history to plan with; pull it first (verdict pull {name}), or give "
            "--requests-per-second and --bad-share (users: --users-per-day, --mean and --sd)"
        )
    return PlanningDocument(
        experiment=name,
        history=_said(plan, evidence, expected),
        requests=requests,
        users=users,
        unlike_pods=(*unlike_pods(spec, manifests_of_spec(spec, path.parent)), *seen),
        waits=waits,
        not_planned=tuple(
            _not_planned(spec, {one.metric for one in requests} | {one.metric for one in users})
        ),
    )


def _not_planned(spec: Experiment, planned: set[str]) -> Iterator[str]:
    """Sentences on the metrics that decide, and of which nothing is said; and on cohorts."""
    for name, metric in spec.metrics.items():
        if name in planned or not metric.role.decides:
            continue
        if name in spec.measured_metrics:
            yield f"{name}: metrics of counters and queries are not planned"
        elif name in spec.user_metrics:
            by = f"give --users-per-day and --mean {name}=M"
            by = _QUANTILE if spec.user_metrics[name].kind == "quantile" else by
            yield f"{name}: its users are unknown; {by}"
        else:
            yield f"{name}: its requests are unknown; give --bad-share {name}=P"
    if spec.delivery and spec.delivery.is_fresh:
        yield (
            "a fresh baseline and the candidate have only part of the service's requests: "
            "give --requests-per-second of both together"
        )
    if spec.cohorts:
        yield "cohorts are not told apart here: in each of them harm is found as by its own traffic"


def _history(
    workspace: Workspace, spec: Experiment, folder: Path, at: datetime
) -> tuple[Plan, Evidence | None, float | None, tuple[str, ...], tuple[str, ...]]:
    """The plan, what was seen by then, how many users came in a day, unlike pods, and waits."""
    if not workspace.warehouse.exists():
        waits = tuple(map(waits_for_first_verdict, spec.after))
        return plan_of(spec, start_ms=milliseconds_of(spec.plan.start or at)), None, None, (), waits
    with open_reader(workspace.warehouse) as con:
        plan = plan_at(con, spec, at=at)
        at_ms = min(milliseconds_of(at), plan.last_look_ms)
        evidence = read_evidence(con, spec, plan, PulledWindows.of(con, spec), at_ms=at_ms)
        rate = rate_of_arrivals(con, spec, plan, evidence.users, at_ms=at_ms)
        waits = tuple(waits_for(con, spec, folder, at))
        return plan, evidence, rate, tuple(unlike_pods_seen(con, spec, at_ms)), waits


def _said(plan: Plan, evidence: Evidence | None, expected: Expected) -> str:
    if expected.requests_per_second is not None or evidence is None:
        return "the command line"
    seen = evidence.requests
    buckets = 0 if seen is None else int(np.count_nonzero(seen.requests[plan.baseline]))
    users = sum(evidence.users.exposed.values()) if evidence.users else 0
    parts = [f"{buckets} buckets of {plan.baseline}"] if buckets else []
    parts += [f"{users:,} users"] if users else []
    return "the warehouse: " + " and ".join(parts) if parts else "the command line"


def _request_plans(
    plan: Plan, evidence: Evidence | None, expected: Expected
) -> Iterator[RequestPlan]:
    bucket_s = plan.bucket_ms / 1000
    for metric in plan.metrics:
        if metric.unit is not Unit.REQUEST or not metric.role.decides:
            continue
        traffic = _traffic(plan, metric, evidence, expected)
        if traffic is None:
            continue
        rule = _rule(plan, metric)
        margin = rule.margin_absolute + rule.margin_relative * traffic.bad
        shares = sorted({*_own_shares(plan), *SHARES})
        designs: list[float | FloatArray] = [*shares, *_ramp(plan)]
        rows = [
            _row(simulate_detection(traffic, rule, share=share, harm=harm, seed=_SEED), share, plan)
            for share in designs
            for harm in dict.fromkeys((0.0, 2 * margin, 4 * margin, margin + 0.05))
        ]
        yield RequestPlan(
            metric=metric.name,
            requests_per_second=traffic.requests / bucket_s,
            bad=traffic.bad,
            overdispersion=traffic.overdispersion,
            margin=margin,
            plan_minutes=plan.planned_ms / 60_000,
            rows=tuple(rows),
            detectable=tuple(
                DetectableHarm(
                    share=_mean_share(share),
                    as_planned=not isinstance(share, float),
                    harm=detectable_harm(traffic, rule, share=share, seed=_SEED),
                )
                for share in designs
            ),
            late=tuple(_late(plan, traffic, rule)),
        )


def _late(plan: Plan, traffic: Traffic, rule: Rule) -> Iterator[LateDetection]:
    """Harm from the middle of the plan on, at its own stages, else at the smallest share."""
    bucket_s, begin = plan.bucket_ms / 1000, rule.buckets // 2
    margin = rule.margin_absolute + rule.margin_relative * traffic.bad
    designs: list[float | FloatArray] = [*_ramp(plan), *_own_shares(plan), *SHARES]
    share = designs[0]
    for harm in dict.fromkeys((4 * margin or margin + 0.05, margin + 0.05)):
        found = simulate_detection(
            traffic, rule, share=share, harm=harm, seed=_SEED, runs=_LATE_RUNS, begin=begin
        )
        yield LateDetection(
            share=_mean_share(share),
            as_planned=not isinstance(share, float),
            harm=harm,
            begin_minutes=begin * bucket_s / 60,
            found=found.rolled_back,
            median_minutes=found.median * bucket_s / 60,
            by_minutes=found.latest * bucket_s / 60,
        )


def _ramp(plan: Plan) -> list[FloatArray]:
    """The candidate's share of the traffic in each bucket, where the plan has several stages."""
    shares = [stage.shares.get(plan.candidates[0]) for stage in plan.stages]
    known = [share for share in shares if share is not None]
    if len(known) < max(2, len(shares)):
        return []
    starts = plan.start_ms + np.arange(plan.planned_buckets) * plan.bucket_ms
    stage = np.searchsorted([one.start_ms for one in plan.stages], starts, "right") - 1
    return [np.array(known)[stage]]


def _own_shares(plan: Plan) -> list[float]:
    found = {
        round(stage.shares[candidate], 4)
        for stage in plan.stages
        for candidate in plan.candidates
        if 0 < stage.shares.get(candidate, 0) < 1
    }
    return sorted(found)


def _traffic(
    plan: Plan, metric: MetricPlan, evidence: Evidence | None, expected: Expected
) -> Traffic | None:
    """What is expected, else what the baseline's buckets show; None without either."""
    bucket_s = plan.bucket_ms / 1000
    seen = evidence.requests if evidence else None
    bad, overdispersion, requests = expected_of(expected.bad_share, metric.name), 1.0, None
    if expected.requests_per_second is not None:
        requests = expected.requests_per_second * bucket_s
    if seen is not None and seen.counts[plan.baseline].total.sum() > 0:
        row = seen.metrics.index(metric.name)
        counts = seen.counts[plan.baseline]
        own = BucketCounts(counts.total[row : row + 1], counts.bad[row : row + 1])
        if own.total.sum() > 0:
            bad = float(own.bad.sum() / own.total.sum()) if bad is None else bad
            overdispersion = float(overdispersion_of(own)[0])
        if requests is None:
            both = sum(n for n in seen.requests.values())
            kept = np.asarray(both)[np.asarray(both) > 0]
            requests = float(kept.mean()) if kept.size else None
    if requests is None or bad is None:
        return None
    return Traffic(requests, bad, expected.overdispersion or overdispersion)


def _rule(plan: Plan, metric: MetricPlan) -> Rule:
    return Rule(
        margin_absolute=metric.allowed_harm.absolute,
        margin_relative=metric.allowed_harm.relative,
        harm_alpha=plan.request_alpha(metric),
        final_alpha=final_alpha(plan, metric),
        promote_alpha=plan.promote_alpha,
        buckets=plan.planned_buckets,
        harm_buckets=plan.harm_buckets,
        promote_buckets=plan.promote_buckets,
        first_promote=-(-plan.minimum_ms // plan.bucket_ms),
        look_every=max(1, plan.look_every_ms // plan.bucket_ms),
        objective=metric.objective,
        minimum_exposure=plan.minimum_exposure,
        warm_up=plan.warm_up_buckets,
        early=counts_from_the_first(metric),
        least_last_part=least_last_part(plan),
    )


def _mean_share(share: float | FloatArray) -> float:
    return share if isinstance(share, float) else float(share.mean())


def _row(found: Detection, share: float | FloatArray, plan: Plan) -> DetectionRow:
    bucket_s = plan.bucket_ms / 1000
    return DetectionRow(
        share=_mean_share(share),
        as_planned=not isinstance(share, float),
        harm=found.harm,
        rolled_back=found.rolled_back,
        promoted=found.promoted,
        median_minutes=found.median * bucket_s / 60,
        slow_minutes=found.slow * bucket_s / 60,
    )
