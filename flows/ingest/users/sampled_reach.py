"""What is told of outcomes user by user, of a sample of the users of each day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from analysis.users.outcome_reach import DayCounts, PlaceCount


class SampledReach(NamedTuple):
    """The columns of sql/aggregate/outcome_reach_sample."""

    outcome: str
    variant: str
    exposed_on: date
    sampled: int
    repeated: int
    squares: float
    users_before: int
    users_outside: int
    did: int
    with_row: int
    negative: int


_COUNTS = SampledReach._fields[3:]
# Kinds of times in sql/aggregate/outcome_times_sample, and VariantReach's fields of them.
_KINDS = {
    "hour": "hours",
    "minute": "minutes",
    "size": "sizes",
    "around": "around",
    "cut": "cut",
    "rounded": "rounded",
}
TIMES = tuple(_KINDS.values())


def by_name(rows: Iterable[Sequence[Any]]) -> Mapping[tuple[str, str], list[SampledReach]]:
    """By outcome and variant, the rows of all days."""
    found: defaultdict[tuple[str, str], list[SampledReach]] = defaultdict(list)
    for row in rows:
        each = SampledReach(*row)
        found[each.outcome, each.variant].append(each)
    return found


def of_sample(rows: Sequence[SampledReach], users: Mapping[date, int]) -> dict[str, Any]:
    """A variant's counts as VariantReach names them: of all days together, and who did it on each.

    users: all whose values are final, by day.
    """
    did = {row.exposed_on: row.did for row in rows}
    days = tuple(DayCounts(d.isoformat(), users[d], did.get(d, 0)) for d in sorted(users))
    return {"days": days} | {name: sum(getattr(row, name) for row in rows) for name in _COUNTS}


def by_time(rows: Iterable[Sequence[Any]]) -> Mapping[tuple[str, str], dict[str, Any]]:
    """By outcome and variant, when the outcomes were, as VariantReach names it."""
    found: defaultdict[tuple[str, str], dict[str, Any]] = defaultdict(
        lambda: dict.fromkeys(TIMES, ())
    )
    for outcome, variant, kind, place, count in rows:
        found[outcome, variant][_KINDS[kind]] += (PlaceCount(place, count),)
    return found
