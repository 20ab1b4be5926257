"""What is known of users at a look: up to the last pull, and nothing before the first."""

from __future__ import annotations

import math
from pathlib import Path

from flows.formats.time import milliseconds_of
from flows.ingest.coverage import users_known_until
from flows.ingest.users.pull_users import pull_users
from flows.warehouse.connection import open_reader
from tests.builders.user_specs import (
    LOOK,
    day,
    read,
    sample_in,
    seen,
    spec_of,
    write_exposures,
    write_outcomes,
)


def test_nothing_is_final_after_the_last_pull(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0), (2, "a", 2)])
    write_outcomes(tmp_path, [])
    until_ms = milliseconds_of(day(8))
    pull_users(spec_of(), tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=until_ms)
    with open_reader(tmp_path / "w.duckdb") as con:
        assert users_known_until(con, spec_of()) == day(8)
    found = read(spec_of(), tmp_path, LOOK)
    assert sample_in(found.samples, "bought", "a").n == 1


def test_before_any_data_there_are_no_users(tmp_path: Path) -> None:
    found = seen(tmp_path, [], [])
    assert found.exposed == {"a": 0, "b": 0}
    assert sample_in(found.samples, "spend", "b").n == 0
    assert math.isnan(sample_in(found.samples, "spend", "b").mean)
