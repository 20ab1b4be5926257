"""Reads from the warehouse what one look sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from analysis.evidence import CohortEvidence, Coverage, Evidence
from analysis.plan import Plan, RequestCohort, Role
from flows.formats.time import instant
from flows.ingest.pulled_windows import PulledWindows
from flows.ingest.users.plan_splits import split_starts
from flows.look.measured_grid import read_measured, read_sessions
from flows.look.request_grid import RequestGrid
from flows.look.rows_of import RowsOf
from flows.look.user_statistics import read_user_statistics
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

# Of a metric of users, what makes harm that was proven harm of the same.
_MEASURED = (
    *("kind", "outcome", "per", "day", "quantile", "window", "cap"),
    *("better", "role", "margin"),
)


def read_evidence(
    con: Connection, spec: Experiment, plan: Plan, pulled: PulledWindows, *, at_ms: int
) -> Evidence:
    """Everything that a look at at_ms sees; only whole buckets inside the plan."""
    requests, coverage = None, Coverage()
    buckets = max(0, min(at_ms, plan.end_ms) - plan.start_ms) // plan.bucket_ms
    if spec.request_metrics:
        grid = RequestGrid(con, spec, plan, int(buckets))
        requests, coverage = grid.evidence(), grid.coverage(pulled.known_until("requests"))
        requests = replace(requests, sessions=read_sessions(con, spec, plan, int(buckets)))
    cohorts = {
        cohort.name: _of_cohort(con, spec, plan, pulled, cohort, int(buckets))
        for cohort in plan.cohorts
    }
    measured = None
    if spec.measured_metrics:
        measured = read_measured(con, spec, plan, int(buckets), requests)
    if not spec.user_metrics:
        return Evidence(requests, None, coverage, measured, cohorts)
    users = read_user_statistics(con, spec, instant(at_ms), splits=split_starts(plan))
    users = replace(users, failed_before=_failed_before(con, spec, plan, at_ms))
    return Evidence(requests, users, coverage, measured, cohorts)


def _of_cohort(
    con: Connection,
    spec: Experiment,
    plan: Plan,
    pulled: PulledWindows,
    cohort: RequestCohort,
    buckets: int,
) -> CohortEvidence:
    grid = RequestGrid(con, spec, plan, buckets, RowsOf(cohort.name))
    beside = None
    if cohort.is_without(plan.baseline):
        borrowed = RequestGrid(con, spec, plan, buckets, RowsOf(cohort.name, plan.baseline))
        beside = borrowed.evidence()
    coverage = grid.coverage(pulled.known_until("requests"))
    return CohortEvidence(grid.evidence(), coverage, beside)


def _failed_before(
    con: Connection, spec: Experiment, plan: Plan, at_ms: int
) -> dict[tuple[str, str], datetime]:
    """When an earlier look of this plan first found a metric of a candidate beyond its margin.

    It was the same metric where it measured the same of the same variants, whatever else of the
    spec was another.
    """
    asked = {
        "experiment": spec.experiment,
        "look_at": instant(at_ms),
        "since": instant(plan.start_ms),
        "is_timeless": plan.is_users_fixed_horizon,
    }
    now = json.loads(spec.model_dump_json(include={"variants", "metrics"}))
    found: dict[tuple[str, str], datetime] = {}
    rows = run(con, "aggregate/earlier_failures", **asked).fetchall()
    for text, metric, candidate, failed_at in rows:
        then = json.loads(text)
        if then["variants"] != now["variants"]:
            continue
        failed = _measures(then["metrics"].get(metric, {}))
        for name in spec.user_metrics:
            if _measures(now["metrics"][name]) == failed:
                key = name, candidate
                found[key] = min(failed_at, found.get(key, failed_at))
    return found


def _measures(metric: Mapping[str, object]) -> dict[str, object]:
    """What is measured, and how much harm is too much; not how precisely, or how it counts."""
    found = {name: metric.get(name) for name in _MEASURED}
    # A goal may not be harmed at all.
    return found | {"margin": None} if found["role"] == Role.GOAL else found
