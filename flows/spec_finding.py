"""What is wrong at one place of a spec: pydantic's errors in our words."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from pydantic_core import ErrorDetails

from flows.spec_fields import NAME_PATTERN, PERCENT_PATTERN, URL_PATTERN, Strict
from flows.spec_metrics import Metric

Path = tuple[str | int, ...]

_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits and dashes, at most 63",
    URL_PATTERN: "a URL that starts with http:// or https://",
}
# Where a field may be of several kinds pydantic adds the kind's name to the path.
_CHOICES = (
    ("metrics", None),
    ("sources", "requests"),
    ("sources", "exposures"),
    ("sources", "outcomes"),
    ("delivery", "target"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at a path of the spec, and what would be right."""

    path: Path
    message: str


def finding_of(detail: ErrorDetails, data: Any) -> Finding:
    """One of pydantic's errors in our words. data: what was validated, as written."""
    path = written_path(detail["loc"], data)
    value, kind = detail["input"], detail["type"]
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "extra_forbidden":
        return Finding(path, f"is no field{did_you_mean(str(path[-1]), known_fields())}")
    shown = "" if isinstance(value, dict | list) else f"is {value!r}, "
    return Finding(path, f"{shown}{_what_is_right(detail)}")


def _what_is_right(detail: ErrorDetails) -> str:
    value, kind, context = detail["input"], detail["type"], detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind in ("enum", "literal_error"):
        return f"must be {context['expected']}"
    if kind == "string_pattern_mismatch":
        return f"must be {_PATTERNS.get(context['pattern'], context['pattern'])}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return f"needs `kind`, one of {', '.join(map(repr, _kinds()))}"
    if kind in ("float_type", "int_type"):
        return f"must be a {'whole ' * (kind == 'int_type')}number{_as_number(value)}"
    return detail["msg"].replace("Input should be", "must be")


def _as_number(value: object) -> str:
    """How a text would be written as the number that is meant."""
    if not isinstance(value, str):
        return ""
    if re.fullmatch(PERCENT_PATTERN, value):
        return f": {float(value[:-1]):g}"
    is_number = re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value)
    return f", without quotes: {value}" if is_number else ""


def _kinds() -> list[str]:
    """Every kind of metric, in the order of their models."""
    models = get_args(get_args(Metric)[0])
    return [kind for model in models for kind in get_args(model.model_fields["kind"].annotation)]


def written_path(loc: Path, data: Any) -> Path:
    """The path as it stands in the file: without pydantic's names for the kinds of a field."""
    return tuple(_written(_without_kind(loc), data))


def _without_kind(loc: Path) -> Path:
    for first, second in _CHOICES:
        if len(loc) > 2 and loc[0] == first and second in (None, loc[1]):
            return (*loc[:2], *loc[3:])
    return loc


def _written(loc: Path, data: Any) -> Iterator[str | int]:
    for index, part in enumerate(loc):
        is_there = isinstance(data, dict) and part in data
        is_item = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_there or is_item:
            yield part
            data = data[part]
        elif part == "url" and isinstance(data, dict) and isinstance(data.get("prometheus"), str):
            yield "prometheus"
        elif index == len(loc) - 1 and isinstance(data, dict) and str(part).isidentifier():
            yield part


def known_fields() -> list[str]:
    """Every field name of every model: the nearest is what was meant."""
    models = [*Strict.__subclasses__()]
    for model in models:
        models += model.__subclasses__()
    return sorted({name for model in models for name in model.model_fields})


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like this one, if one is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return near[0] if near else None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question that names the nearest; empty without one."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
