"""No harm is promoted, in whatever mesh, format and circumstance; health is never rolled back.

A part of the matrix: every mesh and format, every harm and every circumstance, but not every
combination, which `python -m benchmarks.harm_matrix` has.
"""

from __future__ import annotations

import pytest

from benchmarks.harm_matrix import fault_of, judge
from tests.builders import harm_traffic, harm_users
from tests.builders.harm_traffic import TrafficCell
from tests.builders.harm_users import UserCell

TRAFFIC = [
    cell
    for cell in harm_traffic.cells()
    if cell.condition == "clean" or (cell.mesh, cell.reporter) == ("istio", "destination")
]
USERS = [
    cell
    for cell in harm_users.cells()
    if cell.condition == "clean" or cell.file_format in ("csv", "parquet")
]


@pytest.mark.parametrize("cell", [*TRAFFIC, *USERS], ids=str)
def test_decision_is_right(cell: TrafficCell | UserCell) -> None:
    _, decision, reason = judge(cell)

    assert fault_of(cell, decision, reason) is None
