"""The plan of an experiment as it is known at a time: with its start, and its real stages."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from analysis.plan import Plan, Stage
from flows.formats.time import instant, milliseconds, milliseconds_of
from flows.plan.from_spec import compared_shares, plan_of
from flows.spec.experiment import Experiment
from flows.warehouse.delivery_log import DeliveryState, Shift, read_delivery
from flows.warehouse.statements import Connection, run


def plan_at(con: Connection, spec: Experiment, *, at: datetime) -> Plan:
    """The plan with its start: as delivered, as configured, as observed, or the look itself.

    What a person has approved of its signals since is in it.
    """
    plan = staged_plan(con, spec, at=at)
    since = {"experiment": spec.experiment, "since": instant(plan.start_ms), "until": at}
    rows = run(con, "aggregate/signal_approvals", **since).fetchall()
    return replace(plan, approved={(metric, arm): allowed for metric, arm, allowed in rows})


def look_time_of(plan: Plan, at_ms: int) -> int:
    """The end of the last whole bucket at the look; never after the plan's end.

    Before the plan's start it stays there: a look recorded at a far start would be the latest one
    for as long.
    """
    clamped = min(at_ms, plan.end_ms)
    return plan.start_ms + (clamped - plan.start_ms) // plan.bucket_ms * plan.bucket_ms


def staged_plan(con: Connection, spec: Experiment, *, at: datetime) -> Plan:
    """The same, without what a person has approved: for who only asks for its stages."""
    delivery = read_delivery(con, spec.experiment, until=at) if spec.delivery else None
    if delivery is not None:
        return delivered_plan(spec, delivery, at_ms=milliseconds_of(at))
    bucket_ms = milliseconds(spec.plan.bucket)
    if spec.plan.start is not None:
        return plan_of(spec, start_ms=_up(milliseconds_of(spec.plan.start), bucket_ms))
    observed = _observed_start(con, spec)
    planned = plan_of(spec, start_ms=_up(observed or milliseconds_of(at), bucket_ms))
    return replace(planned, is_start_observed=observed is not None)


def _observed_start(con: Connection, spec: Experiment) -> int | None:
    """When a candidate first had requests, or the first user came; None before that."""
    key: dict[str, object] = {"experiment": spec.experiment}
    if spec.request_metrics or spec.measured_metrics:
        key["candidates"] = list(spec.candidates)
        first = "first_candidate_bucket" if spec.request_metrics else "first_measured_bucket"
        row = run(con, f"aggregate/{first}", **key).fetchone()
    else:
        key |= {"variants": list(spec.variants), "start": spec.earliest_exposure}
        row = run(con, "aggregate/first_exposure", **key).fetchone()
    return milliseconds_of(row[0]) if row and row[0] else None


def delivered_plan(spec: Experiment, state: DeliveryState, *, at_ms: int) -> Plan:
    """The plan of a delivery as it was known at a look.

    Around each shift lies a stretch without a configured split: its requests are of both splits.
    A stage that goes on ends after its longest time, later if need be; the rest is yet to come. The
    tests stay tuned to the longest times, whatever the stages turn out to last.
    """
    bucket_ms = milliseconds(spec.plan.bucket)
    planned = plan_of(spec, start_ms=_up(at_ms, bucket_ms))
    longest = [milliseconds(stage.longest) for stage in spec.stages]
    stages = _stages(spec, state, longest, bucket_ms, at_ms)
    return replace(planned, stages=tuple(stages) or planned.stages, tuned_ms=sum(longest))


def _stages(
    spec: Experiment, state: DeliveryState, longest: list[int], bucket_ms: int, at_ms: int
) -> list[Stage]:
    """What has been applied, then what is to come; nothing before the first shift."""
    applied = [shift for shift in state.shifts if shift.applied_ms is not None]
    if not applied:
        return []
    stages: list[Stage] = []
    settle_ms = _settle_ms(spec)
    for shift, after in pairwise((*state.shifts, None)):
        if shift is None or shift.applied_ms is None or not 0 < shift.stage <= state.stages:
            break
        settled = _up(shift.applied_ms + settle_ms, bucket_ms)
        begin = max(settled, stages[-1].end_ms) if stages else settled
        if stages and begin > stages[-1].end_ms:
            stages.append(Stage(stages[-1].end_ms, begin, {}))
        end = _end(shift, after, begin, longest, bucket_ms, at_ms)
        stages.append(Stage(begin, end, compared_shares(spec, shift.weights)))
    if state.outcome is None:
        stages += _ahead(spec, state, stages[-1].end_ms, longest)
    return stages


def _end(
    shift: Shift, after: Shift | None, begin: int, longest: list[int], bucket_ms: int, at_ms: int
) -> int:
    if after is not None:
        return max(begin, after.decided_ms // bucket_ms * bucket_ms)
    # A spec that has been edited since may have fewer stages.
    lasts = longest[min(shift.stage, len(longest)) - 1]
    return max(begin + lasts, _up(at_ms, bucket_ms) + bucket_ms)


def _ahead(spec: Experiment, state: DeliveryState, begin: int, longest: list[int]) -> list[Stage]:
    """The stages that have not begun; after a shift that isn't applied yet, without a split."""
    pending = state.pending
    if pending is not None and not 0 < pending.stage <= state.stages:
        return []
    stages = []
    for index in range(state.stage, min(state.stages, len(spec.stages))):
        shares = compared_shares(spec, spec.stages[index].weights)
        stages.append(Stage(begin, begin + longest[index], {} if pending else shares))
        begin += longest[index]
    return stages


def _settle_ms(spec: Experiment) -> int:
    """Requests from before a shift are counted as late as at the next scrape."""
    source = spec.sources.requests
    scrape = source.scrape_interval if source else timedelta(0)
    return milliseconds(scrape + (spec.delivery.settle if spec.delivery else timedelta(0)))


def _up(ms: int, bucket_ms: int) -> int:
    return -(-ms // bucket_ms) * bucket_ms
