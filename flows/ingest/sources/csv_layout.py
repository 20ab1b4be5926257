"""How a CSV file is laid out: its columns, its delimiter, and where its rows begin."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from flows.ingest.sources.packed_file import open_bytes

_DELIMITERS = ",;\t|"
_LINE_END = re.compile(r"\r\n|\r|\n")
_MIXED_LINE_END = re.compile(rb"\r*\n|\r+")
_CHUNK = 1 << 20
_ROWS_LOOKED_AT = 100


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """What the first lines of a CSV file say.

    columns: names in the order of the file, '' for a column without a name (an index, or what
    follows a trailing delimiter). skipped: lines before the one that names the columns.
    """

    columns: tuple[str, ...]
    delimiter: str
    skipped: int

    @property
    def repeated(self) -> tuple[str, ...]:
        """Names that stand for several columns."""
        return tuple(sorted({n for n in self.columns if n and self.columns.count(n) > 1}))


def read_layout(file: Path) -> CsvLayout | None:
    """The layout of a CSV file; None if it has no text at all. Raises UnicodeDecodeError.

    The delimiter is the most frequent one in the line that names the columns; a line `sep=;`
    before it, as Excel writes, says it. The first rows tell an index column without a name (they
    have one value more) from a trailing delimiter (all their last values are empty).
    """
    with open_bytes(file) as stream:
        head = codecs.getincrementaldecoder("utf-8-sig")().decode(stream.read(_CHUNK))
    lines = _LINE_END.split(head)
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return None
    said = re.fullmatch(r"sep=(.)", lines[first].strip())
    if said is not None:
        first += 1
    header = lines[first] if first < len(lines) else ""
    delimiter = said[1] if said else max(_DELIMITERS, key=header.count)
    # A value may be as long as what is looked at; where there are longer ones DuckDB says it.
    csv.field_size_limit(_CHUNK)
    rows = csv.reader(lines[first:], delimiter=delimiter)
    columns = [name.strip() for name in next(rows, [])]
    found = [row for row in islice(rows, _ROWS_LOOKED_AT) if row]
    return CsvLayout(tuple(_as_in_rows(columns, found)), delimiter, first)


def _as_in_rows(columns: list[str], rows: list[list[str]]) -> list[str]:
    """The columns' names, as many as a row has values where the header has one more or less."""
    values = len(rows[0]) if rows else len(columns)
    if values == len(columns) + 1:
        # One value that is empty is no trailing delimiter.
        is_trailing = not any(row[-1].strip() for row in rows if len(row) == values)
        return [*columns, ""] if is_trailing else ["", *columns]
    if values == len(columns) - 1 and not columns[-1]:
        return columns[:-1]
    return columns


def has_mixed_line_ends(file: Path) -> bool:
    """Whether lines end in several ways, as in files that two systems wrote."""
    kinds: set[bytes] = set()
    for chunk in _whole_lines(file):
        kinds.update(_MIXED_LINE_END.findall(chunk))
        if len(kinds) > 1:
            return True
    return False


def with_one_line_end(file: Path, copy: Path) -> None:
    """Writes the file's text to a copy, each line ended alike."""
    with copy.open("wb") as target:
        for chunk in _whole_lines(file):
            target.write(_MIXED_LINE_END.sub(b"\n", chunk))


def _whole_lines(file: Path) -> Iterator[bytes]:
    """The file in chunks, none of which ends within a line end."""
    with open_bytes(file) as stream:
        while chunk := stream.read(_CHUNK):
            while chunk.endswith(b"\r") and (following := stream.read(1)):
                chunk += following
            yield chunk
