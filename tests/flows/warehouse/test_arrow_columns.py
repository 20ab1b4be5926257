"""Arrow columns over numpy memory."""

from __future__ import annotations

import numpy as np

from flows.warehouse.arrow_columns import numbers, repeated


def test_each_value_is_there_so_many_times() -> None:
    column = repeated(numbers(np.array([7, 8, 9, 7])), np.array([2, 0, 1, 3]))
    assert column.to_pylist() == [7, 7, 9, 7, 7, 7]


def test_values_that_are_there_no_time_leave_an_empty_column() -> None:
    column = repeated(numbers(np.array([7, 8])), np.array([0, 0]))
    assert len(column) == 0
