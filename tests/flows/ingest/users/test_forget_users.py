"""Users are removed on request, and no file brings them back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flows.cli.main import main
from flows.ingest.users.forget_users import forget_users
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import run
from tests.builders.user_specs import (
    START,
    Rows,
    pull,
    read,
    rows_of,
    sample_in,
    spec_of,
    write_exposures,
    write_outcomes,
)

EXPOSURES: Rows = [(user, "ab"[user % 2], user / 10) for user in range(1, 41)]
VISITS: Rows = [(user, "visit", user / 10 + 1, 1) for user in range(1, 41)]
LEFT = "select count(*) from {} where user_id in ('7', '8')"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, VISITS)
    pull(spec_of(), tmp_path)
    return tmp_path


def nobody_left(folder: Path) -> bool:
    tables = ("exposures", "outcomes", "exposed_users")
    return all(rows_of(folder, LEFT.format(table)) == [(0,)] for table in tables)


@pytest.mark.parametrize("written", [["7", "8"], ["7.0", " 8 "]])
def test_nothing_is_left_of_forgotten_users(folder: Path, written: list[str]) -> None:
    gone = forget_users(folder / "w.duckdb", [spec_of()], written, at=START)
    assert gone == {"quiz": 4}
    assert nobody_left(folder)
    found = read(spec_of(), folder)
    assert found.exposed == {"a": 19, "b": 19}
    assert float(sample_in(found.samples, "visits", "a").mean) == 1.0


def test_files_that_still_have_them_bring_none_back(folder: Path) -> None:
    forget_users(folder / "w.duckdb", [spec_of()], ["7", "8"], at=START)
    write_exposures(folder, [*EXPOSURES, (41, "b", 4)])
    write_outcomes(folder, [*VISITS, (7, "visit", 3, 1)])
    pull(spec_of(), folder)
    assert nobody_left(folder)
    assert read(spec_of(), folder).exposed == {"a": 19, "b": 20}


def test_only_a_hash_stays(folder: Path) -> None:
    forget_users(folder / "w.duckdb", [spec_of()], ["7"], at=START)
    ((kept,),) = rows_of(folder, "select user_hash from forgotten_users")
    assert len(kept) == 64


def test_of_users_whose_rows_an_engine_has_no_sums_stay(folder: Path) -> None:
    with open_writer(folder / "w.duckdb") as con:
        answers = {"questions": ["q"], "answers": ["a"]}
        run(con, "load/engine_answers", experiment="quiz", **answers)
        for table in ("exposures", "outcomes", "exposed_users"):
            con.execute(f"delete from {table}")
    forget_users(folder / "w.duckdb", [spec_of()], ["7"], at=START)
    for table in ("user_sums", "exposed_days", "outcome_reach", "user_state", "engine_answers"):
        assert rows_of(folder, f"select count(*) from {table}") == [(0,)], table


def test_experiments_without_a_spec_forget_them_too(folder: Path) -> None:
    forget_users(folder / "w.duckdb", [], ["7", "8"], at=START)
    assert nobody_left(folder)
    assert rows_of(folder, "select count(*) from user_sums") == [(0,)]
    assert rows_of(folder, "select count(*) from outcome_reach") == [(0,)]
    # Once there is a spec again, all others are there again, with those of a new file.
    write_exposures(folder, [(41, "a", 4.1)], "exposures-2.csv")
    pull(spec_of(), folder)
    assert read(spec_of(), folder).exposed == {"a": 20, "b": 19}


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "experiments").mkdir()
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, VISITS)
    sources = {kind: {"files": f"../{kind}.csv"} for kind in ("exposures", "outcomes")}
    spec = {
        "experiment": "quiz",
        "service": "quiz",
        "variants": {"a": {}, "b": {}},
        "metrics": {"visits": {"kind": "count", "outcome": "visit"}},
        "plan": {"duration": "14d"},
        "sources": sources,
    }
    (tmp_path / "experiments" / "quiz.yaml").write_text(json.dumps(spec))
    ids = tmp_path / "ids.txt"
    ids.write_text("8\n\n")
    root = ("--root", str(tmp_path))
    assert main([*root, "pull", "--until", "2026-02-01T00:00:00Z"]) == 0
    assert main([*root, "forget", "7", "--from", str(ids)]) == 0
    assert "quiz: 4 rows removed" in capsys.readouterr().out
    assert main([*root, "forget", "7"]) == 0
    assert "no rows of these users" in capsys.readouterr().out
    assert main([*root, "forget"]) == 2
    assert "name at least one user" in capsys.readouterr().err
