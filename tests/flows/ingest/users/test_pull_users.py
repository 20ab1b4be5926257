"""Exposures and outcomes from files: what is taken in, again, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from flows.ingest.sources.user_rows import UserDataRefused
from tests.builders.user_specs import (
    Rows,
    day,
    pull,
    read,
    rows_of,
    sample_in,
    spec_of,
    write_csv,
    write_exposures,
    write_outcomes,
)

EXPOSURES: Rows = [(1, "a", 0), (2, "a", 1), (3, "b", 0), (4, "b", 1)]
OUTCOMES: Rows = [(1, "purchase", 2, 10), (3, "purchase", 3, 20), (3, "visit", 3, 1)]
TAKEN = "select user_id, variant, epoch_ms(exposed_at) from exposures order by all"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_exposures(tmp_path, EXPOSURES)
    write_outcomes(tmp_path, OUTCOMES)
    return tmp_path


def age(path: Path) -> None:
    """Lets the file look as if it was written long enough ago to be trusted unread."""
    time.sleep(2.01)
    assert path.exists()


def dump(folder: Path) -> list[Rows]:
    tables = ("exposures", "outcomes", "user_parts", "user_shifts", "pulls")
    return [rows_of(folder, f"from {table} order by all") for table in tables]


def refusal(folder: Path, **changes: Any) -> str:
    """The one error, after which the warehouse holds what it held before; without its field."""
    before = dump(folder) if (folder / "w.duckdb").exists() else None
    with pytest.raises(UserDataRefused) as caught:
        pull(spec_of(**changes), folder)
    if before is None:
        assert rows_of(folder, "select count(*) from pulls") == [(0,)]
    else:
        assert dump(folder) == before
    return str(caught.value).removeprefix(f"{caught.value.field}: ")


def convert(folder: Path, name: str) -> None:
    """Replaces exposures.csv by another format with typed columns."""
    source, target = folder / "exposures.csv", folder / name
    duckdb.sql(f"copy (from '{source}') to '{target}'")
    source.unlink()


@pytest.mark.parametrize(
    "name", ["exposures.parquet", "exposures.json", "exposures.jsonl", "exposures.csv.gz"]
)
def test_every_format_gives_the_same_rows(folder: Path, name: str) -> None:
    pull(spec_of(), folder)
    from_csv = rows_of(folder, TAKEN)
    convert(folder, name)

    pull(spec_of(), folder)

    # The CSV file is gone now, and its rows came again: they count once.
    assert rows_of(folder, TAKEN) == from_csv


def test_json_array_is_read(folder: Path) -> None:
    (folder / "exposures.csv").unlink()
    (folder / "exposures.json").write_text(
        '[{"user_id": 1, "variant": "a", "exposed_at": "2026-01-01"},'
        ' {"user_id": "x", "variant": "b", "exposed_at": "2026-01-01T02:00:00+02:00"}]'
    )
    pull(spec_of(), folder)
    at = int(day(0).timestamp() * 1000)
    assert rows_of(folder, TAKEN) == [("1", "a", at), ("x", "b", at)]


def test_pulling_again_changes_nothing(folder: Path) -> None:
    age(folder / "exposures.csv")
    pull(spec_of(), folder)
    before = dump(folder)
    again = pull(spec_of(), folder)
    assert dump(folder) == before
    assert [source.replaced for source in again.sources] == [(), ()]


def test_unchanged_file_is_not_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    age(folder / "exposures.csv")
    pull(spec_of(), folder)
    # Whoever reads a file now fails.
    monkeypatch.setattr("flows.ingest.users.staging.stage_file", None)
    spec = spec_of({"exposures": {"files": "exposures*"}})
    assert pull(spec, folder).sources[0].unchanged == 1


def test_grown_file_replaces_its_rows(folder: Path) -> None:
    write_exposures(folder, [(9, "a", 0)], "exposures-2.csv")
    pull(spec_of(), folder)
    write_exposures(folder, [*EXPOSURES, (5, "a", 2)])

    result = pull(spec_of(), folder)

    assert result.sources[0].replaced == ("exposures.csv",)
    assert rows_of(folder, "select count(*), count(distinct user_id) from exposures") == [(6, 6)]


def test_file_of_same_size_and_modification_time_is_seen_to_have_changed(folder: Path) -> None:
    file = folder / "exposures.csv"
    age(file)
    pull(spec_of(), folder)
    status = file.stat()
    file.write_text(file.read_text().replace("1,a,", "7,a,"))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    pull(spec_of(), folder)

    assert rows_of(folder, TAKEN)[-1][0] == "7"


def test_vanished_file_keeps_its_rows_and_is_reported(folder: Path) -> None:
    write_exposures(folder, [(9, "a", 0)], "exposures-2.csv")
    pull(spec_of(), folder)
    (folder / "exposures-2.csv").unlink()

    result = pull(spec_of(), folder)

    assert result.sources[0].vanished == ("exposures-2.csv",)
    assert any("not found any more, rows kept: exposures-2.csv;" in w for w in result.warnings)
    assert rows_of(folder, "select count(*) from exposures") == [(5,)]


def test_another_source_in_the_spec_replaces_the_old_one(folder: Path) -> None:
    pull(spec_of(), folder)
    write_exposures(folder, [(9, "a", 0)], "new.csv")

    result = pull(spec_of({"exposures": {"files": "new.csv"}}), folder)

    assert result.sources[0].forgotten == ("exposures.csv",)
    assert [row[0] for row in rows_of(folder, TAKEN)] == ["9"]


def test_late_outcome_counts_from_the_next_pull_on(folder: Path) -> None:
    pull(spec_of(), folder)
    assert sample_in(read(spec_of(), folder).samples, "bought", "a").mean == 0.5
    write_outcomes(folder, [(2, "purchase", 3, 30)], "outcomes-late.csv")
    pull(spec_of(), folder)
    assert sample_in(read(spec_of(), folder).samples, "bought", "a").mean == 1.0


def test_columns_and_glob_of_the_spec(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in (1, 2):
        rows: Rows = [(number, "a", "2026-01-01 10:00:00", "quiz"), (9, "b", "2026-01-01", "other")]
        write_csv(tmp_path / "in" / f"{number}[x].csv", "who,arm,when,experiment", rows)
    columns = {"user": "who", "variant": "arm", "at": "when"}
    spec = spec_of({"exposures": {"files": "in/*.csv", "columns": columns}})

    result = pull(spec, tmp_path)

    assert [row[0] for row in rows_of(tmp_path, TAKEN)] == ["1", "2"]
    assert result.sources[0].left_out.other_experiment == 2


def test_whole_numbers_as_floating_point_are_the_same_users(folder: Path) -> None:
    target = folder / "exposures.parquet"
    duckdb.sql(
        "copy (select 1.0::double as user_id, 'a' as variant, date '2026-01-01' as exposed_at)"
        f" to '{target}'"
    )
    (folder / "exposures.csv").unlink()
    pull(spec_of(), folder)
    assert sample_in(read(spec_of(), folder).samples, "bought", "a").mean == 1.0


def test_rows_that_lack_something_are_counted_and_left_out(folder: Path) -> None:
    write_exposures(folder, [*EXPOSURES, (None, "a", 0), (None, "b", 0), (6, None, 0)])
    rows: Rows = [(1, "purchase", 2, v) for v in ("NaN", "inf", "-inf", None, 5)]
    write_outcomes(folder, rows)

    result = pull(spec_of(), folder)

    assert result.sources[0].left_out.without_user == 2
    assert result.sources[0].left_out.without_name == 1
    assert result.sources[1].left_out.without_value == 4
    assert "2 rows of exposures left out: no user" in result.warnings
    assert sample_in(read(spec_of(), folder).samples, "spend", "a").mean == 2.5
    assert pull(spec_of(), folder).warnings == result.warnings


def test_unknown_variants_are_reported_but_not_refused(folder: Path) -> None:
    write_exposures(folder, [*EXPOSURES, (1, "A", 0), (7, "A", 0)])
    result = pull(spec_of(), folder)
    assert "variants that the spec doesn't have are ignored: 'A' (2 rows)" in result.warnings
    assert read(spec_of(), folder).exposed == {"a": 2, "b": 2}


def test_outcomes_that_no_metric_asks_for_are_reported(folder: Path) -> None:
    write_outcomes(folder, [(1, "Purchase", 2, 1)])
    assert "no metric asks for any of these outcomes: 'Purchase' (1 row)" in (
        pull(spec_of(), folder).warnings
    )


def test_only_unknown_variants_are_refused(folder: Path) -> None:
    write_exposures(folder, [(1, "control", 0), (2, "control", 0)])
    error = refusal(folder)
    assert "no row names a variant of the spec (a, b); they name 'control' (2 rows)" in error
    write_exposures(folder, [(1, "A", 0), (2, "B", 0)])
    assert 'variants: {a: {value: "A"}, b: {value: "B"}}' in refusal(folder)


def test_no_file_is_refused(folder: Path) -> None:
    pull(spec_of(), folder)
    error = refusal(folder, sources={"exposures": {"files": "in/*.parquet"}})
    assert error.startswith(f"{folder}/in/*.parquet: no such file")


def test_parquet_without_the_variant_column_is_refused(folder: Path) -> None:
    pull(spec_of(), folder)
    target = folder / "exposures.parquet"
    duckdb.sql(f"copy (select 1 as user_id, 'a' as arm, now() as exposed_at) to '{target}'")
    error = refusal(folder)
    assert error == (
        f"{target}: no column 'variant' in these exposures; it has 'user_id', 'arm', 'exposed_at'. "
        "Name the right one in the spec, such as sources.exposures.columns: {variant: <column>}"
    )


@pytest.mark.parametrize("kept", [0, 0.5, 0.98])
def test_truncated_parquet_is_refused(folder: Path, kept: float) -> None:
    pull(spec_of(), folder)
    target = folder / "exposures.parquet"
    duckdb.sql(
        "copy (select range as user_id, 'a' as variant, now() as exposed_at from range(50000))"
        f" to '{target}'"
    )
    os.truncate(target, int(target.stat().st_size * kept))
    error = refusal(folder)
    assert error.startswith(f"{target}: not a whole Parquet file (")
    assert "\n" not in error


@pytest.mark.parametrize("column", ["user_id", "variant"])
def test_bytes_in_parquet_that_are_no_text_are_called_so(folder: Path, column: str) -> None:
    target = folder / "exposures-2.parquet"
    columns = {"user_id": "'1'", "variant": "'a'"} | {column: "'caf\\xE9'::blob"}
    duckdb.sql(
        f"copy (select {columns['user_id']} as user_id, {columns['variant']} as variant, "
        f"date '2026-01-01' as exposed_at) to '{target}'"
    )
    error = refusal(folder)
    assert error.startswith(f"{target}: a text that is not UTF-8 (")
    assert "whole" not in error


@pytest.mark.parametrize("end", [",", "", ",\n\n"])
@pytest.mark.parametrize("packed", [False, True])
def test_truncated_json_array_is_refused(folder: Path, end: str, packed: bool) -> None:
    pull(spec_of(), folder)
    rows = [{"user_id": f"{i}", "variant": "a", "exposed_at": "2026-01-01"} for i in range(30_000)]
    whole = json.dumps(rows)
    text = whole[: whole.rindex(", {")] + end
    target = folder / ("exposures-2.json" + ".gz" * packed)
    target.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    assert refusal(folder) == (
        f"{target}: not a whole JSON array: it begins with [ and must end with ]; was it still "
        "being written?"
    )
    target.write_bytes(gzip.compress(whole.encode()) if packed else f" {whole}\n".encode())
    assert pull(spec_of(), folder)


def test_csv_that_is_not_utf8_is_refused_with_its_line(folder: Path) -> None:
    rows = [f"{i},a,2026-01-01" for i in range(100_000)]
    rows[70_000] = "caf\xe9,a,2026-01-01"
    target = folder / "exposures-2.csv"
    text = "user_id,variant,exposed_at\n" + "\n".join(rows)
    target.write_text(text, encoding="latin-1")
    error = refusal(folder)
    byte = text.index("\xe9") + 1
    assert error.startswith(f"{target}: line 70002, byte {byte}: 0xe9 is not UTF-8")


def test_csv_header_that_is_not_utf8_is_refused(folder: Path) -> None:
    target = folder / "exposures-2.csv"
    target.write_bytes(b"user_id,variant,exposed_at,caf\xe9\n1,a,2026-01-01,1\n")
    assert refusal(folder).startswith(f"{target}: line 1, byte 31: 0xe9 is not UTF-8")


@pytest.mark.parametrize("text", ["2026-13-45", "yesterday", "epoch", "infinity", "01/02/2026"])
def test_csv_with_a_bad_time_is_refused_with_its_row(folder: Path, text: str) -> None:
    pull(spec_of(), folder)
    target = folder / "exposures-2.csv"
    write_csv(
        target,
        "user_id,variant,exposed_at",
        [(1, "a", "2026-01-01"), (2, "b", text), (3, "b", text)],
    )
    assert refusal(folder) == (
        f"{target}: row 2: exposed_at is {text!r}, must be a time such as 2026-01-31T09:30:00Z "
        "(without a zone it is UTC), or as sources.exposures.time_format says (1 more such rows)"
    )


def test_seconds_since_1970_are_refused(folder: Path) -> None:
    write_csv(folder / "exposures-2.csv", "user_id,variant,exposed_at", [(1, "a", 1767225600)])
    assert "row 1: exposed_at is '1767225600', must be a time" in refusal(folder)
    (folder / "exposures-2.csv").unlink()
    target = folder / "exposures-2.parquet"
    duckdb.sql(f"copy (select 1 as user_id, 'a' as variant, 17 as exposed_at) to '{target}'")
    assert "column 'exposed_at' has the type INTEGER, it must hold a time" in refusal(folder)


def test_value_that_is_no_number_is_refused(folder: Path) -> None:
    write_outcomes(folder, [(1, "purchase", 2, 5), (1, "purchase", 2, "5 EUR")])
    assert "row 2: value is '5 EUR', must be a number such as 12.5" in refusal(folder)


def test_row_with_too_few_columns_is_refused(folder: Path) -> None:
    target = folder / "exposures-2.csv"
    target.write_text("user_id,variant,exposed_at\n1,a,2026-01-01\n2,a\n")
    assert refusal(folder) == f"{target}: line 3: 2 columns, must be 3 as in line 1: '2,a'"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("exposures.xlsx", b"PK", "unknown kind of file"),
        ("exposures-2.csv", b"a,a\n1,2\n", "line 1 names the column 'a' more than once"),
        ("exposures-2.jsonl", b'{"user_id": 1, "vari', "alformed JSON"),
        ("exposures-2.csv.gz", b"no gzip", "can't be read"),
    ],
)
def test_other_broken_files_are_refused(folder: Path, name: str, text: bytes, said: str) -> None:
    (folder / name).write_bytes(text)
    error = refusal(folder)
    assert error.startswith(f"{folder / name}: ")
    assert said in error


def test_file_with_a_header_only_is_no_error(folder: Path) -> None:
    write_outcomes(folder, [])
    pull(spec_of(), folder)
    assert sample_in(read(spec_of(), folder).samples, "bought", "a").mean == 0.0


def test_a_million_exposures_load_whole(folder: Path) -> None:
    target = folder / "exposures.parquet"
    duckdb.sql(
        "copy (select range as user_id, if(range % 2 = 0, 'a', 'b') as variant,"
        f" timestamp '2026-01-01' as exposed_at from range(1_000_000)) to '{target}'"
    )
    (folder / "exposures.csv").unlink()
    pull(spec_of(), folder)
    assert rows_of(folder, "select count(*) from exposures") == [(1_000_000,)]
