"""Reads values that may be of any type: what isn't as it should be counts as absent."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Any

_QUANTITY = re.compile(r"\+?(\d{1,18}(?:\.\d{0,18})?|\.\d{1,18})(m|k|M|G)?")
_SCALES = {"m": Fraction(1, 1000), "k": Fraction(1000), "M": Fraction(10**6), "G": Fraction(10**9)}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|us|ns|µs|[smhd])")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}


def fields_of(value: Any) -> dict[str, Any]:
    """The mapping, or an empty one."""
    return value if isinstance(value, dict) else {}


def items_of(value: Any) -> list[Any]:
    """The list, or an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: Any) -> str | None:
    """The text that isn't empty, or None."""
    return value if isinstance(value, str) and value else None


def number_of(value: Any) -> float | None:
    """The finite number, or None; a text of digits isn't a number here."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def labels_of(value: Any) -> tuple[tuple[str, str], ...]:
    """Labels, sorted by name; one without a value is no label."""
    pairs = fields_of(value).items()
    return tuple(
        sorted(
            (name, str(item).lower() if isinstance(item, bool) else str(item))
            for name, item in pairs
            if item is not None and not isinstance(item, dict | list)
        )
    )


def quantity_of(value: Any) -> Fraction | None:
    """A Kubernetes quantity that isn't negative: 5, "5", 500m, 1.5k; None if it is none."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        number = number_of(value)
        return Fraction(value) if number is not None and 0 <= number < 1e18 else None
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    return Fraction(match[1]) * _SCALES.get(match[2], Fraction(1)) if match else None


def seconds_of(value: Any) -> float | None:
    """The seconds of a duration such as 30s, 1m30s, or of a plain number of seconds."""
    if isinstance(value, str) and not value.isdigit():
        parts = _DURATION.findall(value)
        if not parts or "".join(number + unit for number, unit in parts) != value:
            return None
        return float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    number = number_of(int(value) if isinstance(value, str) and len(value) < 10 else value)
    return number if number is not None and number >= 0 else None
