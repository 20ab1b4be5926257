"""Sums at several looks: how their bounds are tuned, and what all looks say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray
from analysis.scorecard.one_direction import BoundsOverLooks
from flows.aggregates.analyzed_document import OverLooks
from flows.aggregates.groups import Group, Place

DEFAULT_USERS = 5000.0
DEFAULT_DAYS = 14.0
# The first bound is finite with two users.
_LEAST_USERS = 2.0


@dataclass(frozen=True, slots=True)
class Tuning:
    """What a person says of the plan: users at which bounds are tightest, or its length."""

    users: float | None = None
    days: float = DEFAULT_DAYS

    def users_of(self, looks: Sequence[Group], candidate: int) -> float | None:
        """Users of one pair at the plan's end; None where nothing says how many there will be.

        looks: of one metric, the earliest first. Nothing is taken from a later look: tuned anew at
        each, the bounds would not hold together.
        """
        if self.users is not None:
            return self.users
        first = looks[0]
        planned = first.planned_users
        if np.isnan(planned) and first.as_of > 0:
            users = sum(float(m.n) for m in first.moments)
            planned = users / first.as_of * max(self.days, first.as_of)
        if not planned > 0:
            return None
        return max(planned * _part_of(first, candidate), _LEAST_USERS)


def _part_of(group: Group, candidate: int) -> float:
    """The pair's part of all users: as configured, else as many as of any two variants."""
    share = np.array(group.share)
    if np.isfinite(share).all():
        return float((share[0] + share[candidate]) / share.sum())
    return 2 / len(group.variants)


def by_place(groups: Sequence[Group]) -> dict[Place, list[Group]]:
    """The looks at each metric and segment, the earliest first."""
    found: dict[Place, list[Group]] = {}
    for group in groups:
        found.setdefault(group.place, []).append(group)
    for looks in found.values():
        looks.sort(key=lambda group: group.as_of)
    return found


@dataclass(frozen=True, slots=True)
class Series:
    """One candidate's bounds at every look at one metric. as_of: days, float64[looks]."""

    as_of: FloatArray
    together: BoundsOverLooks


def over_looks(
    identities: Sequence[Mapping[str, str]], series: Mapping[tuple[str, ...], Series]
) -> Iterator[OverLooks]:
    """What the looks at each comparison say together, where there are several."""
    for identity in identities:
        key = series_key(identity)
        if key in series:
            found, as_of = series[key].together, series[key].as_of
            yield OverLooks(
                experiment=identity["experiment"],
                metric=identity["metric"],
                segment=identity["segment"],
                candidate=identity["candidate"],
                looks=len(as_of),
                direction=found.direction,
                declared_at=None if found.first is None else float(as_of[found.first]),
                contradicted_at=None
                if found.contradicted is None
                else float(as_of[found.contradicted]),
                lower=float(found.lower[-1]),
                upper=float(found.upper[-1]),
            )


def series_key(identity: Mapping[str, str]) -> tuple[str, ...]:
    """What tells one comparison from the others of a file."""
    return tuple(identity[name] for name in ("experiment", "metric", "segment", "candidate"))
