"""Rows of users at times that have not come: they are said, and no one is judged without many."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.look.remarks import AboutData, about_data
from tests.builders.user_specs import LOOK, Rows, day, pull, spec_of, write_csv

USERS, LATE = 400, timedelta(hours=5)
FILES: dict[str, dict[str, Any]] = {
    "rows": {"exposures": {"files": "exposures*"}, "outcomes": {"files": "outcomes*"}},
    "a row per user": {
        "users": {
            "files": "users*",
            "at": "exposed_at",
            "outcomes": {"purchase": "purchase", "visit": "visit"},
        }
    },
}


def _seen(folder: Path, sources: str, ahead: int, outcomes_ahead: int = 0) -> AboutData:
    """What is said of 400 users, of whom so many came and did something five hours from now."""
    later = datetime.now(UTC) + LATE
    users: Rows = [
        (i, "ab"[i % 2], (later if i < ahead else day(1)).isoformat()) for i in range(USERS)
    ]
    done: Rows = [
        (i, "purchase", (later if i < outcomes_ahead else day(2)).isoformat(), 1)
        for i in range(USERS)
    ]
    if sources == "rows":
        write_csv(folder / "exposures.csv", "user_id,variant,exposed_at", users)
        write_csv(folder / "outcomes.csv", "user_id,outcome,occurred_at,value", done)
    else:
        wide = [(*user, 1, 1) for user in users]
        write_csv(folder / "users.csv", "user_id,variant,exposed_at,purchase,visit", wide)
    spec = spec_of(FILES[sources])
    pull(spec, folder)
    return about_data(spec, folder / "w.duckdb", spec_dir=folder, at=LOOK)


@pytest.mark.parametrize("sources", FILES)
@pytest.mark.parametrize(("ahead", "passes"), [(0, True), (3, True), (40, False), (400, False)])
def test_exposures_that_lie_ahead_are_said_and_fail_a_check_where_they_are_many(
    tmp_path: Path, sources: str, ahead: int, passes: bool
) -> None:
    seen = _seen(tmp_path, sources, ahead)
    said = [one for one in seen.remarks if "of exposures at times that have not come" in one]
    assert [one.partition(" ")[0] for one in said] == [str(ahead)] * (ahead > 0)
    failed = [check.detail for check in seen.checks if not check.passed]
    assert bool(failed) is not passes
    assert all(f"{ahead / USERS:.1%} of the exposures" in detail for detail in failed)


def test_outcomes_that_lie_ahead_are_said(tmp_path: Path) -> None:
    seen = _seen(tmp_path, "rows", 0, outcomes_ahead=40)
    assert any("40 rows of outcomes at times that have not come" in one for one in seen.remarks)
    assert not seen.checks


def test_a_clock_that_is_seconds_ahead_is_no_time_to_come(tmp_path: Path) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    write_csv(
        tmp_path / "exposures.csv",
        "user_id,variant,exposed_at",
        [(i, "ab"[i % 2], soon) for i in range(9)],
    )
    write_csv(
        tmp_path / "outcomes.csv",
        "user_id,outcome,occurred_at,value",
        [(1, "purchase", soon, 1)],
    )
    spec = spec_of()
    pull(spec, tmp_path)
    seen = about_data(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, at=LOOK)
    assert not any("have not come" in one for one in seen.remarks)


@pytest.mark.parametrize("sources", FILES)
@pytest.mark.parametrize("column", ["user_id", "variant", "exposed_at"])
@pytest.mark.parametrize(("lost", "passes"), [(30, True), (60, False)])
def test_exposures_that_say_not_who_was_exposed_fail_a_check_where_they_are_many(
    tmp_path: Path, sources: str, column: str, lost: int, passes: bool
) -> None:
    """In a table of all users those without a variant are not in the experiment."""
    names = ["user_id", "variant", "exposed_at"]
    rows: Rows = [(i, "ab"[i % 2], day(1).isoformat()) for i in range(USERS)]
    rows = [
        tuple(None if n == column else v for n, v in zip(names, row, strict=True))
        if i < lost
        else row
        for i, row in enumerate(rows)
    ]
    is_table = sources != "rows"
    write_csv(
        tmp_path / ("users.csv" if is_table else "exposures.csv"),
        ",".join(names) + (",purchase,visit" if is_table else ""),
        [(*row, 1, 1) for row in rows] if is_table else rows,
    )
    write_csv(tmp_path / "outcomes.csv", "user_id,outcome,occurred_at,value", [])
    spec = spec_of(FILES[sources])
    pull(spec, tmp_path)
    seen = about_data(spec, tmp_path / "w.duckdb", spec_dir=tmp_path, at=LOOK)
    failed = [check.detail for check in seen.checks if not check.passed]
    assert bool(failed) is not (passes or (is_table and column == "variant"))
    assert all(f"{lost} of 400 exposures have no user, no variant" in detail for detail in failed)
