"""Reads spec files and says everything that is wrong with them, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flows.spec import Experiment
from flows.spec_finding import Finding, did_you_mean
from flows.spec_parts import Parts, understand
from flows.spec_rules import check_rules

_LARGEST_FILE = 1_000_000
_DEEPEST = 20


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


@dataclass(frozen=True, slots=True)
class _Document:
    """A YAML file as data, with the line of each field by its path.

    problems: of the file itself, beside which the data can still be read.
    """

    data: Any
    lines: Mapping[tuple[str | int, ...], int]
    problems: tuple[Problem, ...] = ()

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of the field, or of the nearest parent that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load_spec(path: Path) -> Experiment:
    """The spec in one file. Raises SpecError with every problem that it has."""
    document = _read_document(path)
    parts = understand(document.data)
    findings = [*parts.findings, *check_rules(parts), *_check_name(parts, path)]
    if findings or document.problems or parts.spec is None:
        findings += _missing_manifests(parts, path.parent)
        raise _spec_error(path, document, findings)
    return _with_configured_split(parts.spec, path) if parts.spec.manifests else parts.spec


def _check_name(parts: Parts, path: Path) -> Iterator[Finding]:
    spec = parts.spec
    if spec is not None and parts.is_sound("experiment") and spec.experiment != path.stem:
        yield Finding(
            ("experiment",),
            f"is {spec.experiment!r}, must be the file's name {path.stem!r}, "
            "so that it is found by one guess",
        )


def _missing_manifests(parts: Parts, folder: Path) -> Iterator[Finding]:
    """Beside other problems: by itself a missing one is named when the manifests are read."""
    for index, name in enumerate(parts.spec.manifests if parts.spec else ()):
        if not (folder / name).is_file():
            message = f"is {name!r}, must be a file, relative to the spec; there is none"
            yield Finding(("manifests", index), message)


def _with_configured_split(spec: Experiment, path: Path) -> Experiment:
    """The spec, its split read from its manifests where it says none itself."""
    # Most specs name no manifests, and a gate should not wait for their reader.
    from flows.manifests.configured import split_of_manifests  # noqa: PLC0415

    if spec.split is not None or spec.plan.stages:
        return spec
    split = split_of_manifests(spec, path.parent)
    return spec.model_copy(update={"split": split}) if split else spec


def load_specs(folder: Path) -> list[tuple[Path, Experiment]]:
    """Every spec of a folder with its path, by name. Raises SpecError with all files' problems."""
    found: list[tuple[Path, Experiment]] = []
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append((path, load_spec(path)))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return found


def find_spec(folder: Path, name: str) -> tuple[Path, Experiment]:
    """The spec of one experiment. Raises SpecError with the names there are, if it isn't there."""
    path = folder / f"{name}.yaml"
    if path.is_file():
        return path, load_spec(path)
    known = sorted(item.stem for item in folder.glob("*.yaml"))
    message = f"there is no experiment {name!r}{did_you_mean(name, known)}"
    listed = f"; there are {', '.join(known)}" if known else f"; {folder} has no specs (*.yaml)"
    raise SpecError([Problem(str(folder), 1, "", message + listed)])


def _spec_error(path: Path, document: _Document, findings: Sequence[Finding]) -> SpecError:
    found = (
        Problem(str(path), document.line(f.path), ".".join(map(str, f.path)), f.message)
        for f in findings
    )
    return SpecError(list(dict.fromkeys((*document.problems, *found))))


def _read_document(path: Path) -> _Document:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise _file_error(path, 1, f"can't be read: {error.strerror}") from error
    if len(raw) > _LARGEST_FILE:
        raise _file_error(path, 1, f"has {len(raw)} bytes, a spec has at most {_LARGEST_FILE}")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _file_error(
            path, line, f"byte {error.start} is not UTF-8; save it as UTF-8"
        ) from error
    try:
        for token in yaml.scan(text):
            if isinstance(token, yaml.AliasToken | yaml.TagToken):
                line = token.start_mark.line + 1
                raise _file_error(path, line, "aliases and tags are not allowed in a spec")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _file_error(path, line, f"is not YAML: {error.problem or error.context}") from error
    if not isinstance(node, yaml.MappingNode):
        raise _file_error(path, 1, "must hold fields such as `experiment:` and `variants:`")
    lines: dict[tuple[str | int, ...], int] = {(): 1}
    problems: list[Problem] = []
    data = _to_data(node, (), lines, path, problems)
    return _Document(data, lines, tuple(problems))


def _to_data(
    node: yaml.Node,
    at: tuple[str | int, ...],
    lines: dict[tuple[str | int, ...], int],
    path: Path,
    problems: list[Problem],
) -> Any:
    """The node as plain data; notes each field's line, and each key that stands twice."""
    if len(at) > _DEEPEST:
        raise _file_error(path, node.start_mark.line + 1, f"is nested deeper than {_DEEPEST}")
    if isinstance(node, yaml.SequenceNode):
        items = []
        for index, item in enumerate(node.value):
            lines[*at, index] = item.start_mark.line + 1
            items.append(_to_data(item, (*at, index), lines, path, problems))
        return items
    if isinstance(node, yaml.MappingNode):
        fields: dict[str, Any] = {}
        for key_node, value in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in fields:
                problems.append(
                    Problem(str(path), line, ".".join(map(str, (*at, key))), "stands twice")
                )
            lines[*at, key] = line
            fields[key] = _to_data(value, (*at, key), lines, path, problems)
        return fields
    return yaml.SafeLoader("").construct_object(node)


def _file_error(path: Path, line: int, message: str) -> SpecError:
    return SpecError([Problem(str(path), line, "", message)])
