"""The users of an experiment as they are known at a time, one row each, and how many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

from flows.ingest.users.plan_splits import SplitStarts, split_number
from flows.spec.experiment import Experiment
from flows.warehouse.statements import Connection, run, statement

BySplit = tuple[dict[str, int], ...]


@dataclass(frozen=True, slots=True)
class ExposedUsers:
    """Exposed users by variant, counted; those seen in two variants apart (mixed).

    by_split: for each split; by_day, by_segment: the same by day of the first exposure, and by
    dimension and segment.
    """

    users: dict[str, int]
    by_split: BySplit
    by_day: dict[date, BySplit]
    by_segment: dict[str, dict[str, BySplit]]
    mixed: int


def users_of(*, is_kept: bool) -> str:
    """The relation of the users that are kept of an experiment, or of those of users_at_look."""
    if is_kept:
        return "(select * from exposed_users where experiment = $experiment)"
    # It has the users of one experiment; every statement takes its name all the same.
    return "(select * from users_at_look where $experiment <> '')"


def make_users_at(con: Connection, spec: Experiment, known_until: datetime) -> None:
    """Makes users_at_look: all users that were exposed by then."""
    _make(con, "load/users_at_look", spec, known_until)


def rebuild_users(con: Connection, spec: Experiment, known_until: datetime) -> None:
    """Adds all users that were exposed by then to those that are kept, where there are none."""
    _make(con, "load/rebuild_users", spec, known_until)


def _make(con: Connection, name: str, spec: Experiment, known_until: datetime) -> None:
    run(
        con,
        name,
        {"users": statement("aggregate/users_until", segments=first_segments(spec))},
        experiment=spec.experiment,
        variants=list(spec.variants),
        start=spec.earliest_exposure,
        look_at=known_until,
    )


def first_segments(spec: Experiment) -> str:
    """The expression of what a user's first exposure says of them."""
    return "arg_min(e.segments, e.exposed_at)" if spec.segments else "cast(null as varchar [])"


def make_users_of_days(con: Connection, spec: Experiment, days: Sequence[date]) -> None:
    """Makes users_at_look: the kept users that were first exposed on some days."""
    run(con, "load/users_of_days", experiment=spec.experiment, days=list(days))


def keep_exposed(
    con: Connection,
    spec: Experiment,
    asked: str,
    splits: SplitStarts,
    changed: Sequence[date] | None,
) -> None:
    """Brings up to date how many users are kept of each day; changed: the days, None for all."""
    key = {"experiment": spec.experiment}
    is_new = changed is None  # then none are kept
    if not is_new and not run(con, "aggregate/exposed_days", **key, asked=asked).fetchone():
        changed = None
    if changed == []:
        return
    if not is_new:
        run(con, "load/forget_exposed_days", **key, days=changed)
    days = "" if changed is None else " and list_contains($days, exposed_on)"
    users = f"(select * from exposed_users where experiment = $experiment{days})"
    lists = {"users": users, "split": split_number(splits, "exposed_at")}
    counted = statement("aggregate/users_by_variant", **lists)
    of_days = {} if changed is None else {"days": list(changed)}
    asked_for = {**key, "asked": asked, "dimensions": list(spec.segments), **of_days}
    run(con, "load/exposed_days", {"counted": counted}, **asked_for)


def count_exposed(
    con: Connection, spec: Experiment, *, kept_as: str | None, splits: SplitStarts
) -> ExposedUsers:
    """Counts the users that are kept, or those of users_at_look.

    kept_as: what keep_exposed was asked for, if the kept users are those of the look.
    """

    def nobody() -> BySplit:
        return tuple(dict.fromkeys(spec.variants, 0) for _ in range(len(splits) + 1))

    exposed, mixed = ExposedUsers(dict.fromkeys(spec.variants, 0), nobody(), {}, {}, 0), 0
    key = {"experiment": spec.experiment}
    rows = []
    if kept_as is not None:
        rows = run(con, "aggregate/exposed_days", **key, asked=kept_as).fetchall()
    if not rows:
        rows = run(
            con,
            "aggregate/users_by_variant",
            {
                "users": users_of(is_kept=kept_as is not None),
                "split": split_number(splits, "exposed_at"),
            },
            **key,
            dimensions=list(spec.segments),
        ).fetchall()
    for day, split, variant, dimension, segment, count in rows:
        if variant is None:
            mixed += 0 if dimension else count
        elif dimension:
            segments = exposed.by_segment.setdefault(dimension, {})
            segments.setdefault(segment, nobody())[split][variant] += count
        else:
            exposed.users[variant] += count
            exposed.by_split[split][variant] += count
            exposed.by_day.setdefault(day, nobody())[split][variant] += count
    return replace(exposed, mixed=mixed)
