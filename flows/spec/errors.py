"""What is wrong at one place of a spec: pydantic's errors in our words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from flows.formats.problems import FieldPath, Finding, did_you_mean, unknown_field
from flows.formats.safe_text import safe_text, safe_url
from flows.spec.delivery import OBJECT_PATTERN
from flows.spec.engine import SPARK_PATTERN
from flows.spec.experiment import Experiment
from flows.spec.failures import FLAG_PATTERN
from flows.spec.fields import (
    INSTANT,
    NAME_PATTERN,
    PERCENT_PATTERN,
    URL_PATTERN,
    VARIABLE_PATTERN,
    Strict,
)
from flows.spec.metrics import METRIC_MODELS
from flows.spec.sources import PrometheusSource
from flows.spec.strategies import (
    LABEL_PATTERN,
    VALUE_PATTERN,
    StrategyFields,
    strategy_kinds,
    strategy_models,
)

_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits and dashes, at most 63",
    URL_PATTERN: "a URL that starts with http:// or https://",
    OBJECT_PATTERN: "an object's kind and name, such as VirtualService/exam-service, of the kinds "
    "TrafficSplit, VirtualService and HTTPRoute",
    VALUE_PATTERN: "text on one line",
    LABEL_PATTERN: "letters, digits, blanks and . / _ - only",
    FLAG_PATTERN: "a response flag in letters, such as UT",
    SPARK_PATTERN: "an address such as sc://host:15002, with parameters such as /;use_ssl=true",
    VARIABLE_PATTERN: "the name of an environment variable, such as SERVER_TOKEN",
}


_SAID = {
    **dict.fromkeys(
        (
            "datetime_parsing",
            "datetime_from_date_parsing",
            "datetime_object_invalid",
            "datetime_type",
        ),
        f"must be {INSTANT}",
    ),
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a map of names to values: {name: value}",
    "list_type": "must be a list: [one, another]",
}


# Where a field may be of several kinds pydantic adds the kind's name to the path.
_CHOICES = (
    ("metrics", None),
    ("sources", "requests"),
    ("sources", "exposures"),
    ("sources", "outcomes"),
    ("sources", "users"),
    ("delivery", "target"),
)


def finding_of(detail: ErrorDetails, path: FieldPath, text: str | None = None) -> Finding:
    """One of pydantic's errors in our words. text: as written, where the value is none itself."""
    value, kind = detail["input"], detail["type"]
    if kind == "missing":
        return Finding(path, "is missing")
    if kind == "extra_forbidden":
        return Finding(path, _unknown_field(str(path[-1]), fields_for(detail)))
    if detail["loc"][-1] == "[key]" and kind == "literal_error":
        known = re.findall(r"'(\w+)'", detail["ctx"]["expected"])
        return Finding(path, unknown_field(str(value), known))
    # What is no variable's name may be what the variable is to hold.
    is_secret = detail.get("ctx", {}).get("pattern") == VARIABLE_PATTERN
    shown = "" if is_secret else _shown(value, text)
    return Finding(path, f"{shown}{_what_is_right(detail, text)}")


def _shown(value: object, text: str | None) -> str:
    if value is None:
        return "is empty, "
    if isinstance(value, dict | list):
        return ""
    if isinstance(value, str) and "@" in value:
        value, text = safe_url(value), None
    return f"is {safe_text(repr(value) if text is None else text)}, "


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
            kinds = [*strategy_kinds()] if detail["loc"][0] == "strategy" else _kinds()
            right = _right_kind(detail["input"], kinds)
        case "float_type" | "int_type":
            whole = kind == "int_type"
            written = _as_number(detail["input"], detail["loc"], whole=whole)
            right = f"must be a {'whole ' * whole}number{written}"
        case "string_type" if not text and detail["loc"][-1] in ("url", "prometheus"):
            right = f"must be {_PATTERNS[URL_PATTERN]}"
        case "string_type":
            right = f'must be text; put it in quotes: "{text}"' if text else "must be text"
        case "model_type" | "model_attributes_type":
            example = ", such as {kind: chaos}" if detail["loc"] == ("strategy",) else ""
            right = f"must hold fields{_fields_of(context.get('class_name')) or example}"
        case _:
            right = _SAID.get(kind, detail["msg"].replace("Input should be", "must be"))
    return right


def _right_kind(written: object, kinds: Sequence[str]) -> str:
    """Which kinds there are, and which one is near the unknown one that is written, if any is."""
    listed = ", ".join(map(repr, kinds))
    kind = written.get("kind") if isinstance(written, dict) else None
    if not isinstance(kind, str):
        return f"needs `kind`, one of {listed}"
    return f"unknown kind {safe_text(repr(kind))}{did_you_mean(kind, kinds)}; there are {listed}"


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


