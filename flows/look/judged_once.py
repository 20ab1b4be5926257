"""Users without times are judged once: by a test that holds for one look at one set of rows."""

from __future__ import annotations

import hashlib
import json

from analysis.metric_result import Classification
from analysis.plan import Plan, Unit
from analysis.quality.quality_check import QualityCheck
from analysis.verdict import Decision, Verdict
from flows.formats.time import instant
from flows.ingest.users.known_aggregates import read_known_aggregates
from flows.look.first_time import FirstTime
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run


def check_judged_once(
    con: Connection, spec: Experiment, plan: Plan, *, at_ms: int
) -> tuple[QualityCheck, ...]:
    """A failed check where an earlier look has judged other rows of the same plan's users."""
    if not _is_the_look(plan, at_ms):
        return ()
    start = instant(plan.start_ms)
    row = run(
        con, "aggregate/judged_users", experiment=spec.experiment, plan_start=start
    ).fetchone()
    if row is None or row[2] == _checksum(con, spec):
        return ()
    field = "sources.users.at" if spec.sources.sums is None else "sources.users.by_day"
    detail = (
        f"users without times are judged once, and were at the look of {row[0]:%Y-%m-%d %H:%M} UTC "
        f"({row[1]}); their source has other rows now, for which that test doesn't hold. Set a new "
        f"plan.start for other users, or {field} to judge them over time"
    )
    return (QualityCheck("judged once", False, detail),)


def first_judged(
    con: Connection, spec: Experiment, plan: Plan, verdict: Verdict, *, at_ms: int
) -> tuple[FirstTime, ...]:
    """Which rows a verdict rests on, if it is the first that compares users without times.

    One that is invalid, or that knows nothing of any metric of theirs, compares nothing.
    """
    of_users = [m for m in verdict.metrics if m.unit is Unit.USER]
    compared = any(m.classification is not Classification.NO_DATA for m in of_users)
    is_trusted = verdict.decision is not Decision.INVALID and all(c.passed for c in verdict.quality)
    if not (_is_the_look(plan, at_ms) and is_trusted and compared):
        return ()
    found = FirstTime(
        "aggregate/judged_users",
        "load/judged_users",
        {"experiment": spec.experiment, "plan_start": instant(plan.start_ms)},
        {
            "judged_at": instant(at_ms),
            "decision": verdict.decision.value,
            "users": _checksum(con, spec),
        },
    )
    return () if found.is_taken(con) else (found,)


def _is_the_look(plan: Plan, at_ms: int) -> bool:
    return plan.is_users_fixed_horizon and at_ms >= plan.last_look_ms


def _checksum(con: Connection, spec: Experiment) -> str:
    """Of all rows of the users, in whatever files and order they came."""
    if spec.sources.sums is not None:
        known = read_known_aggregates(con, spec)
        rows = [
            f"{name} {each.variant} {each.row.model_dump_json()}"
            for name, of_metric in known.by_metric.items()
            for each in of_metric
        ]
        return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()
    rows_of_users = run(con, "aggregate/user_rows_checksum", experiment=spec.experiment)
    return json.dumps(rows_of_users.fetchall())
