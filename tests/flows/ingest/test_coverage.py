"""How far pulled data reaches: up to the first hole, and to where both sources are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from flows.ingest.coverage import complete_until_ms, users_known_until, watermark
from flows.ingest.requests.claims import claim_windows
from flows.ingest.requests.windows import NewWindow, Window
from flows.ingest.users.pull_users import pull_users
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import day, spec_of, write_exposures, write_outcomes
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, experiment


def _window(number: int) -> NewWindow:
    return NewWindow(Window(START + number * HOUR, START + (number + 1) * HOUR), 1, 1, 1)


def test_a_source_is_known_up_to_the_first_hole_and_apart_from_others(tmp_path: Path) -> None:
    with open_writer(tmp_path / "w.duckdb") as con:
        assert watermark(con, experiment(), "requests") is None
        chosen = {"selection": "", "warnings": ()}
        for number in (0, 1, 3):
            claim_windows(con, experiment(), "requests", [_window(number)], **chosen)  # type: ignore[arg-type]
        assert watermark(con, experiment(), "requests") == START + 2 * HOUR
        assert watermark(con, experiment(), "conversions") is None
        claim_windows(con, experiment(), "requests", [_window(2)], **chosen)  # type: ignore[arg-type]
        assert watermark(con, experiment(), "requests") == START + 4 * HOUR


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
