"""Sums that are kept by day from pull to pull, so that a look costs what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from flows.formats.time import instant, milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.daily_sums import SumsRow, sum_by_day
from flows.ingest.users.exposed_users import keep_exposed
from flows.ingest.users.final_values import midnight
from flows.ingest.users.kept_reach import keep_reach
from flows.ingest.users.kept_scales import keep_scales
from flows.ingest.users.kept_users import asked_of, keep_users
from flows.ingest.users.plan_splits import SplitStarts, begun, split_starts
from flows.ingest.users.quantities import Cohort, cohorts_of
from flows.ingest.users.scales import Scales, scales_of
from flows.plan.effective import look_time_of, staged_plan
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
    pulled_until = users_known_until(con, spec)
    if pulled_until is None:
        return
    key = {"experiment": spec.experiment}
    cohorts = cohorts_of(spec)
    known_until, all_splits = look_at_pull(con, spec, pulled_until)
    changed = keep_users(con, spec, cohorts, fresh, known_until)
    splits = begun(all_splits, known_until)
    keep_exposed(con, spec, users_asked(spec, splits), splits, changed)
    keep_scales(con, spec, cohorts, known_until)
    if changed is not None:
        run(con, "load/forget_kept_cohorts", **key)
    kept = {
        _keep_days(con, spec, cohort, known_until, splits, is_new=changed is None)
        for cohort in cohorts
    }
    if changed is not None:
        run(con, "load/forget_user_sums", **key, keep=[*kept, *map(_open_days_of, kept)])
    parts = None if fresh is None else fresh.get(UserRows.OUTCOMES, ())
    keep_reach(con, spec, known_until, pulled_until, parts=parts, changed=changed)


def look_at_pull(
    con: Connection, spec: Experiment, pulled_until: datetime
) -> tuple[datetime, SplitStarts]:
    """The time of a look at a pull, as of which sums are kept, and when the plan's splits begin.

    It is the end of the last whole bucket, and never after the plan's end.
    """
    plan = staged_plan(con, spec, at=pulled_until)
    return instant(look_time_of(plan, milliseconds_of(pulled_until))), split_starts(plan)


def kept_sums(
    con: Connection, spec: Experiment, cohort: Cohort, scales: Scales, splits: SplitStarts
) -> tuple[list[SumsRow], list[date]]:
    """What is kept of a cohort, and the days of kept users of which nothing is kept yet.

    splits: those that have begun.
    """
    identity = _identity(spec, cohort, scales, splits)
    asked = {"experiment": spec.experiment}
    is_whole = run(con, "aggregate/is_whole_cohort", **asked, cohort=identity).fetchone()
    cohorts = [identity, _open_days_of(identity)] if is_whole else [identity]
    rows = run(con, "aggregate/kept_sums", **asked, cohorts=cohorts).fetchall()
    missing = [] if is_whole else _missing_days(con, spec, identity)
    return [SumsRow(*row) for row in rows], missing


def users_asked(spec: Experiment, splits: SplitStarts) -> str:
    """Identity of what kept users are counted by; splits: those that have begun."""
    starts = f" {[start.isoformat() for start in splits]}" if splits else ""
    return asked_of(spec) + starts


def _keep_days(
    con: Connection,
    spec: Experiment,
    cohort: Cohort,
    known_until: datetime,
    splits: SplitStarts,
    *,
    is_new: bool,
) -> str:
    """Keeps the sums of days on which users have a final value by now.

    Those of days whose last user has one are kept from pull to pull, the others' made anew. is_new:
    whether nothing is kept. Returns the identity of the cohort's sums.
    """
    scales = scales_of(con, spec, cohort)
    identity = _identity(spec, cohort, scales, splits)
    last = cohort.exposed_until(known_until)
    days = [day for day in _missing_days(con, spec, identity) if day <= last.date()]
    rows = sum_by_day(con, spec, cohort, scales, known_until=known_until, splits=splits, days=days)
    key = {"experiment": spec.experiment}
    if not is_new:
        run(con, "load/forget_cohort", **key, cohort=_open_days_of(identity))
    closed = {day for day in days if midnight(day, known_until) + _DAY <= last}
    for name, found in (
        (identity, [row for row in rows if row.exposed_on in closed]),
        (_open_days_of(identity), [row for row in rows if row.exposed_on not in closed]),
    ):
        if found:
            columns = {field: [getattr(row, field) for row in found] for field in SumsRow.__slots__}
            run(con, "load/user_sums", **key, cohort=name, **columns)
    places = [1 + cohort.shown_places.index(place) for place in cohort.shown.values()]
    shown = {"metrics": list(cohort.shown), "places": places}
    run(con, "load/kept_cohort", **key, cohort=identity, **shown)
    return identity


def _open_days_of(identity: str) -> str:
    """The name of a cohort's sums of days on which some users have no final value yet."""
    return f"{identity}+"


def _missing_days(con: Connection, spec: Experiment, identity: str) -> list[date]:
    days = run(con, "aggregate/kept_days", experiment=spec.experiment, cohort=identity).fetchall()
    return [day for day, is_stored in days if not is_stored]


def _identity(spec: Experiment, cohort: Cohort, scales: Scales, splits: SplitStarts) -> str:
    """Tells a cohort's kept sums apart from such that don't add up with them."""
    return cohort.identity(scales.shifts, scales.caps, users_asked(spec, splits))
