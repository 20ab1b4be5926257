"""No harm is promoted, in whatever mesh, format and circumstance; health is never rolled back.

A part of the matrix: every value of every dimension, but not every combination, which
`python -m benchmarks.harm_matrix` has.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.harm_matrix import fault_of, judge
from tests.builders import harm_traffic, harm_users
from tests.builders.harm_traffic import HARMS, HISTOGRAMS, MESHES, TrafficCell
from tests.builders.harm_users import FORMATS, SQL, TABLES, UserCell
from tests.servers import postgres_server
from tests.servers.postgres_server import Server

# Strides that no dimension's size is a multiple of.
TRAFFIC = list(harm_traffic.cells())[::8]
USERS = list(harm_users.cells())[::7]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with postgres_server.running() as one:
        yield one


@pytest.mark.parametrize("cell", [*TRAFFIC, *USERS], ids=str)
def test_decision_is_right(cell: TrafficCell | UserCell, request: pytest.FixtureRequest) -> None:
    in_sql = isinstance(cell, UserCell) and cell.file_format == SQL
    _, decision, reason = judge(cell, request.getfixturevalue("server").dsn if in_sql else "")

    assert fault_of(cell, decision, reason) is None


def test_every_mesh_histogram_format_and_table_is_among_them() -> None:
    """With harm and without, each harm in several meshes, each circumstance of each table."""
    pairs = {(c.mesh, c.reporter) for c in TRAFFIC}
    assert pairs == {(c.mesh, c.reporter) for c in TRAFFIC if c.harm == "none"} == set(MESHES)
    assert {c.harm for c in TRAFFIC if c.condition == "clean"} == {"none", *HARMS}
    assert {c.histogram for c in TRAFFIC if c.harm == "none"} == set(HISTOGRAMS)
    assert {c.histogram for c in TRAFFIC if c.harm in ("latency", "spread")} == set(HISTOGRAMS)
    assert {c.condition for c in TRAFFIC} == set(harm_traffic.CONDITIONS)
    assert {c.file_format for c in USERS} == {*FORMATS, SQL}
    for table, conditions in TABLES.items():
        of_table = [c for c in USERS if c.table == table]
        assert {c.condition for c in of_table} == set(conditions)
        assert {c.is_harmed for c in of_table} == {True, False}
