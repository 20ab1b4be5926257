"""Files that come under other names, or no more; exposures before the plan's start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from tests.builders.user_specs import (
    START,
    Rows,
    day,
    pull,
    read,
    rows_of,
    sample_in,
    spec_of,
    write_exposures,
    write_outcomes,
)

EXPOSURES: Rows = [(user, "ab"[user % 2], user / 10) for user in range(40)]
VISITS: Rows = [(user, "visit", user / 10 + 1, 1) for user in range(0, 40, 4)]


def per_user(folder: Path) -> tuple[float, float]:
    """Visits per user of a and b."""
    metrics = read(spec_of(), folder).samples
    return tuple(round(float(sample_in(metrics, "visits", v).mean), 6) for v in "ab")  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, VISITS[:5], "outcomes-1.csv")
    write_outcomes(tmp_path, VISITS[5:], "outcomes-2.csv")
    pull(spec_of(), tmp_path)
    assert per_user(tmp_path) == (0.5, 0.0)
    return tmp_path


def renamed(folder: Path) -> None:
    (folder / "outcomes-1.csv").rename(folder / "outcomes-3.csv")


def merged(folder: Path) -> None:
    split_anew(folder, VISITS)


def cut_elsewhere(folder: Path) -> None:
    split_anew(folder, VISITS[:2], VISITS[2:])


def each_apart(folder: Path) -> None:
    split_anew(folder, *([row] for row in VISITS))


def split_anew(folder: Path, *parts: Rows) -> None:
    for number in (1, 2):
        (folder / f"outcomes-{number}.csv").unlink()
    for number, rows in enumerate(parts, start=3):
        write_outcomes(folder, rows, f"outcomes-{number}.csv")


@pytest.mark.parametrize("change", [renamed, merged, cut_elsewhere, each_apart])
def test_rows_that_come_again_in_other_files_count_once(
    folder: Path, change: Callable[[Path], None]
) -> None:
    change(folder)
    said = " ".join(pull(spec_of(), folder).warnings)
    assert per_user(folder) == (0.5, 0.0)
    assert "outcomes-1.csv is not found any more; " in said
    assert "has its rows, which count once" in said
    assert " ".join(pull(spec_of(), folder).warnings) == said


def test_renamed_file_may_have_grown(folder: Path) -> None:
    split_anew(folder, [*VISITS, (2, "visit", 1.5, 1), (6, "visit", 1.7, 1)])
    pull(spec_of(), folder)
    assert per_user(folder) == (0.6, 0.0)


def test_corrected_rows_of_a_renamed_file_replace_the_old_ones(folder: Path) -> None:
    split_anew(folder, [*VISITS[:9], (3, "visit", 1.5, 1)])
    said = " ".join(pull(spec_of(), folder).warnings)
    assert per_user(folder) == (0.45, 0.05)
    assert "outcomes-2.csv is not found any more" in said
    assert "1 row of it did not come again and are gone" in said


def test_file_that_vanished_keeps_its_rows_until_it_is_back(folder: Path) -> None:
    kept = folder / "kept.csv"
    (folder / "outcomes-2.csv").rename(kept)
    for _ in range(2):
        said = " ".join(pull(spec_of(), folder).warnings)
        assert "not found any more, rows kept: outcomes-2.csv; files without rows in" in said
        assert per_user(folder) == (0.5, 0.0)
    kept.rename(folder / "outcomes-2.csv")
    assert pull(spec_of(), folder).warnings == ()
    assert per_user(folder) == (0.5, 0.0)


def test_file_that_vanished_comes_again_later(folder: Path) -> None:
    kept = folder / "kept.csv"
    (folder / "outcomes-2.csv").rename(kept)
    pull(spec_of(), folder)
    kept.rename(folder / "outcomes-9.csv")
    assert "outcomes-9.csv has its rows" in " ".join(pull(spec_of(), folder).warnings)
    assert per_user(folder) == (0.5, 0.0)


def test_renamed_exposures_keep_their_users(folder: Path) -> None:
    (folder / "exposures.csv").rename(folder / "exposures-2.csv")
    pull(spec_of(), folder)
    assert rows_of(folder, "select count(*) from exposures") == [(40,)]
    assert read(spec_of(), folder).exposed == {"a": 20, "b": 20}


LATER: Rows = [(user, "visit", user / 10 + 5, 1) for user in range(0, 40, 4)]
# What is written in the place of a file of five rows, and how many of them it then lacks.
ANEW: dict[str, tuple[Rows, int]] = {
    "grown": (VISITS, 0),
    "in another order": (VISITS[4::-1], 0),
    "one value corrected": ([*VISITS[:4], (16, "visit", 2.6, 2)], 0),
    "cut off": (VISITS[:3], 2),
    "begun anew": (LATER[:5], 5),
    "begun anew and longer": (LATER, 5),
    "the first ones dropped": (VISITS[2:], 2),
}


@pytest.mark.parametrize("name", ANEW)
def test_rows_that_a_file_no_longer_has_are_said(folder: Path, name: str) -> None:
    rows, lacks = ANEW[name]
    write_outcomes(folder, rows, "outcomes-1.csv")
    said = f"outcomes-1.csv lacks {lacks} of 5 rows that it had; they are gone and count no more"
    assert (said in pull(spec_of(), folder).warnings) is (lacks > 0)
    # So it is said until they are back, whatever else comes.
    write_outcomes(folder, [(1, "visit", 3.0, 1)], "outcomes-4.csv")
    assert (said in pull(spec_of(), folder).warnings) is (lacks > 0)
    write_outcomes(folder, VISITS, "outcomes-1.csv")
    if len(rows) <= len(VISITS[:5]):
        assert not any("it had" in warning for warning in pull(spec_of(), folder).warnings)


def test_a_copy_of_a_file_is_named(folder: Path) -> None:
    write_outcomes(folder, VISITS[5:], "outcomes-3.csv")
    said = pull(spec_of(), folder).warnings
    assert said == ("outcomes-3.csv has the same rows of outcomes as outcomes-2.csv; both count",)


def test_users_exposed_before_the_start_are_left_out_and_counted(tmp_path: Path) -> None:
    early: Rows = [(user, "b", -5) for user in range(100, 120)]
    again: Rows = [(0, "b", -1), (1, "b", -1)]
    write_exposures(tmp_path, [*EXPOSURES, *early, *again])
    write_outcomes(tmp_path, [*VISITS, *((user, "visit", -4, 1) for user, _, _ in early)])
    spec = spec_of(plan={"start": START, "duration": "60d"})
    for _ in range(2):
        pulled = pull(spec, tmp_path)
        said = pulled.summary
        assert not any("exposed before" in warning for warning in pulled.warnings)
        found = read(spec, tmp_path)
        assert found.exposed == {"a": 20, "b": 20}
        assert found.mixed == 0
        assert "22 users were exposed before the plan's start (2026-01-01 00:00:00 UTC)" in said
        assert "2 of them were exposed again and count from then on" in said


def test_a_later_start_leaves_out_more(tmp_path: Path) -> None:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, VISITS)
    for start, users in ((None, 40), (day(2), 20), (day(0), 40), (START - timedelta(days=9), 40)):
        spec = spec_of(plan={"start": start, "duration": "60d"})
        pull(spec, tmp_path)
        assert sum(read(spec, tmp_path).exposed.values()) == users


def test_new_files_bring_no_users_from_before_the_start(tmp_path: Path) -> None:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, VISITS)
    spec = spec_of(plan={"start": START, "duration": "60d"})
    pull(spec, tmp_path)
    write_exposures(tmp_path, [(99, "a", -3), (98, "b", 3)], "exposures-2.csv")
    pull(spec, tmp_path)
    assert read(spec, tmp_path).exposed == {"a": 20, "b": 21}
