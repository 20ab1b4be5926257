"""How many users an experiment expects: fixed before its users are compared a second time.

Bounds that hold at every look are tightest at one number of users, which may depend on anything
known before the comparison, but not on the looks themselves: chosen anew at each look, the bounds
would no longer hold together. So the spec says it, or the first look sets it for good.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.evidence import UserEvidence
from analysis.plan import Plan
from flows.formats.time import instant, milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.look.first_time import FirstTime
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

_DAY_MS = 86_400_000
# One user can't be compared; with two the first bound is finite.
_LEAST_USERS = 2


def with_expected_users(
    con: Connection, spec: Experiment, plan: Plan, users: UserEvidence | None, *, at_ms: int
) -> tuple[Plan, tuple[FirstTime, ...]]:
    """The plan with the users it expects; at the first look also the rate to be written down.

    The rate counts exposed users, whatever they did afterwards. It stays as it is when the spec or
    the data changes. The plan is as it was where nothing can be said.
    """
    if users is None:
        return plan, ()
    if spec.plan.users is not None:
        return replace(plan, users=float(spec.plan.users)), ()
    rate = _known_rate(con, spec)
    first: tuple[FirstTime, ...] = ()
    if rate is None:
        rate, until_ms = _seen_rate(con, spec, plan, users, at_ms)
        if rate is None:
            return plan, ()
        key = {"experiment": spec.experiment}
        seen = {"users_per_day": rate, "known_until": instant(until_ms)}
        first = (FirstTime("aggregate/user_rate", "load/user_rate", key, seen),)
    return replace(plan, users=rate * plan.planned_ms / _DAY_MS), first


def rate_of_arrivals(
    con: Connection, spec: Experiment, plan: Plan, users: UserEvidence | None, *, at_ms: int
) -> float | None:
    """Users a day, as written down or else as seen up to a look; None where nothing can be said."""
    if users is None:
        return None
    known = _known_rate(con, spec)
    return _seen_rate(con, spec, plan, users, at_ms)[0] if known is None else known


def _known_rate(con: Connection, spec: Experiment) -> float | None:
    row = run(con, "aggregate/user_rate", experiment=spec.experiment).fetchone()
    return float(row[0]) if row else None


def _seen_rate(
    con: Connection, spec: Experiment, plan: Plan, users: UserEvidence, at_ms: int
) -> tuple[float | None, int]:
    """Users a day since the first one came (or the start, where only counters say), if any.

    Returns also up to when they are known.
    """
    exposed = sum(users.exposed.values())
    pulled = users_known_until(con, spec)
    until_ms = at_ms if pulled is None else min(at_ms, milliseconds_of(pulled))
    row = run(
        con,
        "aggregate/first_exposure",
        experiment=spec.experiment,
        variants=list(spec.variants),
        start=spec.earliest_exposure,
    ).fetchone()
    since_ms = milliseconds_of(row[0]) if row and row[0] else plan.start_ms
    if exposed < _LEAST_USERS or until_ms <= since_ms:
        return None, until_ms
    return exposed * _DAY_MS / (until_ms - since_ms), until_ms
