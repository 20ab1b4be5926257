"""Every test of two shares for one look, of many pairs of variants at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.fixed.comparison import Sample
from analysis.fixed.exact import barnard, boschloo, fisher
from analysis.fixed.proportions import z_test

# With more users an exact test takes long, and says what a normal one does.
MOST_EXACT_USERS = 100
_EXACT = {"fisher": fisher, "boschloo": boschloo, "barnard": barnard}


@dataclass(frozen=True, slots=True)
class ShareTests:
    """Two-sided p-values by the name of the test, float64[pairs] each; nan where not computed.

    small: how many pairs have few enough users for exact tests. tested: how many of them, the
    first ones, have them.
    """

    p_values: dict[str, FloatArray]
    small: int
    tested: int


def share_tests(baseline: Sample, candidate: Sample, *, most_exact: int) -> ShareTests:
    """z-tests of every pair; exact tests of those of few users, until so many tables are done.

    Samples of shares, float64[pairs]. Pairs of the same users are computed together, and equal
    tables once.
    """
    users = np.stack([baseline.n, candidate.n], axis=-1)
    successes = np.round(users * np.stack([baseline.mean, candidate.mean], axis=-1))
    counts = (users[:, 0], users[:, 1]), (users[:, 0] * baseline.mean, users[:, 1] * candidate.mean)
    found = {
        "z_pooled": z_test(*counts, pooled=True).p_value,
        "z_unpooled": z_test(*counts, pooled=False).p_value,
        **{name: np.full(len(users), np.nan) for name in _EXACT},
    }
    whole = np.all((users >= 1) & (users <= MOST_EXACT_USERS) & (users == np.round(users)), axis=-1)
    small = np.flatnonzero(whole)
    tables, first, which = np.unique(
        np.concatenate([users, successes], axis=-1)[small].astype(np.int64),
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    kept = np.zeros(len(tables), dtype=np.bool_)
    kept[np.argsort(first)[:most_exact]] = True
    chosen = kept[which.reshape(-1)]
    for name, values in _exact(tables[kept]).items():
        by_table = np.full(len(tables), np.nan)
        by_table[kept] = values
        found[name][small] = by_table[which.reshape(-1)]
    return ShareTests(found, len(small), int(chosen.sum()))


def _exact(tables: IntArray) -> dict[str, FloatArray]:
    """Exact p-values of distinct tables (users and successes of both): float64[tables]."""
    found = {name: np.empty(len(tables)) for name in _EXACT}
    for n_b, n_c in {(int(b), int(c)) for b, c in tables[:, :2]}:
        rows = np.flatnonzero((tables[:, 0] == n_b) & (tables[:, 1] == n_c))
        for name, test in _EXACT.items():
            found[name][rows] = test((n_b, n_c), (tables[rows, 2], tables[rows, 3]))
    return found