def _as_number(value: object, loc: FieldPath, *, whole: bool) -> str:
    """How a text would be written as the number that is meant; a split is in percent itself."""
    if not isinstance(value, str):
        return ""
    if not whole and re.fullmatch(PERCENT_PATTERN, percentage := value.replace(" ", "")):
        unit = 1 if loc[-2] in ("split", "weights") else 100
        return f": {float(percentage[:-1]) / unit:g}"
    if not whole and re.fullmatch(r"-?[0-9.]+[eE][+-]?[0-9]+", value):  # YAML wants 1.0e-3
        return f": {float(value):g}"
    is_number = re.fullmatch(r"-?[0-9]+" if whole else r"-?[0-9]+(\.[0-9]+)?", value)
    return f", without quotes: {value}" if is_number else ""


def _kinds() -> list[str]:
    """Every kind of metric, in the order of their models."""
    found = (get_args(m.model_fields["kind"].annotation) for m in METRIC_MODELS.values())
    return list(dict.fromkeys(kind for kinds in found for kind in kinds))


def written_path(loc: FieldPath, data: Any) -> FieldPath:
    """The path as it stands in the file: without pydantic's names for the kinds of a field."""
    return tuple(_written(_without_kind(loc), data))


def _without_kind(loc: FieldPath) -> FieldPath:
    if loc[0] == "strategy":
        return (*loc[:1], *loc[2:])
    for first, second in _CHOICES:
        if len(loc) > 2 and loc[0] == first and second in (None, loc[1]):
            return (*loc[:2], *loc[3:])
    return loc


def _written(loc: FieldPath, data: Any) -> Iterator[str | int]:
    for index, part in enumerate(loc):
        is_there = isinstance(data, dict) and part in data
        is_item = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_there or is_item:
            yield part
            data = data[part]
        elif part == "url" and isinstance(data, dict) and "prometheus" in data:
            yield "prometheus"
        elif index == len(loc) - 1 and isinstance(data, dict) and str(part).isidentifier():
            yield part


def fields_for(detail: ErrorDetails) -> list[str]:
    """The fields that may stand where an unknown one is."""
    loc = detail["loc"]
    if loc[0] == "strategy":
        return [*strategy_models()[str(loc[1])].model_fields]
    kind = str(loc[2]) if loc[0] == "metrics" and len(loc) > 3 else None
    return fields_at(_without_kind(loc)[:-1], kind)


def _unknown_field(name: str, known: Sequence[str]) -> str:
    places = [] if name in known else places_of(name)
    return unknown_field(name, [field for field in known if field != name], places)


def _models() -> list[type[Strict]]:
    strategy_models()  # made when first asked for
    models = [*Strict.__subclasses__()]
    for model in models:
        models += model.__subclasses__()
    return models


_Model = type[BaseModel]


def fields_at(loc: Sequence[str | int], kind: str | None = None) -> list[str]:
    """The fields that may stand at a path of the spec.

    kind: pydantic's name of the metric at the path, where it has one.
    """
    models = _models_at(Experiment, loc)
    of_kind = [model for model in models if model is METRIC_MODELS.get(kind or "")]
    fields = [name for model in of_kind or models for name in model.model_fields]
    # Its short form.
    short = ["prometheus"] if PrometheusSource in models else []
    return list(dict.fromkeys(fields + short))


def places_of(name: str) -> list[str]:
    """Where a field of this name belongs: parts of a spec, as a person calls them."""
    found = [place for place, model in _places(Experiment, ()) if name in model.model_fields]
    return list(dict.fromkeys(found))


def _models_at(annotation: Any, loc: Sequence[str | int]) -> list[_Model]:
    found = _options(annotation)
    for part in loc:
        found = [option for one in found for option in _inside(one, part)]
    return [one for one in found if _is_model(one)]


def _options(annotation: Any) -> list[Any]:
    """The types that a field may have."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _options(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [option for one in get_args(annotation) for option in _options(one)]
    return [*strategy_models().values()] if annotation is StrategyFields else [annotation]


def _inside(one: Any, part: str | int) -> list[Any]:
    if get_origin(one) in (dict, list):
        return _options(get_args(one)[-1])
    if _is_model(one) and part in one.model_fields:
        return _options(one.model_fields[str(part)].annotation)
    return []


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _kinds_of(model: _Model) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    is_named = field is not None and get_origin(field.annotation) is Literal
    return get_args(field.annotation) if field is not None and is_named else ()


def _places(model: _Model, path: tuple[str, ...]) -> Iterator[tuple[str, _Model]]:
    kinds = _kinds_of(model)
    place = ".".join(path) or "the top level"
    yield (f"{place} of kind {' or '.join(kinds)}" if kinds else place), model
    for name, field in model.model_fields.items():
        for option in _options(field.annotation):
            inner = _options(get_args(option)[-1]) if get_origin(option) in (dict, list) else []
            for one in (option, *inner):
                if _is_model(one):
                    yield from _places(one, (*path, name))
