"""Exact tests: scipy's values, and never more false alarms than promised, by enumeration."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.stats import binom

from analysis.fixed.exact import Side, barnard, boschloo, fisher

TABLES = [
    ((7, 12), (1, 9)),
    ((10, 10), (0, 5)),
    ((15, 5), (3, 4)),
    ((20, 20), (2, 8)),
    ((30, 8), (10, 0)),
    ((6, 40), (6, 20)),
    ((12, 12), (5, 5)),
    ((1, 1), (0, 1)),
]
# scipy leaves out the mirror of the observed table, whose statistic differs in the last digit; with
# its candidate and baseline exchanged the same test gives 0.0130. Ours counts both tables.
RESCUED = {((7, 12), (1, 9), "two-sided"): 0.012187957763671872}
SIDES: tuple[Side, ...] = ("two-sided", "greater", "less")


def _scipy_table(users: tuple[int, int], successes: tuple[int, int]) -> NDArray[np.int64]:
    """Candidate first, so that "greater" means its share is larger."""
    lost = (users[1] - successes[1], users[0] - successes[0])
    return np.array([[successes[1], successes[0]], lost])


@pytest.mark.parametrize(("users", "successes"), TABLES)
@pytest.mark.parametrize("side", SIDES)
def test_p_values_are_those_of_scipy(
    users: tuple[int, int], successes: tuple[int, int], side: Side
) -> None:
    table = _scipy_table(users, successes)
    assert fisher(users, successes, side) == pytest.approx(
        stats.fisher_exact(table, alternative=side).pvalue, rel=1e-9
    )
    assert boschloo(users, successes, side) == pytest.approx(
        stats.boschloo_exact(table, alternative=side, n=256).pvalue, rel=2e-3
    )
    expected = stats.barnard_exact(table, alternative=side, n=256).pvalue
    assert barnard(users, successes, side) == pytest.approx(
        RESCUED.get((users, successes, side), expected), rel=2e-3
    )


@pytest.mark.parametrize("of_baseline", range(1, 13))
def test_size_is_at_most_alpha_for_every_pair_of_sizes(of_baseline: int) -> None:
    """Every table of every two sizes up to 12, at 101 common shares.

    The largest chance of a p-value of at most alpha is that of some extreme tables, so all levels
    at which the test can alarm are held against their own size, not only the usual ones.
    """
    shares = np.linspace(0, 1, 101)
    for of_candidate in range(1, 13):
        users = (of_baseline, of_candidate)
        tables = np.indices((of_baseline + 1, of_candidate + 1)).reshape(2, -1)
        arms = [binom.pmf(x[:, None], n, shares) for x, n in zip(tables, users, strict=True)]
        chance = np.asarray(arms[0] * arms[1])
        for test, side in product((fisher, barnard, boschloo), SIDES):
            p_values = test(users, (tables[0], tables[1]), side)
            order = np.argsort(p_values, kind="stable")
            size = np.cumsum(chance[order], axis=0).max(axis=1)
            last = np.append(np.diff(p_values[order]) > 1e-9, True)
            excess = size[last] - p_values[order][last]
            assert excess.max() <= 1e-9, (test.__name__, users, side)


def test_several_tables_at_once_are_each_of_them_alone() -> None:
    successes = (np.array([0, 3, 9]), np.array([4, 3, 1]))
    for test, side in product((fisher, barnard, boschloo), SIDES):
        alone = [float(test((12, 7), (b, c), side)) for b, c in zip(*successes, strict=True)]
        np.testing.assert_allclose(test((12, 7), successes, side), alone, rtol=1e-12)


def test_boschloo_is_never_weaker_than_fisher() -> None:
    for table in product(range(9), range(13)):
        assert boschloo((8, 12), table, "greater") <= fisher((8, 12), table, "greater") + 1e-9


def test_impossible_and_huge_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and the users"):
        fisher((5, 5), (6, 1))
    with pytest.raises(ValueError, match="too many for an exact test"):
        boschloo((10_000, 10_000), (1, 2))
