"""Reads JSON files that people and other systems write, and knows the line of each field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.formats.problems import FieldPath, FileProblem, InputError, file_error, written_line
from flows.formats.text_file import read_utf8

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+|\n')


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON file as data, with its text, which knows the lines."""

    path: Path
    text: str
    data: Any

    def error(self, findings: Iterable[tuple[FieldPath, str]]) -> InputError:
        """All findings (field and what is wrong with it) as one error, each with its line."""
        lines = _lines(self.text)
        return InputError(
            [
                FileProblem(str(self.path), written_line(lines, at), field_name(at), message)
                for at, message in findings
            ]
        )


def field_name(at: FieldPath) -> str:
    """A field as it is written in messages: metrics[2].groups."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in at)
    return "".join(parts).removeprefix(".")


def read_json(path: Path, *, largest: int) -> JsonFile:
    """The file's data; NaN and Infinity are read as numbers.

    largest: bytes. Raises InputError if it can't be read, is larger, isn't whole, or has a field
    twice.
    """
    text = read_utf8(path, largest=largest)
    try:
        return JsonFile(path, text, json.loads(text, object_pairs_hook=_without_twins))
    except json.JSONDecodeError as error:
        raise file_error(path, error.lineno, _broken(text, error)) from error
    except RecursionError as error:
        raise file_error(path, 1, "is nested too deeply") from error
    except _Twice as error:
        raise file_error(path, 1, f"duplicate key {error.args[0]!r}") from error
    except ValueError as error:
        raise file_error(path, 1, "has a number of thousands of digits") from error


class _Twice(ValueError):
    """A key twice in one object."""


def _broken(text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return "is empty, must hold JSON"
    if not text[error.pos :].strip():
        return "ends in the middle: the file is truncated"
    return f"is not JSON: {error.msg} at column {error.colno}"


def _without_twins(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return fields


def _lines(text: str) -> dict[FieldPath, int]:
    """The line on which each field and item of valid JSON starts."""
    lines: dict[FieldPath, int] = {}
    path: list[str | int] = []
    containers: list[str] = []
    line, key_follows = 1, False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token == "\n":
            line += 1
        elif token in ("{", "["):
            lines.setdefault(tuple(path), line)
            containers.append(token)
            path.append("" if token == "{" else 0)
            key_follows = token == "{"
        elif token in ("}", "]"):
            containers.pop()
            path.pop()
        elif token == ",":
            key_follows = containers[-1] == "{"
            last = path[-1]
            if isinstance(last, int):
                path[-1] = last + 1
        elif token == ":":
            key_follows = False
        else:
            if key_follows:
                path[-1] = json.loads(token)
            lines.setdefault(tuple(path), line)
    return lines
