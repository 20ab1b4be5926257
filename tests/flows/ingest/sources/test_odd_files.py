"""Files of users as they are, and not as they should be: an answer or one line.

Covers flows.ingest.sources.packed_file.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.ingest.sources.staged_rows import make_macros
from flows.ingest.sources.user_files import stage_file
from flows.ingest.sources.user_rows import UserDataRefused, UserRows, WantedRows

NAMES = ("user_id", "variant", "exposed_at")
ROW = ("u1", "a", "2026-01-01T00:00:00Z")
CSV = ",".join(NAMES) + "\n" + (",".join(ROW) + "\n") * 40_000
LINES = json.dumps(dict(zip(NAMES, ROW, strict=True))) + "\n"
WANTED = WantedRows(
    UserRows.EXPOSURES,
    "e",
    {"user": "user_id", "variant": "variant", "at": "exposed_at"},
    (),
    names_in_data={},
    time_format=None,
    variants=("a", "b"),
    wide={},
    at=None,
)


def staged(folder: Path, name: str, content: bytes) -> int:
    path = folder / name
    path.write_bytes(content)
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        make_macros(con)
        found = stage_file(con, path, WANTED, part=name, path=folder / "staged.parquet")
        rows = con.execute("select user_id from read_parquet(?)", [str(found.path)]).fetchall()
    assert all(row[0] == "u1" for row in rows)
    return found.row_count


def damaged(packed: bytes) -> dict[str, bytes]:
    middle = len(packed) // 2
    return {
        "cut": packed[:middle],
        "cut in the checksum": packed[:-6],
        "another checksum": packed[:-8] + bytes(4) + packed[-4:],
        "another size": packed[:-4] + b"\1\2\3\4",
        "a byte near its start": packed[:60] + bytes([packed[60] ^ 0xFF]) + packed[61:],
        "a bit in its middle": packed[:middle] + bytes([packed[middle] ^ 1]) + packed[middle + 1 :],
        "another program's text after it": packed + b"hello",
        "not packed at all": b"user_id,variant\n",
    }


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_damaged_gzip_is_refused_wherever_it_is_damaged(tmp_path: Path, kind: str) -> None:
    packed = gzip.compress((CSV if kind == "csv" else LINES * 20_000).encode(), 1)
    assert staged(tmp_path, f"whole.{kind}.gz", packed) > 0
    for what, content in damaged(packed).items():
        with pytest.raises(UserDataRefused, match="can't be read") as refused:
            staged(tmp_path, f"x.{kind}.gz", content)
        assert "\n" not in str(refused.value), what


def test_columns_that_differ_in_case_are_told_apart(tmp_path: Path) -> None:
    table = pa.table(
        [pa.array([value]) for value in ("u1", "X", *ROW[1:])],
        names=["user_id", "User_ID", *NAMES[1:]],
    )
    pq.write_table(table, tmp_path / "both.parquet")
    text = "user_id,User_ID,variant,exposed_at\nu1,X,a,2026-01-01\n"
    both = {"user_id": "u1", "User_ID": "X", "variant": "a", "exposed_at": "2026-01-01"}
    for name, content in {
        "x.parquet": (tmp_path / "both.parquet").read_bytes(),
        "x.csv": text.encode(),
        "x.json": json.dumps([both]).encode(),
        "x.jsonl": (json.dumps(both) + "\n").encode(),
    }.items():
        assert staged(tmp_path, name, content) == 1, name


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_column_in_another_case_is_shown_as_it_is(tmp_path: Path, kind: str) -> None:
    text = CSV[:80] if kind == "csv" else LINES
    with pytest.raises(UserDataRefused, match=r"no column 'user_id' .* it has 'User_ID'"):
        staged(tmp_path, f"x.{kind}", text.replace("user_id", "User_ID").encode())


def test_an_empty_last_value_is_no_trailing_comma(tmp_path: Path) -> None:
    """R's index has no name: the first row alone does not tell it from a trailing comma."""
    header = "user_id,variant,exposed_at,country"
    rows = ["1,u1,a,2026-01-01,", "2,u1,a,2026-01-01,KE"]
    assert staged(tmp_path, "x.csv", "\n".join([header, *rows]).encode()) == 2


def test_deep_json_is_refused(tmp_path: Path) -> None:
    deep = '[{"user_id":' + "[" * 50_000 + "]" * 50_000 + ',"variant":"a","exposed_at":"2026"}]'
    for text in (deep, "[" * 50_000, "{" * 50_000):
        with pytest.raises(UserDataRefused) as refused:
            staged(tmp_path, "x.json", text.encode())
        assert "\n" not in str(refused.value)


ROWS = CSV[:300]
NO_TEXT = {
    "UTF-16": ("x.csv", ROWS.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "without a mark": ("x.csv", ROWS.encode("utf-16-be"), "is UTF-16, or no text"),
    "lines in UTF-16": ("x.jsonl", LINES.encode("utf-16"), "is UTF-16: save it as UTF-8"),
    "gzip": ("x.csv", gzip.compress(ROWS.encode()), "is packed by gzip: .* end in .gz"),
    "twice": ("x.csv.gz", gzip.compress(gzip.compress(b"x")), "is packed by gzip"),
    "a workbook": ("x.csv", b"PK\x03\x04" + bytes(99), "Excel workbook: export it as CSV"),
    "Parquet": ("x.csv", b"PAR1" + bytes(99), "its name must end in .parquet"),
    "an open quote": ("x.csv", ROWS.replace("\nu1", '\n"u1', 1).encode(), "line 2: a quote is op"),
    "a line without end": ("x.csv", ROWS.encode() + b"7" * 5_000_000, "Maximum line size"),
}


@pytest.mark.parametrize("what", NO_TEXT)
def test_what_is_no_text_is_told_in_one_short_line(tmp_path: Path, what: str) -> None:
    name, content, said = NO_TEXT[what]
    with pytest.raises(UserDataRefused, match=said) as refused:
        staged(tmp_path, name, content)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_a_column_of_parquet_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    arrays = [pa.array([value]) for value in (*ROW, "b")]
    for last, refused in (("variant", True), ("Variant", False), ("variant_1", False)):
        path = tmp_path / f"{last}.parquet"
        pq.write_table(pa.Table.from_arrays(arrays, names=[*NAMES, last]), path)
        if refused:
            with pytest.raises(UserDataRefused, match="the column 'variant' more than once"):
                staged(tmp_path, path.name, path.read_bytes())
        else:
            assert staged(tmp_path, path.name, path.read_bytes()) == 1
