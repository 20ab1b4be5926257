"""Up to when users have been pulled, and up to when a live server is complete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.ingest.coverage import complete_until_ms, users_known_until
from flows.ingest.users.pull_users import pull_users
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import day, spec_of, write_exposures, write_outcomes


def test_users_are_known_up_to_the_pull_and_never_less(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0)])
    write_outcomes(tmp_path, [])
    warehouse = tmp_path / "w.duckdb"
    with open_writer(warehouse) as con:
        assert users_known_until(con, spec_of()) is None
    for at in (9, 7):
        pull_users(
            spec_of(), warehouse, spec_dir=tmp_path, until_ms=round(day(at).timestamp() * 1000)
        )
        with open_writer(warehouse) as con:
            assert users_known_until(con, spec_of()) == day(9)


def test_a_live_server_is_complete_two_scrapes_and_a_time_out_ago() -> None:
    before = datetime.now(UTC) - timedelta(seconds=40)
    found = complete_until_ms(timedelta(seconds=15))
    after = datetime.now(UTC) - timedelta(seconds=40)
    assert before.timestamp() * 1000 - 1 <= found <= after.timestamp() * 1000 + 1
