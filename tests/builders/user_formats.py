"""The same users in every format that people keep them in."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb

from tests.builders.user_specs import day

Row = Mapping[str, Any]
Table = Sequence[Row]
Writer = Callable[[Path, str, Table], None]

USERS = 240


def exposures() -> list[dict[str, Any]]:
    """Users 1 to 240, every second in b, one each 20 minutes."""
    return [
        {
            "user_id": user,
            "variant": "a" if user % 2 else "b",
            "exposed_at": day(0) + timedelta(minutes=20 * user),
            "country": "NA" if user % 3 else "ke",
        }
        for user in range(1, USERS + 1)
    ]


def outcomes() -> list[dict[str, Any]]:
    """Of a every second user buys, of b every fifth, for 12.50."""
    return [
        {
            "user_id": user,
            "outcome": "purchase",
            "occurred_at": day(0) + timedelta(minutes=20 * user + 90),
            "value": 12.5,
        }
        for user in range(1, USERS + 1)
        if ((user // 2) % 2 == 0 if user % 2 else user % 5 == 0)
    ]


def text_of(value: object) -> str:
    """A value as CSV has it."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)


def csv_text(rows: Table, delimiter: str = ",") -> list[str]:
    """The lines of a CSV file, the columns' names first."""
    lines = [delimiter.join(map(text_of, row.values())) for row in rows]
    return [delimiter.join(rows[0]), *lines]


def csv_writer(
    change: Callable[[list[str]], str], *, delimiter: str = ",", suffix: str = ".csv"
) -> Writer:
    """Writes what becomes of the lines."""

    def write(folder: Path, stem: str, rows: Table) -> None:
        text = change(csv_text(rows, delimiter)).encode("utf-8")
        packed = gzip.compress(text) if suffix.endswith(".gz") else text
        (folder / f"{stem}{suffix}").write_bytes(packed)

    return write


def json_writer(dump: Callable[[list[dict[str, Any]]], str], *, suffix: str = ".json") -> Writer:
    """Writes records, times as text."""

    def write(folder: Path, stem: str, rows: Table) -> None:
        records = [
            {k: text_of(v) if isinstance(v, datetime) else v for k, v in row.items()}
            for row in rows
        ]
        text = dump(records).encode("utf-8")
        packed = gzip.compress(text) if suffix.endswith(".gz") else text
        (folder / f"{stem}{suffix}").write_bytes(packed)

    return write


def json_lines(records: list[dict[str, Any]]) -> str:
    """A record a line."""
    return "\n".join(json.dumps(record) for record in records) + "\n"


def parquet_writer(**types: str) -> Writer:
    """Writes typed columns; types: other types than the usual ones, by column."""

    def write(folder: Path, stem: str, rows: Table) -> None:
        write_parquet(folder / f"{stem}.parquet", rows, types)

    return write


def write_parquet(path: Path, rows: Table, types: Mapping[str, str] | None = None) -> None:
    """One Parquet file with typed columns."""
    usual = {"user_id": "bigint", "exposed_at": "timestamptz", "occurred_at": "timestamptz"}
    kinds = usual | {"value": "double"} | dict(types or {})
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        lines = ", ".join(
            "(" + ", ".join("null" if v is None else f"'{text_of(v)}'" for v in row.values()) + ")"
            for row in rows
        )
        columns = ", ".join(f'cast("{c}" as {kinds.get(c, "varchar")}) as "{c}"' for c in rows[0])
        names = ", ".join(f'"{c}"' for c in rows[0])
        con.execute(f"copy (select {columns} from (values {lines}) t({names})) to '{path}'")


def folder_writer(column: str, value: Callable[[Row], str], write: Writer) -> Writer:
    """Writes the rows of each value of a column to a folder of its own, without the column."""

    def write_folders(folder: Path, stem: str, rows: Table) -> None:
        parts: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            rest = {k: v for k, v in row.items() if k != column}
            parts.setdefault(value(row), []).append(rest)
        for name, part in parts.items():
            inner = folder / stem / f"{column}={quote(name)}"
            inner.mkdir(parents=True)
            write(inner, "part", part)

    return write_folders


