"""From a YAML text to nodes that know where they stand; hostile YAML is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

from flows.formats.problems import InputError, file_error

# libyaml reads 10 times as fast as the parser in Python; both read the same language.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
PLAIN_TAG = "tag:yaml.org,2002:"
_RESOLVER: Any = yaml.SafeLoader("")
_NO_ALIASES = "aliases and tags are not allowed in a spec"


@dataclass(frozen=True, slots=True)
class YamlRules:
    """What a kind of file may hold.

    deepest: lists and fields inside each other. with_aliases: and with `<<`, which merges fields.
    value_of: a scalar's value; raises ValueError where it has none.
    """

    most_documents: int
    deepest: int
    with_aliases: bool
    value_of: Callable[[yaml.ScalarNode], Any]


def compose(text: str, file: str, rules: YamlRules) -> list[yaml.Node]:
    """The node of each document; file: the name for messages. An alias is the node it names.

    Raises InputError if the text isn't YAML, or holds more than the rules allow.
    """
    if broken := yaml.reader.Reader.NON_PRINTABLE.search(text):
        line = text[: broken.start()].count("\n") + 1
        raise file_error(file, line, "is not YAML: special characters are not allowed")
    try:
        return _Composing(file, rules).roots(text.removeprefix("\ufeff"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What is missing at the end is missing in the last line.
        line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
        what = f"is not YAML: {error.problem or error.context}{broken_hint(text, line)}"
        raise file_error(file, line, what) from error


def broken_hint(text: str, line: int) -> str:
    """What to do about text that is no YAML; empty if that can't be told."""
    rows = text.splitlines()
    row = rows[line - 1] if line <= len(rows) else ""
    if "\t" in row[: len(row) - len(row.lstrip())]:
        return "; the line is indented with a tab: use spaces"
    return template_hint(text, line) or "; check indentation, brackets and quotes here and above"


def template_hint(text: str, line: int) -> str:
    """What to do, where a template stands near the line that is no YAML; empty if none does."""
    near = text.splitlines()[max(line - 4, 0) : line + 1]
    if any("{{" in row for row in near):
        return "; it looks like a template: render it first (helm template, kustomize build)"
    return ""


@dataclass(slots=True)
class _Composing:
    """From the parser's events to nodes, without recursion; what is hostile ends it at once."""

    file: str
    rules: YamlRules
    # The nodes of what is open so far: of the documents, of the outermost list or fields, ...
    opened: list[list[yaml.Node]] = field(default_factory=lambda: [[]])
    anchors: dict[str, yaml.Node] = field(default_factory=dict)

    def roots(self, text: str) -> list[yaml.Node]:
        """The node of each document's data."""
        resolve = _RESOLVER.resolve
        documents = 0
        event: Any
        for event in yaml.parse(text, Loader=_Loader):
            begin, end = event.start_mark, event.end_mark
            if isinstance(event, yaml.ScalarEvent):
                tag = resolve(yaml.ScalarNode, event.value, event.implicit)
                node = yaml.ScalarNode(tag, event.value, begin, end)
                self._add(event, node)
            elif isinstance(event, yaml.CollectionStartEvent):
                self._open(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                children, opened = self.opened.pop(), self.opened[-1][-1]
                pairs = zip(children[::2], children[1::2], strict=False)
                opened.value = list(pairs) if isinstance(opened, yaml.MappingNode) else children
            elif isinstance(event, yaml.AliasEvent):
                self.opened[-1].append(self._aliased(event))
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                self._check_count(event, documents)
                self.anchors.clear()
        return self.opened[0]

    def _open(self, event: Any) -> None:
        if len(self.opened) > self.rules.deepest:
            raise self._refused(event, f"is nested deeper than {self.rules.deepest}")
        is_list = isinstance(event, yaml.SequenceStartEvent)
        kind = yaml.SequenceNode if is_list else yaml.MappingNode
        self._add(event, kind("", [], event.start_mark))
        self.opened.append([])

    def _add(self, event: Any, node: yaml.Node) -> None:
        if event.tag not in (None, "!") or (event.tag and not self.rules.with_aliases):
            if not self.rules.with_aliases:
                raise self._refused(event, _NO_ALIASES)
            told = f"has the tag {event.tag!r}; tags are not allowed in a manifest"
            raise self._refused(event, told)
        if event.anchor:
            if event.anchor in self.anchors:
                raise self._refused(event, f"is not YAML: duplicate anchor {event.anchor!r}")
            self.anchors[event.anchor] = node
        self.opened[-1].append(node)

    def _aliased(self, event: Any) -> yaml.Node:
        if not self.rules.with_aliases:
            raise self._refused(event, _NO_ALIASES)
        if event.anchor not in self.anchors:
            raise self._refused(event, f"is not YAML: found undefined alias {event.anchor!r}")
        return self.anchors[event.anchor]

    def _check_count(self, event: Any, documents: int) -> None:
        most = self.rules.most_documents
        if documents > most:
            one = "is not YAML: but found another document"
            raise self._refused(event, f"has more than {most} documents" if most > 1 else one)

    def _refused(self, event: Any, message: str) -> InputError:
        return file_error(self.file, event.start_mark.line + 1, message)
