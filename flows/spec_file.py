"""Reads spec files and says everything that is wrong with them, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

import flows.spec
from flows.spec import Experiment
from flows.spec_fields import NAME_PATTERN, URL_PATTERN
from flows.spec_rules import Finding, check_rules
from flows.url_passwords import without_password

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
    """A YAML file as data, with the line of each field by its path."""

    data: Any
    lines: Mapping[tuple[str | int, ...], int]

    def line(self, path: tuple[str | int, ...]) -> int:
        """The line of the field, or of the nearest parent that is written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def load_spec(path: Path) -> Experiment:
    """The spec in one file. Raises SpecError with every problem that can be seen at once."""
    document = _read_document(path)
    try:
        spec = Experiment.model_validate(document.data)
    except ValidationError as error:
        findings = [_finding(detail, document.data) for detail in error.errors()]
        raise _spec_error(path, document, [*findings, *check_rules(document.data)]) from error
    findings = list(check_rules(document.data, spec))
    if spec.experiment != path.stem:
        findings.append(
            Finding(
                ("experiment",),
                f"is {spec.experiment!r}, must be the file's name {path.stem!r}, "
                "so that it is found by one guess",
            )
        )
    if findings:
        raise _spec_error(path, document, findings)
    return _with_configured_split(spec, path) if spec.manifests else spec


def _with_configured_split(spec: Experiment, path: Path) -> Experiment:
    """The spec, its split read from its manifests where it says none itself."""
    # Most specs name no manifests, and a gate should not wait for their reader.
    from flows.manifests.configured import split_of_manifests  # noqa: PLC0415

    if spec.split is not None or spec.plan.stages:
        return spec
    split = split_of_manifests(spec, path.parent)
    return spec.model_copy(update={"split": split}) if split else spec


def find_spec(folder: Path, name: str) -> tuple[Path, Experiment]:
    """The spec of one experiment. Raises SpecError with the names there are, if it isn't there."""
    path = folder / f"{name}.yaml"
    if path.is_file():
        return path, load_spec(path)
    if path.is_dir():
        raise SpecError([Problem(str(path), 1, "", "is a folder, must be a spec file")])
    known = sorted(item.stem for item in folder.glob("*.yaml") if item.is_file())
    message = f"there is no experiment {name!r}{_nearest(name, known)}"
    listed = f"; there are {', '.join(known)}" if known else f"; {folder} has no specs (*.yaml)"
    raise SpecError([Problem(str(folder), 1, "", message + listed)])


def _spec_error(path: Path, document: _Document, findings: Sequence[Finding]) -> SpecError:
    return SpecError(
        list(
            dict.fromkeys(
                Problem(str(path), document.line(f.path), ".".join(map(str, f.path)), f.message)
                for f in findings
            )
        )
    )


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
    if problems:
        raise SpecError(problems)
    return _Document(data, lines)


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


def _finding(detail: ErrorDetails, data: Any) -> Finding:
    """One of pydantic's errors in our words."""
    path = tuple(_written_path(detail["loc"], data))
    value, kind, context = detail["input"], detail["type"], detail.get("ctx", {})
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "extra_forbidden":
        return Finding(path, f"is no field{_nearest(str(path[-1]), _known_fields())}")
    if kind == "value_error":
        message = str(context["error"])
    elif kind in ("enum", "literal_error"):
        message = f"must be {context['expected']}"
    elif kind == "string_pattern_mismatch":
        message = f"must be {_PATTERNS[context['pattern']]}"
    elif kind in ("union_tag_invalid", "union_tag_not_found"):
        message = f"needs `kind`, one of {context.get('expected_tags', KINDS)}"
    else:
        message = detail["msg"].replace("Input should be", "must be")
    return Finding(path, f"{_shown(value)}{message}")


KINDS = "error_share, slow_share, proportion, count, mean"


_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits and dashes, at most 63",
    URL_PATTERN: "a URL that starts with http:// or https://",
}


def _shown(value: Any) -> str:
    if isinstance(value, dict | list):
        return ""
    shown = without_password(value) if isinstance(value, str) else value
    return f"is {shown!r}, "


def _written_path(loc: tuple[str | int, ...], data: Any) -> Iterator[str | int]:
    """The path as it stands in the file: without pydantic's names for union members."""
    for index, part in enumerate(loc):
        is_there = isinstance(data, dict) and part in data
        is_item = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_there or is_item:
            yield part
            data = data[part]
        elif index == len(loc) - 1 and isinstance(part, str) and _is_field(part):
            yield part


def _is_field(part: str) -> bool:
    """Whether it names a field, not a member of a union (PrometheusSource, function-...)."""
    return part.isidentifier() and not part[0].isupper() and part not in ("float", "str")


def _known_fields() -> list[str]:
    """Every field name of every model: the nearest is what was meant."""
    models = [
        item
        for item in vars(flows.spec).values()
        if isinstance(item, type) and issubclass(item, BaseModel)
    ]
    return sorted({name for model in models for name in model.model_fields})


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""
