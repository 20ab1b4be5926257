"""Roots of monotone functions, for many cells at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.arrays import FloatArray
from analysis.sequential.roots import bracket_root


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_root_lies_between_its_two_neighbours(roots: list[float]) -> None:
    wanted = np.array(roots)

    low, high = bracket_root(lambda x: np.cbrt(x - wanted), -2e6, 2e6)

    assert np.all((low <= wanted) & (wanted <= high))
    assert np.all(high - low <= 1e-9 + 4e-15 * np.abs(wanted))


def test_without_a_change_of_sign_the_answer_is_the_end_next_to_the_root() -> None:
    low, high = bracket_root(lambda x: x - np.array([-5.0, 5.0]), 0.0, 1.0)

    assert low.tolist() == high.tolist() == [0.0, 1.0]


def test_root_that_is_hit_exactly_is_one_point() -> None:
    low, high = bracket_root(lambda x: x, -1.0, 1.0)

    assert low.item() == high.item() == 0.0


def test_cell_of_which_nothing_is_known_asks_for_no_evaluation_more() -> None:
    def evaluations(factors: list[float]) -> int:
        found = 0

        def rising(x: FloatArray) -> FloatArray:
            nonlocal found
            found += 1
            return np.asarray(np.array(factors) * (np.exp(x) - 2))

        bracket_root(rising, np.zeros(len(factors)), 1.0)
        return found

    assert evaluations([1.0, np.nan, 3.0]) == evaluations([1.0, 3.0])
