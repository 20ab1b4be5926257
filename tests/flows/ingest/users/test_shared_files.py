"""A file that several experiments use is read once, and gives each what it would give it alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.sources import local_files, shared_files, user_files, user_rows
from flows.ingest.sources.user_rows import UserDataRefused
from flows.ingest.users.pull_users import pull_users
from flows.ingest.users.staging import Staging
from flows.spec.experiment import Experiment
from tests.builders.empty_warehouse import lay_out
from tests.builders.user_specs import LOOK, Rows, day, rows_of, spec_of, write_csv

NAMES = ("quiz", "exam", "lesson")
TABLES = ("exposures", "outcomes", "left_out_outcomes", "exposed_users", "user_sums", "pulls")


def _specs(ending: str) -> list[Experiment]:
    """The last one is not in the files."""
    sources = {
        "exposures": {"files": f"exposures.{ending}"},
        "outcomes": {"files": f"outcomes.{ending}"},
    }
    return [spec_of(sources, experiment=name) for name in (*NAMES, "unknown")]


def _write(folder: Path, ending: str, *, broken: str | None = None) -> None:
    """Users of all experiments, some in two of them; rows that lack things; one broken time."""
    exposures: Rows = []
    outcomes: Rows = []
    for user in range(60):
        names = [NAMES[user % 3], NAMES[(user + 1) % 3]] if user % 5 == 0 else [NAMES[user % 3]]
        for name in names:
            exposures.append((user, "ab"[user % 2], day(user / 10).isoformat(), f" {name} "))
            outcomes.append((user, "purchase", day(user / 10 + 1).isoformat(), 1.5, name))
    outcomes += [
        (None, "visit", day(3).isoformat(), 1, "quiz"),
        (4, None, day(3).isoformat(), 1, "exam"),
        (4, "visit", None, 1, "exam"),
        (4, "visit", day(3).isoformat(), 1, None),
    ]
    if broken:
        outcomes.insert(7, (4, "visit", "yesterday", 1, broken))
    for name, header, rows in (
        ("exposures", "user_id,variant,exposed_at,experiment", exposures),
        ("outcomes", "user_id,outcome,occurred_at,value,experiment", outcomes),
    ):
        write_csv(folder / f"{name}.csv", header, rows)
        text = f"read_csv('{folder / name}.csv', all_varchar = true)"
        if ending != "csv":
            kind = "parquet" if ending == "parquet" else "json"
            duckdb.sql(f"copy (from {text}) to '{folder / name}.{ending}' (format {kind})")


def _pull(folder: Path, spec: Experiment, files: Path, staging: Staging | None) -> str:
    """Returns what is wrong, if anything."""
    until_ms = milliseconds_of(LOOK)
    try:
        pull_users(spec, folder / "w.duckdb", spec_dir=files, until_ms=until_ms, staging=staging)
    except UserDataRefused as error:
        return str(error)
    return ""


def _dump(folder: Path) -> dict[str, Rows]:
    parts = "select experiment, source, part, checksum, row_count, other_experiment, without_user, "
    parts += "without_name, without_time from user_parts order by all"
    found = {table: rows_of(folder, f"from {table} order by all") for table in TABLES}
    return found | {"user_parts": rows_of(folder, parts)}


@pytest.mark.parametrize(
    ("ending", "broken"), [("csv", "exam"), ("parquet", None), ("jsonl", None)]
)
def test_each_experiment_has_what_it_has_alone(
    tmp_path: Path, ending: str, broken: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, ending, broken=broken)
    alone, together = tmp_path / "alone", tmp_path / "together"
    for folder in (alone, together):
        folder.mkdir()
        lay_out(folder / "w.duckdb")
    said = [_pull(alone, spec, tmp_path, None) for spec in _specs(ending)]
    reads = Counter[str]()
    open_rows = user_files.open_rows

    def counting(con: Any, file: Path, wanted: Any) -> Any:
        reads[file.name] += 1
        return open_rows(con, file, wanted)

    monkeypatch.setattr(shared_files, "open_rows", counting)
    monkeypatch.setattr(user_files, "open_rows", counting)
    specs = [(tmp_path / "spec.yaml", spec) for spec in _specs(ending)]
    with Staging(together / "w.duckdb", specs) as staging:
        assert [_pull(together, spec, tmp_path, staging) for _, spec in specs] == said
    assert _dump(together) == _dump(alone)
    assert bool(said[1]) == bool(broken)
    # Whom the file doesn't name, and who has a broken row, is read by itself.
    by_themselves = Counter({f"exposures.{ending}": 1, f"outcomes.{ending}": 1})
    by_themselves[f"outcomes.{ending}"] += bool(broken)
    assert reads == by_themselves + Counter([f"exposures.{ending}", f"outcomes.{ending}"])
    kept = rows_of(together, "select distinct lacks, user_id is not null from left_out_outcomes")
    assert ("experiment", True) in kept


def test_of_many_rows_of_other_experiments_the_same_share_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path, "csv")
    specs = [(tmp_path / "spec.yaml", spec) for spec in _specs("csv")]
    found = {}
    for rows in (20_000, 30):
        monkeypatch.setattr(user_rows, "_ELSEWHERE_ROWS", rows)
        warehouse = tmp_path / str(rows) / "w.duckdb"
        warehouse.parent.mkdir()
        lay_out(warehouse)
        with Staging(warehouse, specs) as staging:
            for _, spec in specs:
                _pull(warehouse.parent, spec, tmp_path, staging)
        query = "experiment, user_id, outcome, row_count from left_out_outcomes"
        query = f"select hash(user_id) % 3 = 0, one_in, {query} where lacks = 'experiment'"
        found[rows] = rows_of(warehouse.parent, query)
    every = [row[2:] for row in found[20_000] if row[0]]
    assert 0 < len(every) < len(found[20_000])
    assert sorted(row[2:] for row in found[30]) == sorted(every)
    assert {row[:2] for row in found[30]} == {(True, 3)}


def test_rows_of_other_experiments_are_kept_of_exposed_users_only(tmp_path: Path) -> None:
    _write(tmp_path, "csv")
    lay_out(tmp_path / "w.duckdb")
    assert not _pull(tmp_path, _specs("csv")[0], tmp_path, None)
    elsewhere = "from left_out_outcomes where lacks = 'experiment'"
    strangers = f"{elsewhere} and user_id not in (select user_id from exposures)"
    assert rows_of(tmp_path, f"select count(*) {strangers}") == [(0,)]
    assert rows_of(tmp_path, f"select count(*) > 0 {elsewhere}") == [(True,)]


def test_users_who_come_late_are_looked_up_in_what_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else outcomes that name another experiment would be lost to whoever comes after them."""
    monkeypatch.setattr(local_files, "_CLOCK_TICK_NS", 0)  # files that are new are trusted
    _write(tmp_path, "csv")
    exposures = (tmp_path / "exposures.csv").read_text().splitlines()
    spec = _specs("csv")[0]
    every, late = tmp_path / "every", tmp_path / "late"
    for folder in (every, late):
        folder.mkdir()
        lay_out(folder / "w.duckdb")
    assert not _pull(every, spec, tmp_path, None)
    (tmp_path / "exposures.csv").write_text("\n".join(exposures[:20]) + "\n")
    assert not _pull(late, spec, tmp_path, None)
    (tmp_path / "exposures.csv").write_text("\n".join(exposures) + "\n")
    assert not _pull(late, spec, tmp_path, None)
    query = "from left_out_outcomes order by all"
    assert rows_of(late, query) == rows_of(every, query)
