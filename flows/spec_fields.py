"""What every part of a spec is made of: names, durations, times, and strictness."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"
URL_PATTERN = r"^https?://[^\s/]+"
DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|[smhdw]))+$"
PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)?%$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST_S = 520 * 604800.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


def parse_duration(value: object) -> timedelta:
    """The duration that a text like 15s, 5m, 1h30m or 14d names; raises ValueError otherwise."""
    if isinstance(value, timedelta):
        return value
    parts = _DURATION.findall(value) if isinstance(value, str) else []
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise ValueError("must be a duration such as 15s, 5m, 1h30m or 14d")
    seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    if seconds > _LONGEST_S:
        raise ValueError("must be at most 520w, ten years")
    return timedelta(seconds=seconds)


def shown_duration(value: timedelta) -> str:
    """The duration as a spec says it: 15s, 5m, 1h30m, 7d."""
    left, parts = value // timedelta(milliseconds=1), []
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, round(_UNITS_S[unit] * 1000))
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


def as_utc(value: datetime) -> datetime:
    """The instant in UTC; a time without a zone is taken as UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


Duration = Annotated[
    timedelta,
    BeforeValidator(
        parse_duration, json_schema_input_type=Annotated[str, Field(pattern=DURATION_PATTERN)]
    ),
    AfterValidator(_positive),
]
Percent = Annotated[str, Field(pattern=PERCENT_PATTERN)]
# Quoted numbers, truth values and infinity would pass as numbers, and mislead sums.
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]


def parse_share(value: object) -> object:
    """A text like 5% is the share 0.05; anything else stays what it is."""
    if isinstance(value, str) and re.fullmatch(PERCENT_PATTERN, value):
        return float(value[:-1]) / 100
    return value


Share = Annotated[Number, BeforeValidator(parse_share, json_schema_input_type=float | Percent)]
Instant = Annotated[datetime, AfterValidator(as_utc)]


class Strict(BaseModel):
    """Unknown fields are errors: a misspelt margin must not become a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
