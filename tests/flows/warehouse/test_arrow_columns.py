"""Arrow columns over numpy memory."""

from __future__ import annotations

import numpy as np

from flows.warehouse.arrow_columns import instants, lists, numbers


def test_each_list_has_so_many_values() -> None:
    column = lists(numbers(np.array([7.0, 8.0, 9.0])), np.array([2, 0, 1]))
    assert column.to_pylist() == [[7.0, 8.0], [], [9.0]]


def test_lists_that_are_unknown_are_null() -> None:
    none = instants(np.zeros(0, np.int64))
    column = lists(none, np.array([0, 0]), np.array([False, True]))
    assert column.to_pylist() == [None, []]


def test_numbers_that_are_unknown_are_null() -> None:
    known = np.arange(20) % 3 > 0
    column = numbers(np.arange(20), known)
    assert column.to_pylist() == [i if i % 3 else None for i in range(20)]
