"""One object in a file of YAML documents, and numbers changed in it without touching the rest."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.delivery.targets.target import TargetRefused
from flows.formats.problems import FieldPath, InputError
from flows.formats.yaml_file import parse_documents


@dataclass(frozen=True, slots=True)
class EditableManifest:
    """One object: as data, and as nodes that know where they stand in the text."""

    data: Mapping[str, Any]
    node: yaml.Node


def find_manifest(text: str, kind: str, name: str, path: Path) -> EditableManifest:
    """The one object of that kind and name; path: for messages. Raises TargetRefused."""
    try:
        documents = parse_documents(text, str(path))
    except InputError as error:
        raise TargetRefused(str(error)) from error
    found = [EditableManifest(one.data, one.root) for one in documents if _is(one.data, kind, name)]
    if len(found) != 1:
        times = "twice or more" if found else "not at all"
        raise TargetRefused(f"{path} has {kind}/{name} {times}; it must be there once")
    return found[0]


def replace_numbers(
    text: str, manifest: EditableManifest, numbers: Mapping[FieldPath, int], path: Path
) -> str:
    """The text with other numbers at some fields, and not a character else changed.

    Raises TargetRefused for a field that isn't written out, or that an alias shares.
    """
    changed = text
    places = {at: _scalar(manifest.node, at, path) for at in numbers}
    if len({node.start_mark.index for node in places.values()}) < len(places):
        raise _shared(manifest.data, path)
    # Positions are counted without a byte order mark.
    before = len(text) - len(text.removeprefix("\ufeff"))
    # From the end, so that what is still to come stays where it is.
    for at, node in sorted(places.items(), key=lambda item: -item[1].start_mark.index):
        begin, end = before + node.start_mark.index, before + node.end_mark.index
        changed = f"{changed[:begin]}{numbers[at]}{changed[end:]}"
    _check(changed, manifest, numbers, path)
    return changed


def _is(data: Any, kind: str, name: str) -> bool:
    if not isinstance(data, dict) or not isinstance(data.get("metadata"), dict):
        return False
    return (data.get("kind"), data["metadata"].get("name")) == (kind, name)


def _scalar(node: yaml.Node, at: FieldPath, path: Path) -> yaml.ScalarNode:
    """The node of a field."""
    for part in at:
        after = None
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            after = node.value[part]
        elif isinstance(node, yaml.MappingNode):
            after = next((value for key, value in node.value if key.value == part), None)
        if after is None:
            field = ".".join(map(str, at))
            raise TargetRefused(
                f"{path}:{node.start_mark.line + 1}: {field} isn't written out; write it, even if "
                "it is 0"
            )
        node = after
    if not isinstance(node, yaml.ScalarNode):
        raise TargetRefused(f"{path}:{node.start_mark.line + 1}: must be a number")
    return node


def _check(
    changed: str, manifest: EditableManifest, numbers: Mapping[FieldPath, int], path: Path
) -> None:
    """Whether the new text says what was wanted and nothing else."""
    wanted: Any = copy.deepcopy(manifest.data)
    for at, number in numbers.items():
        entry = wanted
        for part in at[:-1]:
            entry = entry[part]
        entry[at[-1]] = number
    kind, name = wanted["kind"], wanted["metadata"]["name"]
    if find_manifest(changed, kind, name, path).data != wanted:
        raise _shared(wanted, path)


def _shared(data: Mapping[str, Any], path: Path) -> TargetRefused:
    return TargetRefused(
        f"{path}: the weights of {data['kind']}/{data['metadata']['name']} can't be changed one by "
        "one: write them out, without anchors and aliases"
    )
