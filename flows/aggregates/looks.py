"""Sums at several looks: how their bounds are tuned, and what all looks say together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from analysis.arrays import FloatArray
from analysis.scorecard.one_direction import BoundsOverLooks
from flows.aggregates.analyzed_document import OverLooks
from flows.aggregates.groups import Group, Place, groups_of, place_of
from flows.formats.problems import FileProblem, InputError, RowFault, each_once
from flows.formats.text import counted
from flows.ingest.sources.aggregate_rows import AggregateRow

DEFAULT_USERS = 5000.0
DEFAULT_DAYS = 14.0
# The first bound is finite with two users.
_LEAST_USERS = 2.0
# So much of an earlier look may have been taken out since: bots, users who are to be forgotten.
_CORRECTED = 0.1


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


def by_place(
    rows: Sequence[AggregateRow], path: Path, baseline: str | None
) -> dict[Place, list[Group]]:
    """The looks at each metric and segment, the earliest first.

    Raises InputError as groups_of, and where a look can't be at all users so far.
    """
    found: dict[Place, list[Group]] = {}
    for group in groups_of(rows, path, baseline):
        found.setdefault(group.place, []).append(group)
    for looks in found.values():
        looks.sort(key=lambda group: group.as_of)
    _check_looks(found, rows, path)
    return found


def _check_looks(
    looks: Mapping[Place, Sequence[Group]], rows: Sequence[AggregateRow], path: Path
) -> None:
    """Raises InputError where a look lacks users of the one before it, or has other variants."""
    first = {(place_of(row), row.as_of): i for i, row in reversed([*enumerate(rows, start=1)])}
    faults = [
        (
            first[place, after.as_of],
            RowFault("", f"{' '.join(filter(None, place))}: {wrong}", wrong),
        )
        for place, groups in looks.items()
        for before, after in pairwise(groups)
        if (wrong := _unlike_earlier(before, after)) is not None
    ]
    if faults:
        once = each_once(sorted(faults, key=lambda each: each[0]), "looks")
        raise InputError([FileProblem(str(path), n, "", said, is_row=True) for n, _, said in once])


def _unlike_earlier(before: Group, after: Group) -> str | None:
    """What a look lacks of the one before, if anything."""
    now, then = f"at as_of {after.as_of:g}", f"at {before.as_of:g}"
    if set(before.variants) != set(after.variants):
        theirs, ours = (", ".join(sorted(one.variants)) for one in (before, after))
        return f"has the variants {ours} {now}, but {theirs} {then}; all looks need the same"
    if before.identity["type"] != after.identity["type"]:
        ours, theirs = after.identity["type"], before.identity["type"]
        return f"is a {ours} {now}, but a {theirs} {then}"
    for name, what, users, known in _counts(before, after):
        if users < (1 - _CORRECTED) * known:
            return (
                f"has {users:,.0f} {what} of {name} {now}, but {known:,.0f} {then}; a look is at "
                "all users so far, those of earlier looks too"
            )
    return None


def falls(looks: Mapping[Place, Sequence[Group]]) -> Iterator[str]:
    """Looks with fewer users than the one before, as a sentence: few were taken out since."""
    found = [
        f"{after.identity['metric']} has {users:,.0f} {what} of {name} at as_of {after.as_of:g}, "
        f"{known:,.0f} before"
        for groups in looks.values()
        for before, after in pairwise(groups)
        for name, what, users, known in _counts(before, after)
        if round(users) < round(known)
    ]
    if found:
        yield (
            f"users taken out since an earlier look, {counted(len(found), 'time')}: {found[0]}; "
            "bounds at all looks assume that none is"
        )


def _counts(before: Group, after: Group) -> Iterator[tuple[str, str, float, float]]:
    """By variant, what no later look has less of: its name, and how many in both looks."""
    earlier = dict(zip(before.variants, before.moments, strict=True))
    for name, found in zip(after.variants, after.moments, strict=True):
        known = earlier[name]
        yield name, "users", float(found.n), float(known.n)
        if after.identity["type"] == "proportion" and min(found.n, known.n) > 0:
            ones = float(found.n * found.mean[0]), float(known.n * known.mean[0])
            yield name, "users with the outcome", *ones


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
