"""Reads back the parts of a verdict that was stored as JSON, in which infinity and NaN are null."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Mapping
from functools import cache
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")

# A bound that isn't known is infinite; any other number that isn't known is no number.
_UNKNOWN = {"lower": -math.inf, "lower_ms": -math.inf, "upper": math.inf, "upper_ms": math.inf}


def restored(kind: type[T], stored: Mapping[str, Any]) -> T:
    """One of our dataclasses as it was before it was written.

    Fields that older software didn't write have their default, or are unknown or empty.
    """
    hints = _hints(cast(Hashable, kind))
    fields = {
        field.name: _value(hints[field.name], stored.get(field.name), field.name)
        for field in dataclasses.fields(kind)  # type: ignore[arg-type]  # a dataclass, as said
        if field.name in stored or not _has_default(field)
    }
    return kind(**fields)


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    return get_type_hints(kind)


def _has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


def _value(kind: Any, stored: Any, name: str) -> Any:
    if get_origin(kind) is UnionType:
        inner = next(part for part in get_args(kind) if part is not type(None))
        return None if stored is None else _value(inner, stored, name)
    if get_origin(kind) is tuple:
        return tuple(_value(get_args(kind)[0], each, name) for each in stored or ())
    if kind is float and stored is None:
        return _UNKNOWN.get(name, math.nan)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return restored(kind, stored or {})
    return kind(stored)
