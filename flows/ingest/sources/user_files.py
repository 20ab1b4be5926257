"""Exposures and outcomes in Parquet, CSV and JSON files, read by DuckDB itself."""

from __future__ import annotations

import codecs
import glob
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import duckdb
from duckdb import (
    ColumnExpression,
    ConstantExpression,
    DuckDBPyConnection,
    DuckDBPyRelation,
    StarExpression,
)

from flows.ingest.sources.csv_layout import (
    CsvLayout,
    has_mixed_line_ends,
    read_layout,
    with_one_line_end,
)
from flows.ingest.sources.folders import folder_columns
from flows.ingest.sources.local_files import file_state
from flows.ingest.sources.packed_file import (
    UNREADABLE,
    check_text,
    check_whole,
    check_whole_array,
    open_bytes,
)
from flows.ingest.sources.staged_rows import stage
from flows.ingest.sources.user_rows import StagedPart, UserDataRefused, WantedRows
from flows.warehouse.engines import attached
from flows.warehouse.statements import quoted

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".tsv", ".txt")
_JSON = (".json", ".jsonl", ".ndjson")
_CHUNK = 1 << 20
# How DuckDB and pandas name an index, which has no name in the file.
_INDEX = re.compile(r"column\d+|Unnamed: \d+|__index_level_\d+__")
_SHOWN = 200  # characters of a line
_ADDED = re.compile(r"(.+)_\d+")
_T = TypeVar("_T")


def stage_file(
    con: DuckDBPyConnection, file: Path, wanted: WantedRows, *, part: str, path: Path
) -> StagedPart:
    """Reads one file into a staged part at path.

    Raises UserDataRefused; duckdb.Error where not the file is at fault (memory, a full disk).
    """
    state = file_state(file)

    def read(source: Path) -> StagedPart:
        relation = with_folders(open_rows(con, source, wanted), part, wanted)
        return stage(con, relation, wanted, part=part, state=state, where=str(file), path=path)

    return explaining(file, path, read)


def read_records(file: Path) -> list[dict[str, Any]]:
    """All rows of a small file, with all columns but an index; a null is a field that isn't there.

    Values of CSV are text, others as they are written. Raises UserDataRefused.
    """

    def read(source: Path) -> list[dict[str, Any]]:
        relation = open_rows(con, source, None)
        kinds = list(zip(relation.columns, map(str, relation.types), strict=True))
        # A JSON column of texts and numbers comes as JSON, each text in quotes.
        return [
            {
                name: json.loads(value) if kind == "JSON" else value
                for (name, kind), value in zip(kinds, row, strict=True)
                if value is not None and not _INDEX.fullmatch(name)
            }
            for row in relation.fetchall()
        ]

    # DuckDB would put what doesn't fit into memory beside the caller's files.
    with (
        tempfile.TemporaryDirectory() as folder,
        attached(None, Path(folder) / "spilled", {}) as con,
    ):
        return explaining(file, Path(folder) / "rows", read)


def explaining(file: Path, scratch: Path, read: Callable[[Path], _T]) -> _T:
    """What is read of a file, its line ends made alike first where they are mixed.

    scratch: what may be written beside; its errors are not the file's, and pass. Raises
    UserDataRefused.
    """
    try:
        check_whole(file)
        try:
            return read(file)
        except duckdb.InvalidInputException:
            if _kind(file) not in _CSV or not has_mixed_line_ends(file):
                raise
            copy = scratch.with_suffix(".csv")
            with_one_line_end(file, copy)
            return read(copy)
    except (duckdb.ParserException, duckdb.BinderException, duckdb.OutOfMemoryException):
        raise
    except duckdb.Error as error:
        if str(scratch) in str(error):
            raise
        raise UserDataRefused(_explained(file, error)) from error
    except UnicodeDecodeError as error:
        raise UserDataRefused(_first_bad_byte(file) or f"{file}: not UTF-8: {error}") from error
    except UNREADABLE as error:
        raise UserDataRefused(f"{file}: can't be read: {error}") from error


def open_rows(con: DuckDBPyConnection, file: Path, wanted: WantedRows | None) -> DuckDBPyRelation:
    """The file's own columns: folders don't replace them. wanted: None for all of them."""
    kind = _kind(file)
    # The name is a glob to DuckDB as well.
    name = glob.escape(str(file))
    if kind in _PARQUET:
        return _read_parquet(con, file, name)
    check_text(file)
    if kind in _CSV:
        layout = read_layout(file)
        return _nothing(con, wanted) if layout is None else _read_csv(con, file, layout)
    check_whole_array(file)
    return _read_json(con, name, wanted)


def _read_parquet(con: DuckDBPyConnection, file: Path, name: str) -> DuckDBPyRelation:
    """The columns. Raises UserDataRefused where two have one name: DuckDB adds _1 to the second."""
    found = con.read_parquet(name, hive_partitioning=False)
    added = [match for each in found.columns if (match := _ADDED.fullmatch(each))]
    if any(match[1] in found.columns for match in added):
        rows = con.execute("select name from parquet_schema(?)", [name]).fetchall()
        written = [row[0] for row in rows]
        for match in added:
            if match[0] not in written and written.count(match[1]) > 1:
                raise UserDataRefused(f"{file}: names the column {match[1]!r} more than once")
    return found


