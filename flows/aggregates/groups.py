"""Aggregates by metric and segment: each variant's sums, and what contradicts itself in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.users.running_totals import are_running_totals
from analysis.users.sums import Moments, Sums
from flows.formats.problems import FileProblem, InputError, RowFault, each_once
from flows.ingest.sources.aggregate_rows import VALUE, AggregateRow, sums_by_day

Shape = tuple[str, bool, bool, int]
# Experiment, metric and segment.
Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Group:
    """The variants of one metric and segment, baseline first.

    share: each variant's configured share of the users; nan where none is said.
    strata: each variant's sums by stratum; empty where the rows name none.
    as_of: days since the start, of a look; planned_users: of all variants; nan where not said.
    """

    identity: dict[str, str]
    variants: tuple[str, ...]
    moments: tuple[Moments, ...]
    share: tuple[float, ...]
    has_covariate: bool
    strata: tuple[tuple[Sums, ...], ...] = ()
    as_of: float = float("nan")
    planned_users: float = float("nan")

    @property
    def place(self) -> Place:
        """What its looks have in common."""
        return self.identity["experiment"], self.identity["metric"], self.identity["segment"]

    @property
    def shape(self) -> Shape:
        """Groups of one shape are computed together."""
        return self.identity["type"], self.has_covariate, bool(self.strata), len(self.variants)


def place_of(row: AggregateRow) -> Place:
    """What the rows of one comparison have in common."""
    return row.experiment, row.metric, row.segment


def groups_of(rows: Sequence[AggregateRow], path: Path, baseline: str | None) -> list[Group]:
    """The rows by metric and segment, those of one variant added.

    The baseline is the named variant, else the metric's first one in the file, in all of its
    segments and looks: the rows of each may stand in any order.
    Raises InputError where a metric has no baseline, no candidate, or rows that contradict.
    """
    firsts: dict[tuple[str, str], str] = {}
    for row in rows:
        firsts.setdefault((row.experiment, row.metric), row.variant)
    looks: dict[tuple[Place, float | None], dict[str, list[AggregateRow]]] = {}
    for row in rows:
        look = looks.setdefault((place_of(row), row.as_of), {})
        look.setdefault(row.variant, []).append(row)
    timeless = {place for place, as_of in looks if as_of is None}
    faults, found = list[tuple[int, RowFault]](), []
    for (place, as_of), variants in looks.items():
        experiment, metric, segment = place
        name = " ".join(part for part in place if part)
        first = baseline or firsts[experiment, metric]
        wrong = _contradiction(variants, first)
        if as_of is not None and place in timeless:
            wrong = "has an as_of in some rows only; give it in all or none"
        if wrong is not None:
            number = _row_number(rows, variants)
            faults.append((number, RowFault("", f"{name}: {wrong}", wrong)))
            continue
        order = (first, *(each for each in variants if each != first))
        any_row = variants[first][0]
        found.append(
            Group(
                {
                    "experiment": experiment,
                    "metric": metric,
                    "segment": segment,
                    "type": any_row.type,
                    "baseline": first,
                },
                order,
                tuple(_total(variants[each]).moments for each in order),
                tuple(_share(variants[each]) for each in order),
                any_row.has_covariate,
                _strata([variants[each] for each in order]),
                float("nan") if as_of is None else as_of,
                any_row.planned_users or float("nan"),
            )
        )
    if faults:
        once = each_once(faults, f"of {len(looks):,} comparisons")
        raise InputError([FileProblem(str(path), n, "", said, is_row=True) for n, _, said in once])
    return found


def _row_number(rows: Sequence[AggregateRow], variants: dict[str, list[AggregateRow]]) -> int:
    """Where the metric's first row stands in the file, from 1."""
    first = next(iter(variants.values()))[0]
    return next(i for i, row in enumerate(rows, start=1) if row is first)


def _contradiction(variants: dict[str, list[AggregateRow]], baseline: str) -> str | None:
    """What is wrong with the rows of one metric, if anything."""
    if baseline not in variants and len(variants) > 1:
        return f"has no variant {baseline!r}, the baseline; there are {', '.join(variants)}"
    if len(variants) < 2:
        return f"has only the variant {next(iter(variants))!r}; it needs a baseline and a candidate"
    rows = [row for same in variants.values() for row in same]
    if len({row.type for row in rows}) > 1:
        return f"is of several types: {', '.join(sorted({row.type for row in rows}))}"
    for field, given in (
        ("covariate", {row.has_covariate for row in rows}),
        ("stratum", {row.stratum != "" for row in rows}),
    ):
        if len(given) > 1:
            return f"has a {field} in some rows only; give it in all or none"
    days = [list(sums_by_day(same).values()) for same in variants.values()]
    several = any(len({row.share for row in same}) > 1 for same in variants.values())
    wrong = {
        "has several configured shares for one variant": several,
        "has running totals by day; give each day the users of that day alone": (
            are_running_totals(days, VALUE)
        ),
    }
    return next((said for said, is_so in wrong.items() if is_so), None)


def _share(rows: Sequence[AggregateRow]) -> float:
    share = rows[0].share
    return float("nan") if share is None else share


def _strata(variants: Sequence[Sequence[AggregateRow]]) -> tuple[tuple[Sums, ...], ...]:
    """By variant and stratum; a stratum that a variant has no row of has no users."""
    names = sorted({row.stratum for rows in variants for row in rows} - {""})
    nobody = Sums(np.array(0.0), np.zeros(3), np.zeros(3), np.zeros((3, 3)))
    if not names:
        return ()
    return tuple(
        tuple(
            _total(kept) if (kept := [row for row in rows if row.stratum == name]) else nobody
            for name in names
        )
        for rows in variants
    )


def _total(rows: Sequence[AggregateRow]) -> Sums:
    total = rows[0].sums
    for row in rows[1:]:
        total = total + row.sums
    return total
