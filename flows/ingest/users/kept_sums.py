"""Sums that are kept by day from pull to pull, so that a look costs what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from flows.ingest.coverage import users_known_until
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.daily_sums import SumsRow, sum_by_day
from flows.ingest.users.final_values import midnight
from flows.ingest.users.kept_reach import keep_reach
from flows.ingest.users.kept_scales import keep_scales
from flows.ingest.users.kept_users import asked_of, keep_users
from flows.ingest.users.plan_splits import SplitStarts, begun, split_starts
from flows.ingest.users.quantities import Cohort, cohorts_of
from flows.ingest.users.scales import Scales, scales_of
from flows.plan.effective import plan_at
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run

_DAY = timedelta(days=1)


def keep_sums(
    con: Connection, spec: Experiment, fresh: Mapping[UserRows, Sequence[str]] | None
) -> None:
    """Brings what is kept (users, scales, sums, reach) up to date after a load; costs what is new.

    fresh: by kind, the parts that are new; None if rows were replaced or taken away, so that
    everything is made anew. Sums are made anew, too, when a split begins.
    """
    known_until = users_known_until(con, spec)
    if known_until is None:
        return
    cohorts = cohorts_of(spec)
    keep_users(con, spec, cohorts, fresh, known_until)
    keep_scales(con, spec, cohorts, known_until)
    splits = begun(split_starts(plan_at(con, spec, at=known_until)), known_until)
    kept = [_keep_days(con, spec, cohort, known_until, splits) for cohort in cohorts]
    run(con, "load/forget_user_sums", experiment=spec.experiment, keep=kept)
    is_changed = fresh is None or any(fresh.values())
    keep_reach(con, spec, known_until, is_changed=is_changed)


def kept_sums(
    con: Connection, spec: Experiment, cohort: Cohort, scales: Scales, splits: SplitStarts
) -> tuple[list[SumsRow], list[date]]:
    """What is kept of a cohort, and the days of kept users of which nothing is kept yet.

    splits: those that have begun.
    """
    identity = _identity(spec, cohort, scales, splits)
    rows = run(con, "aggregate/kept_sums", experiment=spec.experiment, cohort=identity).fetchall()
    return [SumsRow(*row) for row in rows], _missing_days(con, spec, identity)


def _keep_days(
    con: Connection, spec: Experiment, cohort: Cohort, known_until: datetime, splits: SplitStarts
) -> str:
    """Keeps the sums of the days whose last user has a final value by now.

    Returns the identity of the cohort's sums.
    """
    scales = scales_of(con, spec, cohort)
    identity = _identity(spec, cohort, scales, splits)
    last = cohort.exposed_until(known_until)
    closed = [
        day
        for day in _missing_days(con, spec, identity)
        if midnight(day, known_until) + _DAY <= last
    ]
    rows = sum_by_day(
        con, spec, cohort, scales, known_until=known_until, splits=splits, days=closed
    )
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in SumsRow.__slots__}
        run(con, "load/user_sums", experiment=spec.experiment, cohort=identity, **columns)
    return identity


def _missing_days(con: Connection, spec: Experiment, identity: str) -> list[date]:
    days = run(con, "aggregate/kept_days", experiment=spec.experiment, cohort=identity).fetchall()
    return [day for day, is_stored in days if not is_stored]


def _identity(spec: Experiment, cohort: Cohort, scales: Scales, splits: SplitStarts) -> str:
    """Tells a cohort's kept sums apart from such that don't add up with them."""
    asked = asked_of(spec)
    if splits:
        asked += f" {[start.isoformat() for start in splits]}"
    return cohort.identity(scales.shifts, scales.caps, asked)
