"""YAML as plain data with the line of each field; hostile YAML is refused.

Aliases are expanded within a budget, so that no small file becomes a large one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from flows.formats.problems import FieldPath, FileProblem, InputError, file_error, written_line
from flows.formats.text_file import read_utf8
from flows.formats.yaml_nodes import PLAIN_TAG, YamlRules, compose, template_hint

LARGEST_FILE = 1_000_000
MOST_VALUES = 200_000
"""Values of one file, with every alias expanded."""


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """One document of a file: its data, and where each field stands.

    first_line: of the document. lines: of each field, by its path. texts: numbers, times and truth
    values as they stand in the file (1.10 where the data has 1.1), by their paths. root: the node
    of the data. problems: of the file itself, beside which the data can still be read.
    """

    file: str
    first_line: int
    data: Any
    lines: Mapping[FieldPath, int]
    texts: Mapping[FieldPath, str]
    root: yaml.Node
    problems: tuple[FileProblem, ...]

    def line(self, path: FieldPath) -> int:
        """The line of the field, or of the nearest parent that is written."""
        return written_line(self.lines, path, first=self.first_line)


def read_documents(path: Path) -> list[YamlDocument]:
    """Every document of a file that isn't empty. Raises InputError where it can't be read."""
    return parse_documents(read_utf8(path, largest=LARGEST_FILE), str(path))


def parse_documents(text: str, file: str) -> list[YamlDocument]:
    """Every document of manifests that isn't empty; file: the name for messages.

    Raises InputError if it isn't YAML, has a key twice or a tag, nests too deep or expands to too
    much.
    """
    documents = parse_yaml(text, file, MANIFEST_RULES)
    for document in documents:
        if document.problems:
            raise InputError(document.problems[:1])
    return [document for document in documents if document.data is not None]


def parse_yaml(text: str, file: str, rules: YamlRules) -> list[YamlDocument]:
    """Every document of a text, with the problems beside which it can be read.

    Raises InputError if it isn't YAML, or holds more than the rules allow.
    """
    reading = _Reading(file, text, rules)
    return [reading.document(root) for root in compose(text, file, rules)]


@dataclass(slots=True)
class _Reading:
    """The budget that all documents of a file share, and what is noted of the one at hand."""

    file: str
    text: str
    rules: YamlRules
    values: int = 0
    lines: dict[FieldPath, int] = field(default_factory=dict)
    texts: dict[FieldPath, str] = field(default_factory=dict)
    problems: list[FileProblem] = field(default_factory=list)
    open_nodes: set[int] = field(default_factory=set)

    def document(self, root: yaml.Node) -> YamlDocument:
        self.lines, self.texts, self.problems = {}, {}, []
        data, first = self.value(root, ()), root.start_mark.line + 1
        problems = tuple(self.problems)
        return YamlDocument(self.file, first, data, self.lines, self.texts, root, problems)

    def value(self, node: yaml.Node, at: FieldPath) -> Any:
        """The node as plain data. An alias is read again at each place where it stands."""
        self.values += 1
        if self.values > MOST_VALUES:
            raise self._refused(node, f"holds more than {MOST_VALUES} values with its aliases")
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, at)
        if id(node) in self.open_nodes:
            raise self._refused(node, "has an alias inside its own anchor")
        if len(at) > self.rules.deepest:
            deepest = self.rules.deepest
            raise self._refused(node, f"is nested deeper than {deepest} with its aliases")
        self.open_nodes.add(id(node))
        is_list = isinstance(node, yaml.SequenceNode)
        found = self._list(node, at) if is_list else self._map(node, at)
        self.open_nodes.remove(id(node))
        return found

    def _scalar(self, node: yaml.ScalarNode, at: FieldPath) -> Any:
        try:
            value = self.rules.value_of(node)
        except ValueError as error:
            self._note(node, at, f"is {node.value}, which can't be: {error}")
            return node.value
        if not isinstance(value, str):
            self.texts[at] = node.value
        return value

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
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                hint = template_hint(self.text, line)
                told = f"has a list or fields as a name; a name must be text{hint}"
                self._note(key_node, at, told)
                continue
            if self.rules.with_aliases and key_node.tag == PLAIN_TAG + "merge":
                merged = self._merged(value_node, at) | merged
                continue
            path = (*at, key_node.value)
            if key_node.value in own:
                self._note(key_node, path, "duplicate key")
            self.lines[path] = line
            own[key_node.value] = self.value(value_node, path)
        return merged | own

    def _merged(self, node: yaml.Node, at: FieldPath) -> dict[str, Any]:
        """The fields that `<<` brings; the earlier of several wins, as YAML has it."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        fields: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise self._refused(node, "`<<` must name fields to merge")
            written = dict(self.lines)
            fields = self.value(source, at) | fields
            self.lines |= written
        return fields

    def _note(self, node: yaml.Node, at: FieldPath, message: str) -> None:
        line = node.start_mark.line + 1
        self.problems.append(FileProblem(self.file, line, ".".join(map(str, at)), message))

    def _refused(self, node: yaml.Node, message: str) -> InputError:
        return file_error(self.file, node.start_mark.line + 1, message)


def _kubernetes_value(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """The value as Kubernetes reads it; what is no number after all stays text."""
    kind, text = node.tag.removeprefix(PLAIN_TAG), node.value
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


MANIFEST_RULES = YamlRules(1_000, 50, with_aliases=True, value_of=_kubernetes_value)
