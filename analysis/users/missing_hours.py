"""Hours of which one variant has hardly any outcomes, and another has them: they were lost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from analysis.users.outcome_reach import PlaceCount, VariantReach

# So many have to be expected at one place, that hardly any is no chance of many places.
_SOME_AT_A_PLACE, _HARDLY_ANY = 20.0, 0.2
_SURELY_MISSING, _BEYOND_CHANCE = 20, 5.0
_DAY, _HOUR = 24, 60
# So many minutes of every hour, one after another, are an outage.
_LEAST_MINUTES = 5
# Longer outages are those of days.
_LONGEST_RUN = 7 * _DAY

Places = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MissingHours:
    """share: what is missing, over what there is; what: a sentence's part on when."""

    share: float
    what: str


@dataclass(frozen=True, slots=True)
class _Counts:
    """Users with an outcome at each place in time, of two variants: float64[places]."""

    mine: NDArray[np.float64]
    others: NDArray[np.float64]

    def missing(self, lost: Places) -> float:
        """The share that is missing at the lost places, by what the rest has; 0 if that is chance.

        Those that are lost make what is expected too low, so that it is surely expected.
        """
        seen, beside = float(self.mine[lost].sum()), float(self.others[lost].sum())
        elsewhere, others = float(self.mine[~lost].sum()), float(self.others[~lost].sum())
        if not beside or not elsewhere or not others:
            return 0.0
        ratio = (elsewhere + seen) / (others + beside)
        lacks = ratio * beside - seen
        spread = math.sqrt(ratio * beside * (1 + ratio))
        is_chance = lacks <= max(_SURELY_MISSING, _BEYOND_CHANCE * spread)
        if is_chance or seen > _HARDLY_ANY * ratio * beside:
            return 0.0
        return (elsewhere / others * beside - seen) / (elsewhere + seen)

    def single(self) -> Places:
        """All places at which hardly any are, where enough are expected."""
        expected = self._expected()
        places: Places = (np.minimum(expected, self.others) >= _SOME_AT_A_PLACE) & (
            self.mine <= _HARDLY_ANY * expected
        )
        return places

    def run(self, length: int) -> Places:
        """The places, one after another, at most so many, of which most are missing."""
        seen, expected = (
            np.concatenate([[0.0], np.cumsum(counts)]) for counts in (self.mine, self._expected())
        )
        most, first, end = 0.0, 0, 0
        for steps in range(1, min(length, len(self.mine)) + 1):
            beside = expected[steps:] - expected[:-steps]
            there = seen[steps:] - seen[:-steps]
            lacks = np.where(there <= _HARDLY_ANY * beside, beside - there, 0.0)
            at = int(np.argmax(lacks))
            if lacks[at] > most:
                most, first, end = float(lacks[at]), at, at + steps
        lost: Places = np.zeros(len(self.mine), dtype=np.bool_)
        lost[first:end] = True
        return lost

    def run_around(self) -> Places:
        """The same where the first place comes after the last one, as hours of the day do."""
        twice = _Counts(np.tile(self.mine, 2), np.tile(self.others, 2))
        first, second = np.split(twice.run(len(self.mine) - 1), 2)
        return np.asarray(first | second, dtype=np.bool_)

    def long_run_around(self) -> tuple[Places, ...]:
        """The same if some places of it have others': users who come at fixed minutes have few."""
        lost = self.run_around()
        return (lost,) if np.count_nonzero(self.others[lost]) >= _LEAST_MINUTES else ()

    def _expected(self) -> NDArray[np.float64]:
        return float(self.mine.sum()) / max(float(self.others.sum()), 1.0) * self.others


def missing_hours(few: VariantReach, many: VariantReach) -> MissingHours | None:
    """What the first of two variants lacks at places in time where the other one has outcomes."""
    if not few.hours or not many.hours:
        return None
    return max(_missing(few, many), key=lambda each: each.share, default=None)


def _missing(few: VariantReach, many: VariantReach) -> Iterator[MissingHours]:
    """An outage of hours, of days, of the same hours of every day, or minutes of every hour."""
    first = min(few.hours[0].place, many.hours[0].place) // _DAY * _DAY
    length = max(few.hours[-1].place, many.hours[-1].place) - first + 1
    length = -(-length // _DAY) * _DAY
    mine, others = (_counts(each.hours, first, length) for each in (few, many))
    hours = _Counts(mine, others)
    days = _Counts(*(each.reshape(-1, _DAY).sum(axis=1) for each in (mine, others)))
    daily = _Counts(*(each.reshape(-1, _DAY).sum(axis=0) for each in (mine, others)))
    minutes = _Counts(*(_counts(each.minutes, 0, _HOUR) for each in (few, many)))

    def hour(at: int) -> str:
        return f"{datetime.fromtimestamp((first + at) * 3600, UTC):%Y-%m-%d %H:%M} UTC"

    def day(at: int) -> str:
        return f"{datetime.fromtimestamp((first + at * _DAY) * 3600, UTC):%Y-%m-%d}"

    kinds: tuple[tuple[str, _Counts, tuple[Places, ...], Callable[[int], str]], ...] = (
        ("hours", hours, (hours.single(), hours.run(_LONGEST_RUN)), hour),
        ("days", days, (days.single(),), day),
        ("hours of the day", daily, (daily.single(), daily.run_around()), "{:02}:00 UTC".format),
        ("minutes of the hour", minutes, minutes.long_run_around(), ":{:02}".format),
    )
    for name, counts, sets, shown in kinds:
        for lost in sets:
            share = counts.missing(lost)
            if share > 0:
                worst = int(np.argmax(np.where(lost, counts.others, -1.0)))
                among = np.count_nonzero(counts.others)
                what = f"{np.count_nonzero(lost & (counts.others > 0))} of {among} {name}"
                yield MissingHours(share, f"{what}, such as {shown(worst)}")


def _counts(found: tuple[PlaceCount, ...], first: int, length: int) -> NDArray[np.float64]:
    counts = np.zeros(length)
    for place, rows in found:
        counts[place - first] = rows
    return counts
