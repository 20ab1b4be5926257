"""A series of looks is declared in one direction, or contradicts itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.scorecard.one_direction import in_one_direction

INTERVALS = st.lists(
    st.tuples(st.floats(-9, 9), st.floats(0, 5)).map(lambda one: (one[0], one[0] + one[1])),
    min_size=1,
    max_size=12,
)


@given(INTERVALS)
def test_no_series_is_declared_in_both_directions(intervals: list[tuple[float, float]]) -> None:
    lower, upper = (np.array(ends) for ends in zip(*intervals, strict=True))
    directions = {
        in_one_direction(lower[:n], upper[:n]).direction for n in range(1, len(intervals) + 1)
    }
    assert not {"higher", "lower"} <= directions
    found = in_one_direction(lower, upper)
    assert not ((found.lower > 0).any() and (found.upper < 0).any())
    until = found.contradicted
    np.testing.assert_array_equal(found.lower[:until], lower[:until])
    if until is not None:
        assert np.isinf(found.lower[until:]).all()
        assert np.isinf(found.upper[until:]).all()


def test_a_look_without_bounds_changes_nothing() -> None:
    found = in_one_direction(np.array([-1.0, np.nan, 0.5]), np.array([2.0, np.nan, 3.0]))
    assert found.lower.tolist() == [-1, -np.inf, 0.5]
    assert (found.direction, found.first, found.contradicted) == ("higher", 2, None)


def test_an_effect_that_fades_to_nothing_contradicts_nothing() -> None:
    found = in_one_direction(np.array([1.0, -0.5]), np.array([2.0, 0.5]))
    assert (found.direction, found.first, found.contradicted) == ("higher", 0, None)
    assert found.upper.tolist() == [2, 0.5]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("turn", [1, 3])
def test_a_look_on_the_other_side_takes_all_bounds_away(turn: int, sign: int) -> None:
    lower = np.r_[np.full(turn, 1.0), np.full(3, -2.0)]
    ends = sign * lower, sign * (lower + 1)
    found = in_one_direction(np.minimum(*ends), np.maximum(*ends))
    direction = "higher" if sign > 0 else "lower"
    # -2 to -1 leaves 0 out, 1 to 2 as well.
    assert (found.direction, found.first, found.contradicted) == (direction, 0, turn)
