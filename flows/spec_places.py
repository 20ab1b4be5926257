"""Where which field of a spec belongs: the models at a path, and the places of a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from flows.spec import Experiment
from flows.spec_sources import PrometheusSource

_Model = type[BaseModel]


def fields_at(loc: Sequence[str | int], kind: str | None = None) -> list[str]:
    """The fields that may stand at a path of the spec.

    kind: of the metric at the path, where it has one.
    """
    models = _models_at(Experiment, loc)
    of_kind = [model for model in models if kind in _kinds(model)]
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
    return [annotation]


def _inside(one: Any, part: str | int) -> list[Any]:
    if get_origin(one) in (dict, list):
        return _options(get_args(one)[-1])
    if _is_model(one) and part in one.model_fields:
        return _options(one.model_fields[str(part)].annotation)
    return []


def _is_model(one: Any) -> bool:
    return isinstance(one, type) and issubclass(one, BaseModel)


def _kinds(model: _Model) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    is_named = field is not None and get_origin(field.annotation) is Literal
    return get_args(field.annotation) if field is not None and is_named else ()


def _places(model: _Model, path: tuple[str, ...]) -> Iterator[tuple[str, _Model]]:
    kinds = _kinds(model)
    place = ".".join(path) or "the top level"
    yield (f"{place} of kind {' or '.join(kinds)}" if kinds else place), model
    for name, field in model.model_fields.items():
        for option in _options(field.annotation):
            inner = _options(get_args(option)[-1]) if get_origin(option) in (dict, list) else []
            for one in (option, *inner):
                if _is_model(one):
                    yield from _places(one, (*path, name))
