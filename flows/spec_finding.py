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
from flows.spec_places import fields_at, places_of
from flows.url_passwords import without_password

Path = tuple[str | int, ...]

_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits and dashes, at most 63",
    URL_PATTERN: "a URL that starts with http:// or https://",
}
_SAID = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must hold names, with a value each",
    "list_type": "must be a list: [one, another]",
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


def finding_of(detail: ErrorDetails, path: Path, text: str | None = None) -> Finding:
    """One of pydantic's errors in our words. text: as written, where the value is none itself."""
    value, kind = detail["input"], detail["type"]
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "extra_forbidden":
        return Finding(path, _no_field(str(path[-1]), fields_for(detail)))
    return Finding(path, f"{_shown(value, text)}{_what_is_right(detail, text)}")


def _shown(value: object, text: str | None) -> str:
    if value is None:
        return "is empty, "
    if isinstance(value, dict | list):
        return ""
    return f"is {without_password(repr(value) if text is None else text)}, "


def _what_is_right(detail: ErrorDetails, text: str | None) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    match kind:
        case "value_error":
            right = str(context["error"])
        case "enum" | "literal_error":
            right = f"must be {context['expected']}"
        case "string_pattern_mismatch":
            right = f"must be {_PATTERNS.get(context['pattern'], context['pattern'])}"
        case "union_tag_invalid" | "union_tag_not_found":
            right = f"needs `kind`, one of {', '.join(map(repr, _kinds()))}"
        case "float_type" | "int_type":
            whole = "whole " * (kind == "int_type")
            right = f"must be a {whole}number{_as_number(detail['input'])}"
        case "string_type":
            right = f'must be text; put it in quotes: "{text}"' if text else "must be text"
        case "model_type" | "model_attributes_type":
            right = f"must hold fields{_fields_of(context.get('class_name'))}"
        case _:
            right = _SAID.get(kind, detail["msg"].replace("Input should be", "must be"))
    return right


def _fields_of(model_name: str | None) -> str:
    """A model's fields in a sentence, those that it needs first; empty if it may be of many."""
    model = next((model for model in _models() if model.__name__ == model_name), None)
    if model is None:
        return ""
    needed = [name for name, field in model.model_fields.items() if field.is_required()]
    wanted = [name for name in model.model_fields if name not in needed]
    if not needed:
        return f": {', '.join(wanted)}"
    return f": {', '.join(needed)}" + (f"; if wanted also {', '.join(wanted)}" if wanted else "")


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


def fields_for(detail: ErrorDetails) -> list[str]:
    """The fields that may stand where an unknown one is."""
    loc = detail["loc"]
    kind = str(loc[2]) if loc[0] == "metrics" and len(loc) > 3 else None
    return fields_at(_without_kind(loc)[:-1], kind)


def _no_field(name: str, known: Sequence[str]) -> str:
    places = [] if name in known else places_of(name)
    if places:
        return f"is no field here; it belongs to {', or to '.join(places)}"
    return f"is no field{did_you_mean(name, [field for field in known if field != name])}"


def _models() -> list[type[Strict]]:
    models = [*Strict.__subclasses__()]
    for model in models:
        models += model.__subclasses__()
    return models


def nearest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most like this one, if one is."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return near[0] if near else None


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A question that names the nearest; empty without one."""
    near = nearest(name, known)
    return f"; did you mean {near!r}?" if near else ""
