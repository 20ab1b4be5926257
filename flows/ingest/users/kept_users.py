"""Users as first exposed, kept from pull to pull, so that a pull costs what is new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from flows.ingest.sources.user_rows import UserRows
from flows.ingest.users.exposed_users import first_segments, rebuild_users
from flows.ingest.users.quantities import Cohort, dimensions_of
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, joined_as_written, run


def keep_users(
    con: Connection,
    spec: Experiment,
    cohorts: Sequence[Cohort],
    fresh: Mapping[UserRows, Sequence[str]] | None,
    known_until: datetime,
) -> list[date] | None:
    """Brings the kept users up to date, and forgets the sums of the days that this touches.

    Returns the days whose users are others now; None if all are made anew. fresh: by kind, the
    parts that are new; None if all is to be made anew. So it is where the plan ends earlier now.
    """
    key = {"experiment": spec.experiment}
    state = run(con, "aggregate/user_state", **key).fetchone()
    is_later = state is not None and known_until >= state[1]
    if fresh is None or state is None or state[0] != asked_of(spec) or not is_later:
        if state is not None:
            forget_kept(con, spec.experiment)
        rebuild_users(con, spec, known_until)
        changed = None
    else:
        _take_in(con, spec, cohorts, fresh, state[1], known_until)
        changed = [day for (day,) in run(con, "aggregate/fresh_days").fetchall()]
        run(con, "load/forget_user_state", **key)
    run(con, "load/user_state", **key, asked=asked_of(spec), known_until=known_until)
    return changed


def forget_kept(con: Connection, experiment: str) -> None:
    """Forgets the users that are kept of an experiment, and what was made of them.

    The next pull then makes them all anew, not only those of new parts.
    """
    run(con, "load/forget_users", experiment=experiment)
    run(con, "load/forget_user_state", experiment=experiment)
    run(con, "load/forget_outcome_reach", experiment=experiment)
    run(con, "load/forget_user_sums", experiment=experiment, keep=[])
    run(con, "load/forget_exposed_days", experiment=experiment, days=None)
    run(con, "load/forget_kept_cohorts", experiment=experiment)


def is_kept_at(con: Connection, spec: Experiment, known_until: datetime) -> bool:
    """Whether the kept users are those that were known at that time."""
    state = run(con, "aggregate/user_state", experiment=spec.experiment).fetchone()
    return state is not None and state == (asked_of(spec), known_until)


def asked_of(spec: Experiment) -> str:
    """Identity of the variants, segments and start that kept users and sums are of."""
    crossed = [name for name in dimensions_of(spec) if name not in spec.segments]
    since = f" {spec.plan.start.isoformat()}" if spec.plan.start else ""
    return (
        f"{sorted(spec.variants)} {list(spec.segments)}"
        + (f" {crossed}" if crossed else "")
        + since
    )


def _take_in(
    con: Connection,
    spec: Experiment,
    cohorts: Sequence[Cohort],
    fresh: Mapping[UserRows, Sequence[str]],
    since: datetime,
    until: datetime,
) -> None:
    """Adds what new parts say, and forgets the sums of the days that they touch."""
    key = {"experiment": spec.experiment}
    run(
        con,
        "load/fresh_users",
        {"segments": first_segments(spec)},
        **key,
        variants=list(spec.variants),
        parts=list(fresh.get(UserRows.EXPOSURES, ())),
        known_until=since,
        start=spec.earliest_exposure,
        until=until,
    )
    before = max((c.reach_us[0] for c in cohorts), default=0)
    after = max((c.reach_us[1] for c in cohorts), default=0)
    with joined_as_written(con):
        run(
            con,
            "load/user_dirty_days",
            **key,
            parts=list(fresh.get(UserRows.OUTCOMES, ())),
            before_us=before,
            after_us=after,
        )
    run(con, "load/forget_user_days", **key)
    run(con, "load/update_users", **key)
    run(con, "load/add_users", **key)
