"""Errors that a person can act on, and the problems of a file, line by line."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flows.formats.safe_text import safe_text

FieldPath = tuple[str | int, ...]
Where = TypeVar("Where", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path of the spec, and what would be right."""

    path: FieldPath
    message: str


def nearest(name: str, known: Sequence[str], *, likeness: float = 0.6) -> str | None:
    """The known name that is most like this one, if one is. likeness: 0 of any, 1 of the same."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=likeness)
    return near[0] if near else None


def did_you_mean(name: str, known: Sequence[str], *, likeness: float = 0.6) -> str:
    """The nearest name as a question in brackets; empty without one."""
    near = nearest(name, known, likeness=likeness)
    return f" (did you mean {near!r}?)" if near else ""


def unknown_field(name: str, known: Sequence[str], belongs_to: Sequence[str] = ()) -> str:
    """What is said of a field that isn't known where it stands, and what would be right."""
    if belongs_to:
        # One letter off is rather a slip than a field of another place.
        near = did_you_mean(name, known, likeness=0.9)
        return f"unknown field {name!r}{near}; it belongs to {', or to '.join(belongs_to)}"
    listed = f"; there are {', '.join(known)}" if known else ""
    return f"unknown field {name!r}{did_you_mean(name, known) or listed}"


@dataclass(frozen=True, slots=True, order=True)
class FileProblem:
    """One thing that is wrong: where it is, and what would be right.

    line: from 1; 0 for a folder or a whole file. is_row: it is a row of data, in lines or not.
    """

    file: str
    line: int
    field: str
    message: str
    is_row: bool = False

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        line = (f": row {self.line}" if self.is_row else f":{self.line}") if self.line else ""
        return safe_text(f"{self.file}{line}: {where}{self.message}")


@dataclass(frozen=True, slots=True)
class RowFault:
    """What is wrong with a field of one row among many, and what would be right.

    cause: what it has in common with the same fault of other rows, whose values differ.
    """

    field: str
    said: str
    cause: str


def each_once(faults: Iterable[tuple[Where, RowFault]], among: str) -> list[tuple[Where, str, str]]:
    """Each fault where it is first: the place, its fields, and what is said of it.

    faults: of all rows, each with its place. among: what follows the number of those that have the
    fault, if several do, such as "of 300 rows". Fields of which the same is said there are one.
    """
    alike: dict[tuple[str, str], list[tuple[Where, RowFault]]] = {}
    for where, fault in faults:
        alike.setdefault((fault.field, fault.cause), []).append((where, fault))
    together: dict[tuple[Where, str], list[str]] = {}
    for same in alike.values():
        (where, fault), count = same[0], len(same)
        said = f"{fault.said} ({count:,} {among})" if count > 1 else fault.said
        together.setdefault((where, said), []).append(fault.field)
    return [(where, ", ".join(fields), said) for (where, said), fields in together.items()]


class UserError(Exception):
    """What a person can act on: the command line shows its message as one line, no traceback.

    Its text is safe to be shown, kept and logged, whatever it was made of.
    """

    def __str__(self) -> str:
        return safe_text(super().__str__())


class InputError(UserError):
    """One or more specs are wrong; `problems` holds every one of the problems."""

    def __init__(self, problems: Sequence[FileProblem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[InputError], tuple[tuple[FileProblem, ...]]]:
        """Another process gets the problems, not their text."""
        return type(self), (self.problems,)


def os_reason(error: Exception) -> str:
    """What the system said, without its number and the file, which the message names itself.

    DuckDB writes the number into its own text.
    """
    of_duckdb = re.search(r'"errno":"([0-9]{1,3})"', str(error))
    said = getattr(error, "strerror", None) or (of_duckdb and os.strerror(int(of_duckdb[1])))
    return said or str(error)


def file_error(path: Path | str, line: int, message: str, field: str = "") -> InputError:
    """The error of a file that has one problem."""
    return InputError([FileProblem(str(path), line, field, message)])


def written_line(lines: Mapping[FieldPath, int], path: FieldPath, *, first: int = 1) -> int:
    """The line of the field, or of the nearest parent that is written; first: of the whole."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, first)
