"""A cohort's sums of all days, from those of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from analysis.users.sums import Sums
from flows.ingest.users.daily_sums import SumsRow
from flows.ingest.users.quantities import Cohort
from flows.ingest.users.scales import Scales

# A variant, dimension and segment; the last two are empty for all users.
Part = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class CohortSums:
    """The sums of all days: of each part of the users, whole and by split (its number).

    largest: by variant, the largest value of the quantities that one user can carry.
    refused: quantities whose cap is 0, so that their sums say nothing.
    """

    whole: Mapping[Part, Sums]
    by_split: Mapping[int, Mapping[Part, Sums]]
    largest: Mapping[str, Mapping[int, float]]
    refused: frozenset[int]


def add_days(rows: Iterable[SumsRow], cohort: Cohort, scales: Scales) -> CohortSums:
    """Sums over all days."""
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
