"""Reads a spec's YAML: plain data, the line and the text of each field, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.formats.problems import FieldPath, FileProblem, file_error

_LARGEST_FILE = 1_000_000
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Document:
    """A YAML file as data.

    lines: of each field, by its path. texts: numbers, times and truth values as they stand in the
    file (1.10 where the data has 1.1), by their paths.
    problems: of the file itself, beside which the data can still be read.
    """

    data: Any
    lines: Mapping[FieldPath, int]
    texts: Mapping[FieldPath, str]
    problems: tuple[FileProblem, ...]

    def line(self, path: FieldPath) -> int:
        """The line of the field, or of the nearest parent that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(path: Path) -> Document:
    """The document in one file. Raises InputError if it can't be read, or is hostile."""
    node = _compose(path, _read_text(path))
    if not isinstance(node, yaml.MappingNode):
        raise file_error(path, 1, "must hold fields such as `experiment:` and `variants:`")
    reading = _Reading(path)
    data = reading.data_of(node, ())
    return Document(data, reading.lines, reading.texts, tuple(reading.problems))


def _read_text(path: Path) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise file_error(path, 1, f"can't be read: {error.strerror}") from error
    if len(raw) > _LARGEST_FILE:
        raise file_error(path, 1, f"has {len(raw)} bytes, a spec has at most {_LARGEST_FILE}")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise file_error(
            path, line, f"byte {error.start} is not UTF-8; save it as UTF-8"
        ) from error


def _compose(path: Path, text: str) -> yaml.Node | None:
    try:
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken | yaml.TagToken):
                line = token.start_mark.line + 1
                raise file_error(path, line, "aliases and tags are not allowed in a spec")
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise file_error(path, line, f"is not YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise file_error(path, line, f"is not YAML: {error.reason}") from error
    except RecursionError as error:
        raise file_error(path, 1, f"is nested deeper than {_DEEPEST}") from error


@dataclass(frozen=True, slots=True)
class _Reading:
    """What is noted while a file is read."""

    file: Path
    lines: dict[FieldPath, int] = field(default_factory=lambda: {(): 1})
    texts: dict[FieldPath, str] = field(default_factory=dict)
    problems: list[FileProblem] = field(default_factory=list)

    def data_of(self, node: yaml.Node, at: FieldPath) -> Any:
        """The node as plain data."""
        if len(at) > _DEEPEST:
            line = node.start_mark.line + 1
            raise file_error(self.file, line, f"is nested deeper than {_DEEPEST}")
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*at, index)) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._fields(node, at)
        return self._scalar(node, at)

    def _item(self, node: yaml.Node, at: FieldPath) -> Any:
        self.lines[at] = node.start_mark.line + 1
        return self.data_of(node, at)

    def _fields(self, node: yaml.MappingNode, at: FieldPath) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._note(name, at, "has a list or fields as a name; a name must be text")
                continue
            path = (*at, str(name.value))
            if name.value in fields:
                self._note(name, path, "stands twice")
            self.lines[path] = name.start_mark.line + 1
            fields[str(name.value)] = self.data_of(value, path)
        return fields

    def _scalar(self, node: yaml.Node, at: FieldPath) -> Any:
        try:
            value = yaml.SafeLoader("").construct_object(node)
        except ValueError as error:
            self._note(node, at, f"is {node.value}, which can't be: {error}")
            return node.value
        if not isinstance(value, str):
            self.texts[at] = str(node.value)
        return value

    def _note(self, node: yaml.Node, at: FieldPath, message: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(FileProblem(str(self.file), line, ".".join(map(str, at)), message))