def _lines(end: str) -> Callable[[list[str]], str]:
    return lambda lines: end.join(lines) + end


def _mixed(lines: list[str]) -> str:
    return "".join(f"{line}{end}" for line, end in zip(lines, ["\r\n", "\n"] * 999, strict=False))


def _numbered(first: str) -> Callable[[list[str]], str]:
    """An index column before the others, as pandas (without a name) or R (no header) writes it."""
    return lambda lines: _lines("\n")(
        [f"{first}{lines[0]}", *(f"{i},{line}" for i, line in enumerate(lines[1:]))]
    )


CSV = csv_writer(_lines("\n"))
JSON_LINES = json_writer(json_lines, suffix=".jsonl")
PARQUET = parquet_writer()

FORMATS: dict[str, Writer] = {
    "csv": CSV,
    "csv, lines end as on Windows": csv_writer(_lines("\r\n")),
    "csv, lines end as on old Macs": csv_writer(_lines("\r")),
    "csv, mixed line ends": csv_writer(_mixed),
    "csv, mixed line ends, packed": csv_writer(_mixed, suffix=".csv.gz"),
    "csv, no last line end": csv_writer("\n".join),
    "csv, blank lines": csv_writer(lambda lines: "\n\n" + "\n\n".join(lines) + "\n\n\n"),
    "csv, byte order mark": csv_writer(lambda lines: "\ufeff" + _lines("\n")(lines)),
    "csv, blanks around": csv_writer(
        lambda lines: _lines("\n")([x.replace(",", " , ") for x in lines])
    ),
    "csv, all quoted": csv_writer(
        lambda lines: _lines("\n")(['"' + x.replace(",", '","') + '"' for x in lines])
    ),
    "csv, index of pandas": csv_writer(_numbered(",")),
    "csv, index of R": csv_writer(_numbered("")),
    "csv, trailing comma": csv_writer(lambda lines: _lines("\n")([f"{x}," for x in lines])),
    "csv, trailing comma in rows": csv_writer(
        lambda lines: _lines("\n")([lines[0], *(f"{x}," for x in lines[1:])])
    ),
    "csv, trailing comma in header": csv_writer(
        lambda lines: _lines("\n")([f"{lines[0]},", *lines[1:]])
    ),
    "csv, ids as floating point": csv_writer(
        lambda lines: _lines("\n")([lines[0], *(x.replace(",", ".0,", 1) for x in lines[1:])])
    ),
    "csv, semicolons of Excel": csv_writer(
        lambda lines: _lines("\r\n")(["sep=;", *lines]), delimiter=";"
    ),
    "tsv": csv_writer(_lines("\n"), delimiter="\t", suffix=".tsv"),
    "csv, packed": csv_writer(_lines("\n"), suffix=".csv.gz"),
    "json": json_writer(json.dumps),
    "json, pretty": json_writer(lambda records: json.dumps(records, indent=2)),
    "json lines": JSON_LINES,
    "json lines, packed": json_writer(json_lines, suffix=".jsonl.gz"),
    "json lines, ids as floating point": json_writer(
        lambda records: json_lines([r | {"user_id": float(r["user_id"])} for r in records]),
        suffix=".jsonl",
    ),
    "parquet": PARQUET,
    "parquet, ids as floating point": parquet_writer(user_id="double"),
    "parquet, ids as decimals": parquet_writer(user_id="decimal(18, 2)"),
    "parquet, ids as bytes": parquet_writer(user_id="blob"),
    "parquet, nanoseconds": parquet_writer(exposed_at="timestamp_ns", occurred_at="timestamp_ns"),
    "parquet, values as decimals": parquet_writer(value="decimal(18, 4)"),
    "parquet, all text": parquet_writer(
        user_id="varchar", exposed_at="varchar", occurred_at="varchar", value="varchar"
    ),
}
