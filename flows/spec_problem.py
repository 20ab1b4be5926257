"""What is wrong with a spec file, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong: where it is, and what would be right."""

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {where}{self.message}"


class SpecError(Exception):
    """One or more specs are wrong; `problems` holds every one of the problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(map(str, self.problems)))


def file_error(path: Path, line: int, message: str) -> SpecError:
    """The error of a file as a whole."""
    return SpecError([Problem(str(path), line, "", message)])
