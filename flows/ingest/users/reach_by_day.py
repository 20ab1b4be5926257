"""Where outcomes lie in time for the users first exposed on each day: kept, so that it adds up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, timedelta
from operator import attrgetter
from typing import Any

from analysis.users.outcome_reach import VariantReach
from flows.ingest.users.final_values import midnight

_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayReach:
    """The columns of sql/aggregate/outcome_reach; variant is '' for users who aren't compared."""

    exposed_on: date
    outcome: str
    variant: str
    rows: int
    counted: int
    happened: int
    without_value: int
    just_before: int
    same_day: int
    before: int
    after: int
    earliest: int
    first_before: int | None
    first_after: int | None
    latest: int
    last_before: int | None
    last_after: int | None
    last_happened: int | None

    def __add__(self, other: DayReach) -> DayReach:
        """Of both rows' outcomes, which no outcome is in twice; the day says nothing then."""
        mine, others = _values(self), _values(other)
        counts = (a + b for a, b in zip(mine[_COUNTS], others[_COUNTS], strict=True))
        least = map(_least, mine[_LEAST], others[_LEAST])
        greatest = map(_greatest, mine[_GREATEST], others[_GREATEST])
        return DayReach(*mine[:3], *counts, *least, *greatest)

    def reach(self, users: int, from_us: int, until_us: int) -> VariantReach:
        """What it says of a variant with so many users, whose outcomes count between two times."""
        return VariantReach(
            users=users,
            rows=self.rows,
            dated=self.earliest == self.latest,
            counted=self.counted,
            happened=self.happened,
            without_value=self.without_value,
            just_before=self.just_before,
            same_day=self.same_day,
            last_ms=None if self.last_happened is None else self.last_happened // 1000,
            expected_before=_nearer(
                self.before, self.first_before, self.last_before, -(self.last_before or 0), until_us
            ),
            expected_in_window=_nearer(
                self.after,
                self.first_after,
                self.last_after,
                (self.first_after or 0) - from_us,
                until_us,
            ),
        )


_NAMES = [field.name for field in fields(DayReach)]
_values: Callable[[DayReach], tuple[Any, ...]] = attrgetter(*_NAMES)
_COUNTS = slice(_NAMES.index("rows"), _NAMES.index("earliest"))
_LEAST = slice(_NAMES.index("earliest"), _NAMES.index("latest"))
_GREATEST = slice(_NAMES.index("latest"), None)


def _least(a: int | None, b: int | None) -> int | None:
    return min((each for each in (a, b) if each is not None), default=None)


def _greatest(a: int | None, b: int | None) -> int | None:
    return max((each for each in (a, b) if each is not None), default=None)


def _nearer(rows: int, first: int | None, last: int | None, gap: int, until_us: int) -> float:
    """As many rows as there would be in a gap, if they came as often as those between two times."""
    if first is None or last is None:
        return 0.0
    return rows * gap / max(last - first, until_us)


@dataclass(frozen=True, slots=True)
class ReachBefore:
    """What an earlier pull found: by span, of days whose users had all their final values.

    since: up to when; parts: of outcomes that came after it.
    """

    since: datetime
    parts: Sequence[str]
    days: Mapping[str, Sequence[DayReach]] = field(default_factory=dict)


def together(rows: Iterable[DayReach]) -> dict[tuple[str, str], DayReach]:
    """By outcome and variant, those of all days."""
    found: dict[tuple[str, str], DayReach] = {}
    for row in rows:
        key = row.outcome, row.variant
        found[key] = found[key] + row if key in found else row
    return found


def by_day(rows: Iterable[DayReach]) -> list[DayReach]:
    """Each day, outcome and variant once."""
    found: dict[tuple[date, str, str], DayReach] = {}
    for row in rows:
        key = row.exposed_on, row.outcome, row.variant
        found[key] = found[key] + row if key in found else row
    return list(found.values())


def closed(rows: Iterable[DayReach], exposed_until: datetime) -> list[DayReach]:
    """Those of days whose users were all exposed by then."""
    return [r for r in rows if midnight(r.exposed_on, exposed_until) + _DAY <= exposed_until]


def written(rows: Iterable[DayReach]) -> list[list[Any]]:
    """As JSON has them."""
    return [[row.exposed_on.isoformat(), *_values(row)[1:]] for row in rows]


def read_days(days: Mapping[str, Sequence[Sequence[Any]]]) -> dict[str, list[DayReach]]:
    """By span, what `written` wrote."""
    return {
        span: [DayReach(date.fromisoformat(row[0]), *row[1:]) for row in rows]
        for span, rows in days.items()
    }
