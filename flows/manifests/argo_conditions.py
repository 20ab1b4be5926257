"""Conditions of Argo's metrics as limits of a value: result[0] <= 0.05 || isNaN(result[0])."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESULT = r"result(?:\[0\])?"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# Functions that leave a value that is there as it is.
_WRAPPED = re.compile(
    rf"\b(?:asFloat|asInt|float|int)\(\s*({_RESULT})\s*\)|\bdefault\(\s*({_RESULT})\s*,[^()]*\)"
)
_NO_VALUE = re.compile(
    r"(?:(?:!|not )\s*)?is(?:NaN|Nil|Inf)\([^()]*\)|len\(result\)\s*[<>=!]+\s*\d+"
    rf"|{_RESULT}\s*[!=]=\s*nil"
)
_BOUND = re.compile(rf"(?:{_RESULT})\s*(>=|<=|>|<)\s*({_NUMBER})")
_TURNED = re.compile(rf"({_NUMBER})\s*(>=|<=|>|<)\s*{_RESULT}")
_OPPOSITE = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


@dataclass(frozen=True, slots=True)
class ValueLimits:
    """What a value must be, and what a person must look up."""

    lowest: float | None = None
    highest: float | None = None
    checks: tuple[str, ...] = ()


def limits_of(condition: str, *, is_failure: bool) -> ValueLimits:
    """The limits that a condition of success or failure says; without them it is named to check."""
    unknown = ValueLimits(checks=(f"its condition {condition!r} isn't converted: set `objective`",))
    text = condition
    while (simpler := _WRAPPED.sub(lambda found: found[1] or found[2], text)) != text:
        text = simpler
    no_value = text != condition and "default(" in condition
    parts = [part.strip() for part in re.split(r"\|\||&&|\bor\b|\band\b", text)]
    bounds = []
    for part in map(_bare, parts):
        if _NO_VALUE.fullmatch(part):
            no_value = True
            continue
        bound = _bound(part)
        if bound is None:
            return unknown
        bounds.append(bound)
    # ValueLimits that must all hold; failures are joined the other way round.
    joins_otherwise = r"&&|\band\b" if is_failure else r"\|\||\bor\b"
    if not bounds or (len(bounds) > 1 and re.search(joins_otherwise, text)):
        return unknown
    if is_failure:
        bounds = [(_OPPOSITE[sign], number) for sign, number in bounds]
    lowest = [number for sign, number in bounds if sign.startswith(">")]
    highest = [number for sign, number in bounds if sign.startswith("<")]
    said = ("no value, which its condition names, is not known here, and holds",)
    return ValueLimits(
        max(lowest, default=None), min(highest, default=None), said if no_value else ()
    )


def _bare(part: str) -> str:
    """Without parentheses around all of it, and without those of a group that was split."""
    while part.startswith("("):
        part = part[1:].strip()
    while part.endswith(")") and part.count(")") > part.count("("):
        part = part[:-1].strip()
    return part


def _bound(part: str) -> tuple[str, float] | None:
    if found := _BOUND.fullmatch(part):
        return found[1], float(found[2])
    found = _TURNED.fullmatch(part)
    return None if found is None else (_OPPOSITE[found[2]], float(found[1]))
