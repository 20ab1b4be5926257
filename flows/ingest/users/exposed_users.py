"""The users of an experiment as they are known at a time, one row each, and how many they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

from flows.ingest.users.plan_splits import SplitStarts, split_number
from flows.spec.experiment import Experiment
from flows.warehouse.statements import statement

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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


def make_users_at(con: DuckDBPyConnection, spec: Experiment, known_until: datetime) -> None:
    """Makes users_at_look: all users that were exposed by then."""
    con.execute(
        statement("load/users_at_look"),
        {
            "experiment": spec.experiment,
            "variants": list(spec.variants),
            "start": spec.earliest_exposure,
            "look_at": known_until,
        },
    )


def make_users_of_days(con: DuckDBPyConnection, spec: Experiment, days: Sequence[date]) -> None:
    """Makes users_at_look: the kept users that were first exposed on some days."""
    con.execute(
        statement("load/users_of_days"), {"experiment": spec.experiment, "days": list(days)}
    )


def count_exposed(
    con: DuckDBPyConnection, spec: Experiment, *, is_kept: bool, splits: SplitStarts
) -> ExposedUsers:
    """Counts the kept users, or those of users_at_look."""

    def nobody() -> BySplit:
        return tuple(dict.fromkeys(spec.variants, 0) for _ in range(len(splits) + 1))

    exposed, mixed = ExposedUsers(dict.fromkeys(spec.variants, 0), nobody(), {}, {}, 0), 0
    asked: dict[str, object] = {"dimensions": list(spec.segments)}
    if is_kept:
        asked["experiment"] = spec.experiment
    name = "aggregate/kept_users_by_variant" if is_kept else "aggregate/users_by_variant"
    text = statement(name, split=split_number(splits, "exposed_at"))
    for day, split, variant, dimension, segment, count in con.execute(text, asked).fetchall():
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
