"""The plan of an experiment as it is known at a time: with its start, and its real stages."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from analysis.plan import Plan
from flows.delivered_plan import delivered_plan
from flows.delivery_log import read_delivery
from flows.instants import milliseconds_of
from flows.look_plan import milliseconds, plan_of
from flows.spec import Experiment
from flows.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def plan_at(con: DuckDBPyConnection, spec: Experiment, *, at: datetime) -> Plan:
    """The plan with its start: as delivered, as configured, as observed, or the look itself."""
    delivery = read_delivery(con, spec.experiment, until=at) if spec.delivery else None
    if delivery is not None:
        return delivered_plan(spec, delivery, at_ms=milliseconds_of(at))
    bucket_ms = milliseconds(spec.plan.bucket)
    if spec.plan.start is not None:
        start_ms = milliseconds_of(spec.plan.start)
    else:
        start_ms = _observed_start(con, spec) or milliseconds_of(at)
    return plan_of(spec, start_ms=-(-start_ms // bucket_ms) * bucket_ms)


def _observed_start(con: DuckDBPyConnection, spec: Experiment) -> int | None:
    """When a candidate first had requests, or the first user came; None before that."""
    key: dict[str, object] = {"experiment": spec.experiment}
    if spec.request_metrics:
        key["candidates"] = list(spec.candidates)
        row = con.execute(statement("aggregate/first_candidate_bucket"), key).fetchone()
    else:
        con.execute(statement("load/unit_variants_table"), {"variants": list(spec.variants)})
        row = con.execute(statement("aggregate/unit_first_exposure"), key).fetchone()
    return milliseconds_of(row[0]) if row and row[0] else None
