"""How many outcomes of a name reach the users that they are compared for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class PlaceCount(NamedTuple):
    """So many at a place in time."""

    place: int
    rows: int


class DayCounts(NamedTuple):
    """Users of a variant who came on a day (ISO), and how many did it, of one user in `each`."""

    day: str
    users: int
    did: int


@dataclass(frozen=True, slots=True)
class VariantReach:
    """Outcomes of one name of one variant's users whose values are final.

    users: those users. rows: their outcomes up to the look; dated: whether all of them have the
    same time of day, as dates have. counted: rows within the window after the exposure; happened:
    of these, those that did happen; without_value: those without a value. just_before: rows within
    as long before the exposure; same_day: rows less than a day before it. alike: rows of no exposed
    user whose id is that of one of these users but for its form.
    expected_before, expected_in_window: at the rate of the rows further before the exposure, or
    after the window, how many would lie nearer than the nearest of them.
    Of a sample, one user in `each`: users_before, with a row just before; users_outside: with a row
    at any time outside the window; sampled: rows within the window, repeated: of these, those that
    equal another one; squares: of users' numbers of rows within it that did happen, the sum of the
    squares; did: users with such a row, with_row: with any within it; negative: of sampled, those
    with a value below 0.
    lost: rows that lack a name or a time; elsewhere: those that name another experiment; and of how
    many users. ahead: rows later than the last pull.
    last_ms: milliseconds since the epoch of the last row that happened; users_later: who came after
    it. days: those who came on each day.
    Of the sample's rows that happened: hours, users with some within the window by hour since the
    epoch, minutes, by minute of the hour, sizes, by four times an amount's binary logarithm (empty
    where amounts don't matter); around, rows by quarters of an hour since the exposure;
    cut, by a unit in seconds, rows at whole units that lie less than one before the exposure;
    rounded, more rows than before that lie less than one before exposures at whole units.
    """

    users: int = 0
    rows: int = 0
    dated: bool = False
    counted: int = 0
    happened: int = 0
    without_value: int = 0
    valueless: int = 0
    just_before: int = 0
    same_day: int = 0
    expected_before: float = 0.0
    expected_in_window: float = 0.0
    alike: int = 0
    each: int = 1
    users_before: int = 0
    users_outside: int = 0
    sampled: int = 0
    repeated: int = 0
    squares: float = 0.0
    did: int = 0
    with_row: int = 0
    negative: int = 0
    lost: int = 0
    users_lost: int = 0
    elsewhere: int = 0
    users_elsewhere: int = 0
    ahead: int = 0
    last_ms: int | None = None
    users_later: int = 0
    days: tuple[DayCounts, ...] = ()
    hours: tuple[PlaceCount, ...] = ()
    minutes: tuple[PlaceCount, ...] = ()
    sizes: tuple[PlaceCount, ...] = ()
    around: tuple[PlaceCount, ...] = ()
    cut: tuple[PlaceCount, ...] = ()
    rounded: tuple[PlaceCount, ...] = ()


@dataclass(frozen=True, slots=True)
class OutcomeReach:
    """Outcomes of one name that a metric is made of.

    rows: up to the look, whoever did them; foreign: of these, those of no exposed user. examples:
    an id of such a one and the exposed user's that it resembles, or any of each side. others: by
    name that no metric reads, the rows of each variant that has some. without_user: rows that lack
    one.
    strangers: rows that happened of nobody who was exposed, since the first exposure and beyond as
    many as before it; strange: of these, those whose ids are of a shape that no exposed user's has.
    exposures_dated: whether all exposures have the same time of day.
    """

    outcome: str
    rows: int
    foreign: int
    by_variant: Mapping[str, VariantReach]
    examples: tuple[str, str] | None = None
    exposures_dated: bool = False
    others: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    without_user: int = 0
    strangers: float = 0.0
    strange: float = 0.0

    @property
    def alike(self) -> int:
        """Rows of no exposed user whose id is that of one but for its form."""
        return sum(each.alike for each in self.by_variant.values())


def reach_of_counts(
    outcome: str, days: Mapping[str, Sequence[DayCounts]], last: Mapping[str, tuple[int, int]]
) -> OutcomeReach:
    """Of users who were counted elsewhere.

    last: by variant, when the last of them did it, and how many came later.
    """
    by_variant = {
        variant: VariantReach(
            users=sum(day.users for day in counts),
            happened=sum(day.did for day in counts),
            did=sum(day.did for day in counts),
            last_ms=last[variant][0] if variant in last else None,
            users_later=last[variant][1] if variant in last else 0,
            days=tuple(counts),
        )
        for variant, counts in days.items()
    }
    rows = sum(each.happened for each in by_variant.values())
    return OutcomeReach(outcome, rows=rows, foreign=0, by_variant=by_variant)
