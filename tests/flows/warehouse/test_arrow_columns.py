"""Arrow columns over numpy memory: all values, and no copy where none is needed."""

from __future__ import annotations

import numpy as np

from flows.warehouse.arrow_columns import numbers, one_array, repeated


def test_each_value_is_there_so_many_times() -> None:
    column = repeated(numbers(np.array([7, 8, 9, 7])), np.array([2, 0, 1, 3]))
    assert column.to_pylist() == [7, 7, 9, 7, 7, 7]


def test_values_that_are_there_no_time_leave_an_empty_column() -> None:
    column = repeated(numbers(np.array([7, 8])), np.array([0, 0]))
    assert len(column) == 0


def test_pieces_that_lie_one_after_another_are_not_copied() -> None:
    room = np.arange(10)
    pieces = [room[2:5], room[5:5], room[5:9]]
    found = one_array(pieces)
    assert found.tolist() == [2, 3, 4, 5, 6, 7, 8]
    assert np.shares_memory(found, room)


def test_pieces_in_other_places_are_put_together() -> None:
    room = np.arange(10)
    for pieces in (
        [room[5:9], room[2:5]],
        [room[2:4], room[5:9]],
        [room[2:5], np.arange(5, 9)],
        [np.arange(2), np.arange(3)],
        [room[2:5]],
        [room[5:5], room[2:2]],
    ):
        assert one_array(pieces).tolist() == np.concatenate(pieces).tolist()
