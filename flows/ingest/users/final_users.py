"""Users whose values are final at a look, by variant and by the day on which they came."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class FinalUsers:
    """By variant, the users of each day. are_dated: whether the exposures of each variant have one
    time of day, as dates have."""

    by_day: Mapping[str, Mapping[date, int]]
    are_dated: bool

    def of(self, variant: str) -> int:
        """All of a variant."""
        return sum(self.by_day.get(variant, {}).values())


def final_users(rows: Iterable[tuple[str, date, int, int, int]]) -> FinalUsers:
    """Of the rows of sql/aggregate/final_users."""
    by_day: defaultdict[str, dict[date, int]] = defaultdict(dict)
    times: defaultdict[str, set[int]] = defaultdict(set)
    for variant, day, users, earliest, latest in rows:
        by_day[variant][day] = users
        times[variant] |= {earliest, latest}
    return FinalUsers(by_day, bool(times) and all(len(each) == 1 for each in times.values()))