def _read_json(con: DuckDBPyConnection, name: str, wanted: WantedRows | None) -> DuckDBPyRelation:
    """The fields that are used, as text: what the first rows look like says nothing of the last."""
    try:
        found = con.read_json(name, maximum_depth=1, sample_size=-1, hive_partitioning=False)
        if found.columns == ["json"] and not found.limit(1).fetchall():
            return _nothing(con, wanted)
        columns = found.columns
    except duckdb.Error as error:
        if wanted is None or "differ only in case" not in str(error):
            raise
        columns = _filled(con, name, wanted)
    if wanted is None:
        return found
    used = [name for name in wanted.used if name in columns]
    # Of one that is missing the others' names are said, or a folder has it.
    is_whole = all(name in used for name in wanted.required)
    texts = dict.fromkeys(used if is_whole else columns, "VARCHAR")
    return con.read_json(name, columns=texts, hive_partitioning=False)


def _filled(con: DuckDBPyConnection, name: str, wanted: WantedRows) -> list[str]:
    """The wanted columns, of JSON whose fields DuckDB doesn't list, that are written as wanted."""
    columns = list(dict.fromkeys(wanted.used))
    found = con.read_json(name, columns=dict.fromkeys(columns, "VARCHAR"), hive_partitioning=False)
    counts = found.aggregate(", ".join(f"count({quoted(each)})" for each in columns)).fetchall()
    return [each for each, count in zip(columns, counts[0], strict=True) if count]


def _read_csv(con: DuckDBPyConnection, file: Path, layout: CsvLayout) -> DuckDBPyRelation:
    """The columns of a CSV file, as text; by their places, as names can be empty or alike."""
    if layout.repeated:
        raise UserDataRefused(
            f"{file}: line {layout.skipped + 1} names the column {layout.repeated[0]!r} more than "
            "once"
        )
    places = [f"column_{place}" for place in range(len(layout.columns))]
    relation = con.read_csv(
        glob.escape(str(file)),
        columns=dict.fromkeys(places, "VARCHAR"),
        header=True,
        skiprows=layout.skipped,
        auto_detect=False,
        sep=layout.delimiter,
        quotechar='"',
        escapechar='"',
        hive_partitioning=False,
    )
    named = [(p, name) for p, name in zip(places, layout.columns, strict=True) if name]
    return relation.select(*(ColumnExpression(place).alias(name) for place, name in named))


def _nothing(con: DuckDBPyConnection, wanted: WantedRows | None) -> DuckDBPyRelation:
    """The columns that are wanted, without rows: a file that has nothing in it names none."""
    columns = ", ".join(
        f"null::varchar as {quoted(name)}" for name in (wanted.used if wanted else ("nothing",))
    )
    return con.sql(f"select {columns} where false")


def with_folders(relation: DuckDBPyRelation, part: str, wanted: WantedRows) -> DuckDBPyRelation:
    """The relation with the columns that only the file's folders name."""
    named = folder_columns(part)
    added = [
        ConstantExpression(named[name]).cast("VARCHAR").alias(name)
        for name in wanted.used
        if name in named and name not in relation.columns
    ]
    return relation.select(StarExpression(), *added) if added else relation


def _kind(file: Path) -> str:
    suffixes = [suffix.lower() for suffix in file.suffixes]
    packed = suffixes[-1:] == [".gz"]
    kind = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    if kind in (*_CSV, *_JSON) or (kind in _PARQUET and not packed):
        return kind
    raise UserDataRefused(
        f"{file}: unknown kind of file; the name must end with .parquet, .csv, .tsv, .json or "
        ".jsonl (the last four also with .gz)"
    )


def _explained(file: Path, error: Exception) -> str:
    """One sentence for what DuckDB says about a file in many lines."""
    kind, lines = _kind(file), str(error).split("\n")
    said = lines[0].split(" Error: ", 1)[-1]
    is_no_text = any(word in str(error).lower() for word in ("unicode", "utf-8", "utf8"))
    if kind in _PARQUET and is_no_text:
        return f"{file}: a text that is not UTF-8 ({said})"
    if kind in _PARQUET:
        return f"{file}: not a whole Parquet file ({said}); was it still being written?"
    if is_no_text:
        return _first_bad_byte(file) or f"{file}: not UTF-8 ({said})"
    facts = _csv_facts(lines) if kind in _CSV else said
    return f"{file}: {facts}"


def _csv_facts(lines: list[str]) -> str:
    """Line, what is wrong there, and the line itself, from DuckDB's report on a CSV file."""
    lines = [line if len(line) < _SHOWN else f"{line[:_SHOWN]}..." for line in lines]
    where = lines[0].split("Error on ", 1)[-1].replace("Line:", "line")
    named: Mapping[str, str] = dict(
        part for line in lines[1:] if len(part := line.split(": ", 1)) == 2
    )
    original = named.get("Original Line", "")
    if "Expected Number of Columns" in named:
        wanted, found = named["Expected Number of Columns"].split(" Found: ")
        return f"{where}: {found} columns, must be {wanted} as in line 1: {original!r}"
    if any("unterminated quote" in line for line in lines):
        return f"{where}: a quote is opened and never closed: {original!r}"
    return f"{where}: {' '.join(lines[1:3])}"


def _first_bad_byte(file: Path) -> str | None:
    """Where a file stops being UTF-8; None if it doesn't."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    offset, line = 0, 1
    with open_bytes(file) as stream:
        while True:
            chunk = stream.read(_CHUNK)
            pending = decoder.getstate()[0]
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                at = offset - len(pending) + error.start
                line += (pending + chunk)[: error.start].count(b"\n")
                bad = error.object[error.start]
                return (
                    f"{file}: line {line}, byte {at + 1}: 0x{bad:02x} is not UTF-8; save the file "
                    "as UTF-8 (it looks like Latin-1 or Windows-1252)"
                )
            if not chunk:
                return None
            offset += len(chunk)
            line += chunk.count(b"\n")
