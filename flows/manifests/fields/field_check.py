"""Compares a manifest with the fields that its kind has; says where a misplaced field belongs.

A table is nested: a dict is an object (a key that ends in ! is required, the key * stands for any
name), a list of one shape is a list of such items, everything else is a value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

from flows.formats.problems import FieldPath, did_you_mean, unknown_field
from flows.manifests.split import Severity


class Value(Enum):
    """What a field's value may be."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TEXT_OR_NUMBER = "a text or a number"
    ANY = "anything"


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text of a closed set; retired: old ones, with what stands for them today."""

    values: tuple[str, ...]
    retired: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Retired:
    """A field that was dropped or renamed; still_read: whether the mesh honours it."""

    remedy: str
    still_read: bool = False


Shape: TypeAlias = "Value | OneOf | Retired | list[Shape] | dict[str, Shape]"
Table: TypeAlias = "dict[str, Shape]"

TEXT, NUMBER, FLAG, ANY = Value.TEXT, Value.NUMBER, Value.FLAG, Value.ANY
TEXT_OR_NUMBER = Value.TEXT_OR_NUMBER
TEXTS: Shape = [TEXT]
TEXT_BY_NAME: Shape = {"*": TEXT}

_FARTHEST = 6
"""Steps from a misplaced field to the place where it is proposed."""


@dataclass(frozen=True, slots=True)
class FieldFinding:
    """What is wrong at a path of one document.

    quoted: a value that must be quoted, as far as it is known; the message ends before it.
    """

    path: FieldPath
    message: str
    severity: Severity = Severity.WRONG
    quoted: str | None = None


def whole(spec: Shape, **more: Shape) -> Table:
    """The table of a whole manifest from that of its spec."""
    metadata: Table = {
        "name": TEXT,
        "namespace": TEXT,
        "labels": {"*": ANY},
        "annotations": {"*": ANY},
        "*": ANY,
    }
    parts: Table = {"metadata!": metadata, "spec!": spec, "status": ANY}
    return {"apiVersion!": TEXT, "kind!": TEXT, **parts, **more}


def each(shape: Shape, names: str) -> Table:
    """Several fields of one shape, their names in one text."""
    return dict.fromkeys(names.split(), shape)


def check_fields(
    data: Any, table: Table, texts: Mapping[FieldPath, str] | None = None
) -> Iterator[FieldFinding]:
    """Every field of the manifest that its kind doesn't know, lacks or can't read.

    texts: what stands in the file for numbers, times and truth values, where it is known.
    """
    for finding in _check(data, table, (), table):
        if finding.quoted is None:
            yield finding
            continue
        written = (texts or {}).get(finding.path, finding.quoted)
        message = f'{finding.message}{written}; put it in quotes: "{written}"'
        yield FieldFinding(finding.path, message)


def _check(value: Any, shape: Shape, path: FieldPath, table: Table) -> Iterator[FieldFinding]:
    if value is None or shape is ANY:
        return
    if isinstance(shape, dict):
        yield from _check_object(value, shape, path, table)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield FieldFinding(
                path, f"must be a list (items start with a dash), is {_named(value)}"
            )
            return
        for index, item in enumerate(value):
            if item is None and isinstance(shape[0], dict):
                yield FieldFinding((*path, index), "is empty")
            yield from _check(item, shape[0], (*path, index), table)
    else:
        yield from _check_value(value, shape, path)


def _check_object(
    value: Any, shape: dict[str, Shape], path: FieldPath, table: Table
) -> Iterator[FieldFinding]:
    if not isinstance(value, dict):
        yield FieldFinding(path, f"must hold fields (name: value), is {_named(value)}")
        return
    known = {name.removesuffix("!"): item for name, item in shape.items()}
    unknown = [name for name in value if name not in known and "*" not in known]
    for name, item in value.items():
        if name in unknown:
            homes = _homes(name, value, unknown, path, table)
            yield FieldFinding((*path, name), unknown_field(name, sorted(known), homes))
        else:
            yield from _check(item, known.get(name, known.get("*", ANY)), (*path, name), table)
    for name in shape:
        if name.endswith("!") and value.get(name[:-1]) is None:
            yield FieldFinding((*path, name[:-1]), "is missing")


def _check_value(
    value: Any, shape: Value | OneOf | Retired, path: FieldPath
) -> Iterator[FieldFinding]:
    if isinstance(shape, Retired):
        severity = Severity.DOUBT if shape.still_read else Severity.WRONG
        yield FieldFinding(path, shape.remedy, severity)
    elif isinstance(shape, OneOf):
        if value in shape.retired if isinstance(value, str) else False:
            message = f"{value} is deprecated, {shape.retired[value]}"
            yield FieldFinding(path, message, Severity.DOUBT)
        elif value not in shape.values:
            near = did_you_mean(str(value), shape.values)
            yield FieldFinding(
                path, f"is {value!r}, must be one of {', '.join(shape.values)}{near}"
            )
    elif not _fits(value, shape):
        if shape is Value.TEXT and not isinstance(value, dict | list):
            yield FieldFinding(path, f"must be {shape.value}, is ", quoted=_json(value))
        else:
            yield FieldFinding(path, f"must be {shape.value}, is {_named(value)}")


def _fits(value: Any, shape: Value) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        Value.TEXT: isinstance(value, str),
        Value.NUMBER: is_number,
        Value.FLAG: isinstance(value, bool),
        Value.TEXT_OR_NUMBER: is_number or isinstance(value, str),
        Value.ANY: True,
    }[shape]


def _json(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return "a list" if isinstance(value, list) else repr(value)[:60]


def _homes(
    name: str, value: dict[str, Any], unknown: list[str], path: FieldPath, table: Table
) -> list[str]:
    """The parents that know the field and most of its misplaced siblings; of these the nearest."""
    ranked: list[tuple[tuple[int, int], str]] = []
    for parent, fields in _objects(table, ()):
        if name not in fields or any(_check(value[name], fields[name], (), table)):
            continue
        shared = _shared_steps(parent, path)
        distance = len(path) + len(parent) - 2 * shared
        if 0 < distance < _FARTHEST:
            siblings = sum(other in fields for other in unknown)
            place = dotted((*path[:shared], *parent[shared:]))
            ranked.append(((-siblings, distance), place or "the manifest's top level"))
    best = min((rank for rank, _ in ranked), default=None)
    return sorted(place for rank, place in ranked if rank == best)


def _objects(shape: Shape, path: FieldPath) -> Iterator[tuple[FieldPath, dict[str, Shape]]]:
    """Every object of the table with its path; a list's item is the step 0."""
    if isinstance(shape, list):
        yield from _objects(shape[0], (*path, 0))
    elif isinstance(shape, dict):
        fields = {name.removesuffix("!"): item for name, item in shape.items()}
        yield path, fields
        for name, item in fields.items():
            if name != "*":
                yield from _objects(item, (*path, name))


def _shared_steps(parent: FieldPath, path: FieldPath) -> int:
    shared = 0
    for ours, theirs in zip(parent, path, strict=False):
        if ours != theirs and not (isinstance(ours, int) and isinstance(theirs, int)):
            break
        shared += 1
    return shared


def dotted(path: FieldPath) -> str:
    """The path as people write it: spec.http[0].route."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")
