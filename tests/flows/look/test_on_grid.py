"""Rows that have numbers for their places are laid out as a loop over them would."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from flows.look.on_grid import GridCells, distinct, on_grid, steps_since


@pytest.mark.parametrize("seed", range(20))
def test_rows_are_summed_in_their_cells(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape, rows = (3, 4, 5), int(rng.integers(0, 200))
    places = tuple(rng.integers(0, size, rows).astype(np.int32) for size in shape)
    amounts = rng.integers(0, 1 + seed % 2 * 9, rows)
    wanted, many = np.zeros(shape), np.zeros(shape, np.int64)
    for *at, amount in zip(*places, amounts, strict=True):
        wanted[tuple(at)] += amount
        many[tuple(at)] += 1
    assert (on_grid(amounts, places, shape) == wanted).all()
    assert (GridCells.of(places, shape).rows == many).all()


def test_a_grid_without_a_bucket_is_empty() -> None:
    nothing = np.zeros(0, np.int64)
    assert on_grid(nothing, (nothing, nothing), (2, 0)).shape == (2, 0)


@pytest.mark.parametrize(("kind", "seed"), [*product((np.uint64, np.float64), range(10))])
def test_distinct_values_are_those_of_numpy(kind: type[np.generic], seed: int) -> None:
    rng = np.random.default_rng(seed)
    few = rng.integers(0, 2**62, 1 + seed)
    values = np.repeat(rng.choice(few, 40), rng.integers(0, 4, 40)).astype(kind)
    found, at = distinct(values)
    assert (found == np.unique(values)).all()
    assert (found[at] == values).all()


def test_nothing_has_no_distinct_values() -> None:
    found, at = distinct(np.zeros(0))
    assert found.size == at.size == 0


@pytest.mark.parametrize("ms", [0, 1, 14_999, 15_000, 15_001, 86_400_000])
def test_instants_are_in_the_step_that_they_are_in_as_milliseconds(ms: int) -> None:
    start = 1_760_000_400_000
    assert steps_since([1000 * (start + ms)], start, 15_000).tolist() == [ms // 15_000]
