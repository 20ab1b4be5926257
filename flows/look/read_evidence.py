"""Reads from the warehouse what one look sees."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from analysis.evidence import Coverage, Evidence, UserEvidence
from analysis.plan import Plan
from flows.formats.time import instant
from flows.ingest.coverage import watermark
from flows.ingest.users.plan_splits import split_starts
from flows.look.measured_grid import read_measured
from flows.look.request_grid import RequestGrid
from flows.look.user_statistics import UserStatistics, read_user_statistics
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def read_evidence(con: DuckDBPyConnection, spec: Experiment, plan: Plan, *, at_ms: int) -> Evidence:
    """Everything that a look at at_ms sees; only whole buckets inside the plan."""
    requests, coverage = None, Coverage()
    buckets = max(0, min(at_ms, plan.end_ms) - plan.start_ms) // plan.bucket_ms
    if spec.request_metrics:
        grid = RequestGrid(con, spec, plan, int(buckets))
        requests, coverage = grid.evidence(), grid.coverage(watermark(con, spec, "requests"))
    return Evidence(
        requests,
        _users(con, spec, plan, at_ms) if spec.user_metrics else None,
        coverage,
        read_measured(con, spec, plan, int(buckets), requests) if spec.measured_metrics else None,
    )


def _users(con: DuckDBPyConnection, spec: Experiment, plan: Plan, at_ms: int) -> UserEvidence:
    """Users up to the look, each with a final value."""
    found = read_user_statistics(con, spec, instant(at_ms), splits=split_starts(plan))
    proportions = frozenset(
        name
        for name, metric in spec.user_metrics.items()
        if metric.is_share and name not in found.variance_removed
    )
    return UserEvidence(
        samples=found.metrics,
        proportions=proportions,
        exposed=found.users,
        mixed=found.mixed_users,
        final_users=found.final_users,
        exposed_by_split=found.users_by_split,
        exposed_by_part=_parts(found),
        segments=found.segments,
        trends=found.trends,
        trend_days=found.trend_days,
        largest=found.largest,
        variance_removed=found.variance_removed,
        unknown=found.unknown,
        failed_before=_failed_before(con, spec, plan, at_ms),
        contradictions=found.contradictions,
        reach=found.reach,
        outcome_names=found.outcome_names,
        lost_outcomes=found.lost_outcomes,
    )


def _failed_before(
    con: DuckDBPyConnection, spec: Experiment, plan: Plan, at_ms: int
) -> dict[tuple[str, str], datetime]:
    """When an earlier look of this plan first found a metric of a candidate beyond its margin."""
    asked = {
        "experiment": spec.experiment,
        "look_at": instant(at_ms),
        "since": instant(plan.start_ms),
        "spec_hash": spec.spec_hash,
    }
    rows = con.execute(statement("aggregate/earlier_failures"), asked).fetchall()
    return {(metric, candidate): failed_at for metric, candidate, failed_at in rows}


def _parts(found: UserStatistics) -> dict[str, dict[str, tuple[Mapping[str, int], ...]]]:
    """Exposed users by day and by segment, of each split apart."""
    days = {day.isoformat(): users for day, users in sorted(found.users_by_day.items())}
    parts = {"day": days} if days else {}
    for dimension, segments in found.users_by_segment.items():
        # A segment of that name would hide the days.
        name = f"segment {dimension}" if dimension in parts else dimension
        parts[name] = {part or "none": users for part, users in sorted(segments.items())}
    return parts
