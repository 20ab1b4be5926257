"""A cohort's sums of all days, from those of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from analysis.users.sums import Sums
from flows.ingest.users.daily_sums import SumsRow
from flows.ingest.users.quantities import Cohort
from flows.ingest.users.scales import Scales

# Harm is looked for in so many parts of the days, the last one of each.
_LATE_PARTS = 2, 4, 8
# A variant, dimension and segment; the last two are empty for all users.
Part = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class CohortSums:
    """The sums of all days: of each part of the users, whole and by split (its number).

    largest: by variant, the largest value of the quantities that one user can carry.
    refused: quantities whose cap is 0, so that their sums say nothing. late: those who came lately
    apart from those who came before, by several days since when.
    """

    whole: Mapping[Part, Sums]
    by_split: Mapping[int, Mapping[Part, Sums]]
    largest: Mapping[str, Mapping[int, float]]
    refused: frozenset[int]
    late: tuple[LateSums, ...] = ()


@dataclass(frozen=True, slots=True)
class LateSums:
    """The sums of users who came since a day, and of those who came before it."""

    since: date
    late: CohortSums
    before: CohortSums


def late_days(days: Iterable[date]) -> list[date]:
    """Since when users are looked at apart: of the days, the last half, quarter and eighth."""
    ordered = sorted(set(days))
    lengths = {len(ordered) // part for part in _LATE_PARTS} - {0}
    return [ordered[-length] for length in sorted(lengths, reverse=True)]


def add_days(rows: Iterable[SumsRow], cohort: Cohort, scales: Scales) -> CohortSums:
    """Sums over all days, and those of users who came late."""
    found = list(rows)
    of_all = [row for row in found if not row.dimension]
    late = tuple(
        LateSums(
            since,
            _added([row for row in of_all if row.exposed_on >= since], cohort, scales),
            _added([row for row in of_all if row.exposed_on < since], cohort, scales),
        )
        for since in late_days(row.exposed_on for row in of_all)
    )
    return replace(_added(found, cohort, scales), late=late)


def _added(rows: Iterable[SumsRow], cohort: Cohort, scales: Scales) -> CohortSums:
    by_part: dict[tuple[int, Part], list[SumsRow]] = {}
    maxima: dict[str, list[Sequence[float]]] = {}
    # DuckDB hands groups back in any order, and sums of floats depend on it.
    for row in sorted(rows, key=lambda row: row.exposed_on):
        part = (row.variant, row.dimension, row.segment)
        by_part.setdefault((row.split, part), []).append(row)
        if not row.dimension:
            maxima.setdefault(row.variant, []).append(row.maxima)
    by_split: dict[int, dict[Part, Sums]] = {}
    whole: dict[Part, Sums] = {}
    for (split, part), days in sorted(by_part.items()):
        sums = _over_days(days, cohort, scales)
        by_split.setdefault(split, {})[part] = sums
        whole[part] = whole[part] + sums if part in whole else sums
    largest = {
        variant: {
            i: float(m + scales.shifts[i])
            for i, m in zip(cohort.amounts, np.max(found, axis=0), strict=True)
        }
        for variant, found in maxima.items()
    }
    return CohortSums(whole, by_split, largest, scales.refused)


@np.errstate(over="ignore", invalid="ignore")
def _over_days(days: Sequence[SumsRow], cohort: Cohort, scales: Scales) -> Sums:
    q = len(cohort.quantities)
    first, second = (np.array(ends, dtype=np.intp) for ends in zip(*cohort.pairs, strict=True))
    products = np.zeros((q, q))
    products[first, second] = np.sum([row.products for row in days], axis=0)
    products[second, first] = products[first, second]
    users = float(sum(row.users for row in days))
    totals = np.sum([row.totals for row in days], axis=0)
    return Sums(np.array(users), np.array(scales.shifts), totals, products)
