"""Roots of monotone functions, for many cells at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

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
