"""Statements: load/ writes, aggregate/ reads; one a file; each says what it reads and yields."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import pytest

from tests.places import REPOSITORY

SQL = REPOSITORY / "sql"
FILES = [path for folder in ("aggregate", "load") for path in sorted((SQL / folder).glob("*.sql"))]
each_statement = pytest.mark.parametrize(
    "path", FILES, ids=[f"{path.parent.name}/{path.stem}" for path in FILES]
)
_WRITES = {
    duckdb.StatementType.INSERT,
    duckdb.StatementType.UPDATE,
    duckdb.StatementType.DELETE,
    duckdb.StatementType.CREATE,
    duckdb.StatementType.COPY,
}


def _types(text: str) -> list[duckdb.StatementType]:
    """What DuckDB takes the statements of a text for; an expression stands in places to fill in."""
    return [each.type for each in duckdb.extract_statements(re.sub(r"\{\w+\}", "x", text))]


def _header_and_body(path: Path) -> tuple[str, str]:
    """The comment before the statement as one line, and the statement without its comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    length = next(i for i, line in enumerate(lines) if not line.startswith("--"))
    header = " ".join(line.removeprefix("--").strip() for line in lines[:length])
    body = "\n".join(line.split("--")[0] for line in lines[length:])
    return header, re.sub(r"'(?:[^']|'')*'", "''", body)


@each_statement
def test_load_writes_and_aggregate_reads(path: Path) -> None:
    [kind] = _types(path.read_text(encoding="utf-8"))

    if path.parent.name == "load":
        assert kind in _WRITES
    else:
        assert kind is duckdb.StatementType.SELECT


@pytest.mark.parametrize(
    "text",
    [
        "delete from pulls",
        "create temporary table t as select 1",
        "with a as (select 1) insert into t select * from a",
        "copy (select 1) to 'x.parquet'",
        "update t set a = {value}",
    ],
)
def test_the_parser_tells_a_statement_that_writes(text: str) -> None:
    [kind] = _types(text)
    assert kind in _WRITES


@each_statement
def test_the_header_says_what_a_statement_reads_and_yields(path: Path) -> None:
    header, body = _header_and_body(path)

    if path.parent.name == "load":
        assert re.search(r"\b(writes|yields): \w", header)
    else:
        assert re.match(r"(at most )?one row\b", header)
        assert re.search(r"\breads: \w", header)
    relations = set(re.findall(r"\b(?:from|join|into|update|table)\s+([a-z]\w*)\b(?!\s*\()", body))
    steps = set(re.findall(r"\b([a-z]\w*) as (?:materialized )?\(", body))
    asked = set(re.findall(r"\$([a-z]\w*)", body)) | set(re.findall(r"\{(\w+)\}", body))
    named = set(re.findall(r"\w+", header))
    assert (relations - steps - {"and", "set"}) | asked <= named


def test_every_statement_is_used() -> None:
    code = "\n".join(
        path.read_text(encoding="utf-8") for path in (REPOSITORY / "flows").rglob("*.py")
    )
    asked = re.findall(r'"((?:load/|aggregate/)?[\w{}]+)"', code)
    # Some families have a statement for each kind of users' rows; others are asked by their stem.
    used = {re.sub(r"\{\w+\}", kind, name) for name in asked for kind in ("exposures", "outcomes")}

    assert [
        path
        for path in FILES
        if f"{path.parent.name}/{path.stem}" not in used and path.stem not in used
    ] == []
