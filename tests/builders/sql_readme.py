"""The questions of sql/README.md: runs each query and writes, or compares, what it answers.

python -m tests.builders.sql_readme MARTS_FILE rewrites the answers from a published file.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from tests.places import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

README = REPOSITORY / "sql" / "README.md"

# A question's heading, anything, its query, and the block with the answer right after it.
_LINES = r"(?:(?!```|### )[^\n]*\n)*"
_QUESTION = re.compile(
    rf"^### (?P<title>[^\n]+)\n{_LINES}"
    rf"```sql\n(?P<query>{_LINES})```\n\n```text\n(?P<answer>{_LINES})```\n",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Question:
    """One question of the README, with the answer as it stands there."""

    title: str
    query: str
    answer: str


def questions(text: str) -> tuple[Question, ...]:
    """Every heading of the third level that has a query and an answer."""
    return tuple(
        Question(match["title"], match["query"], match["answer"])
        for match in _QUESTION.finditer(text)
    )


def with_answers(text: str, marts: Path) -> str:
    """The README's text with the answers of a published file."""
    with duckdb.connect(marts, read_only=True) as con:
        con.execute("set TimeZone = 'UTC'")
        ask = _asker(con)
        return _QUESTION.sub(lambda match: _answered(match, ask), text)


def _asker(con: duckdb.DuckDBPyConnection) -> Callable[[str], str]:
    def ask(query: str) -> str:
        cursor = con.execute(query)
        names = [column[0] for column in cursor.description or ()]
        return render(names, cursor.fetchall())

    return ask


def _answered(match: re.Match[str], ask: Callable[[str], str]) -> str:
    whole = match[0]
    start = match.start("answer") - match.start()
    return whole[:start] + ask(match["query"]) + whole[match.end("answer") - match.start() :]


def render(names: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of plain text: numbers to the right, everything else to the left."""
    columns = list(zip(names, *([_cell(value) for value in row] for row in rows), strict=True))
    widths = [max(map(len, column)) for column in columns]
    numeric = [
        any(_is_number(row[i]) for row in rows)
        and all(row[i] is None or _is_number(row[i]) for row in rows)
        for i in range(len(names))
    ]
    table = [
        [
            column[line].rjust(width) if right else column[line].ljust(width)
            for column, width, right in zip(columns, widths, numeric, strict=True)
        ]
        for line in range(len(rows) + 1)
    ]
    table.insert(1, ["-" * width for width in widths])
    return "".join("  ".join(line).rstrip() + "\n" for line in table)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    return str(value)


def main() -> None:
    """Rewrites the answers of sql/README.md."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.builders.sql_readme MARTS_FILE")
    text = with_answers(README.read_text(encoding="utf-8"), Path(sys.argv[1]))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
