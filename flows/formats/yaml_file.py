"""Multi-document YAML as plain data with the line of each field; hostile YAML is refused.

Anchors, aliases and merge keys are expanded within a budget, so that no small file becomes a large
one. Tags are refused: no manifest needs them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.formats.problems import FieldPath, file_error

LARGEST_FILE = 1_000_000
DEEPEST = 50
MOST_DOCUMENTS = 1_000
MOST_VALUES = 200_000
"""Values of one file, with every alias expanded."""

# libyaml reads 10 times as fast as the parser in Python; both read the same language.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PLAIN = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its data, its first line, and the line of each field by its path."""

    file: str
    first_line: int
    data: Any
    lines: Mapping[FieldPath, int]

    def line(self, path: FieldPath) -> int:
        """The line of the field, or of the nearest parent that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, self.first_line)


def read_documents(path: Path) -> list[Document]:
    """Every document of a file that isn't empty. Raises InputError where the file can't be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise file_error(str(path), 1, f"can't be read: {error.strerror}") from error
    if len(raw) > LARGEST_FILE:
        raise file_error(str(path), 1, f"is larger than {LARGEST_FILE} bytes; give fewer manifests")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"byte {error.start} is not UTF-8; save it as UTF-8"
        raise file_error(str(path), line, message) from error
    return parse_documents(text, str(path))


def parse_documents(text: str, file: str) -> list[Document]:
    """Every document of a text that isn't empty; file: the name for messages.

    Raises InputError if it isn't YAML, holds a tag, nests too deep or expands to too much.
    """
    try:
        _check_events(text, file)
        nodes = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"is not YAML: {error.problem or error.context}"
        line = mark.line + 1 if mark else 1
        raise file_error(file, line, what + _template_hint(text, line)) from error
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1 if isinstance(error.position, int) else 1
        raise file_error(file, line, f"is not YAML: {error.reason}") from error
    reading = _Reading(file, text)
    found = (reading.document(node) for node in nodes if node is not None)
    return [document for document in found if document.data is not None]


def _check_events(text: str, file: str) -> None:
    """Refuses tags and deep nesting before anything recursive sees the text."""
    depth = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        tag = getattr(event, "tag", None)
        if tag not in (None, "!"):
            raise file_error(file, line, f"has the tag {tag!r}; tags are not allowed in a manifest")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        documents += isinstance(event, yaml.DocumentStartEvent)
        if depth > DEEPEST:
            raise file_error(file, line, f"is nested deeper than {DEEPEST}")
        if documents > MOST_DOCUMENTS:
            raise file_error(file, line, f"has more than {MOST_DOCUMENTS} documents")


def _template_hint(text: str, line: int) -> str:
    near = text.splitlines()[max(line - 4, 0) : line + 1]
    if any("{{" in row for row in near):
        return "; it looks like a template: render it first (helm template, kustomize build)"
    return ""


@dataclass(slots=True)
class _Reading:
    """The budget that all documents of a file share, and the lines of the document at hand."""

    file: str
    text: str
    values: int = 0
    lines: dict[FieldPath, int] = field(default_factory=dict)
    open_nodes: set[int] = field(default_factory=set)

    def document(self, node: yaml.Node) -> Document:
        first_line = node.start_mark.line + 1
        self.lines = {}
        return Document(self.file, first_line, self.value(node, ()), self.lines)

    def value(self, node: yaml.Node, at: FieldPath) -> Any:
        """The node as plain data. An alias is read again at each place where it stands."""
        line = node.start_mark.line + 1
        self.values += 1
        if self.values > MOST_VALUES:
            raise file_error(
                self.file, line, f"holds more than {MOST_VALUES} values with its aliases"
            )
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if id(node) in self.open_nodes:
            raise file_error(self.file, line, "has an alias inside its own anchor")
        if len(at) > DEEPEST:
            raise file_error(self.file, line, f"is nested deeper than {DEEPEST} with its aliases")
        self.open_nodes.add(id(node))
        try:
            return (
                self._list(node, at) if isinstance(node, yaml.SequenceNode) else self._map(node, at)
            )
        finally:
            self.open_nodes.remove(id(node))

    def _list(self, node: yaml.Node, at: FieldPath) -> list[Any]:
        items = []
        for index, item in enumerate(node.value):
            self.lines[*at, index] = item.start_mark.line + 1
            items.append(self.value(item, (*at, index)))
        return items

    def _map(self, node: yaml.Node, at: FieldPath) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key, line = self._key(key_node), key_node.start_mark.line + 1
            if key_node.tag == _PLAIN + "merge":
                merged = self._merged(value_node, at) | merged
                continue
            if key in own:
                path = ".".join(map(str, (*at, key)))
                raise file_error(self.file, line, "stands twice", path)
            self.lines[*at, key] = line
            own[key] = self.value(value_node, (*at, key))
        return merged | own

    def _key(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            return str(node.value)
        line = node.start_mark.line + 1
        hint = _template_hint(self.text, line)
        raise file_error(self.file, line, f"has a key that is no text{hint}")

    def _merged(self, node: yaml.Node, at: FieldPath) -> dict[str, Any]:
        """The fields that `<<` brings; the earlier of several wins, as YAML has it."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        fields: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise file_error(
                    self.file, node.start_mark.line + 1, "`<<` must name fields to merge"
                )
            written = dict(self.lines)
            fields = self.value(source, at) | fields
            self.lines |= written
        return fields


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """The value as Kubernetes reads it; what is no number after all stays text."""
    kind, text = node.tag.removeprefix(_PLAIN), node.value
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in ("yes", "true", "on")
    try:
        return _number(kind, text)
    except (ValueError, OverflowError):
        return str(text)


def _number(kind: str, text: str) -> str | int | float:
    plain = text.replace("_", "")
    if kind == "int" and ":" not in plain and len(plain) < 40:
        unsigned = plain.lstrip("+-")
        octal = len(unsigned) > 1 and unsigned.isdigit() and unsigned.startswith("0")
        return int(plain, 8 if octal else 0)
    if kind == "float" and ":" not in plain:
        return float(plain.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def walk(value: Any, path: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    """Every value below and including this one with its path, parents first."""
    yield path, value
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for key, item in pairs:
        yield from walk(item, (*path, key))
