"""Differences by rank are those of all differences in order, however they are found.

Covers analysis.kayenta.merged_runs.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.kayenta.merged_runs import merged_runs, tallied
from analysis.kayenta.ranked_differences import ranked, ranked_by_tallies, searched

FloatArray = NDArray[np.float64]

SIZES = [(1, 1), (1, 2), (2, 2), (3, 5), (7, 8), (60, 60), (120, 90)]


def _samples(kind: str, m: int, n: int) -> tuple[FloatArray, FloatArray]:
    """Ordered: float64[40, m] and float64[40, n]."""
    random = np.random.default_rng(m * 1000 + n)
    sides = [random.poisson(3, (40, size)) / 1.0 for size in (m, n)]
    if kind == "continuous":
        sides = [random.normal(3, 1, (40, size)) for size in (m, n)]
    if kind == "sparse":
        sides = [side * random.uniform(1, 2, side.shape) * (side > 3) for side in sides]
    return np.sort(sides[0], axis=1), np.sort(sides[1], axis=1)


@pytest.mark.parametrize("kind", ["continuous", "counts", "sparse"])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_ranks_are_those_of_all_differences_in_order(kind: str, m: int, n: int) -> None:
    x, y = _samples(kind, m, n)
    middle = (m * n + 1) // 2
    rank = np.random.default_rng(1).integers(1, middle + 1, len(x))
    rank[:3] = 1, middle, max(1, middle - 1)
    ordered = np.sort((x[:, :, None] - y[:, None, :]).reshape(len(x), -1), axis=1)
    places = np.stack([rank, np.full_like(rank, middle)])
    places = np.concatenate([places, m * n + 1 - places[::-1]])
    known = np.take_along_axis(ordered, places.T - 1, axis=1).T
    assert ranked(x, y, rank).tolist() == known.tolist()
    assert ranked_by_tallies(tallied(x), tallied(y), rank).tolist() == known.tolist()
    assert searched(x, y, rank) == pytest.approx(known, abs=1e-12)


@pytest.mark.parametrize("kind", ["continuous", "counts", "sparse"])
@pytest.mark.parametrize(("m", "n"), SIZES)
def test_runs_of_tallies_are_those_of_the_values(kind: str, m: int, n: int) -> None:
    x, y = _samples(kind, m, n)
    runs = merged_runs(tallied(x), tallied(y))
    above = x[:, :, None] > y[:, None, :]
    equal = x[:, :, None] == y[:, None, :]
    assert runs.ties.tolist() == equal.sum(axis=(1, 2)).tolist()
    assert runs.wins.tolist() == (above.sum(axis=(1, 2)) + equal.sum(axis=(1, 2)) / 2).tolist()
    values = [np.unique(np.concatenate(pair)).tolist() for pair in zip(x, y, strict=True)]
    assert runs.value.tolist() == [value for row in values for value in row]
    assert runs.first.tolist() == np.cumsum([0, *map(len, values)])[:-1].tolist()
