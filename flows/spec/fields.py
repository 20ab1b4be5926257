"""What every part of a spec is made of: names, durations, times, and strictness."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from flows.formats.time import as_plausible_utc, parse_duration

NAME_PATTERN = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


URL_PATTERN = r"^https?://[^\s/]\S*$"
VARIABLE_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*$"


DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|[smhdw]))+$"


PERCENT_PATTERN = r"^[0-9]+(\.[0-9]+)?%$"


Name = Annotated[str, Field(pattern=NAME_PATTERN)]


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("must be longer than zero")
    return value


Variable = Annotated[str, Field(pattern=VARIABLE_PATTERN)]
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
    if isinstance(value, str) and re.fullmatch(r"[0-9.]+ +%", value):
        right = value.replace(" ", "")
        raise ValueError(f"must be a number or a percentage without a blank: {right}")
    return value


Share = Annotated[Number, BeforeValidator(parse_share, json_schema_input_type=float | Percent)]


def parse_shares(value: object) -> object:
    """Leaves a map as it is; sticky sessions are no shares, but the counter of them is checked."""
    if value == "sticky":
        raise ValueError(
            "must be shares; where sessions are sticky, set `sessions` to the counter of new ones"
        )
    return value


_Percents = dict[str, Annotated[Number, Field(ge=0, le=100)]]
Percents = Annotated[_Percents, BeforeValidator(parse_shares, json_schema_input_type=_Percents)]


def as_text(value: object) -> object:
    """A name in data as text: many tables have 0 and 1, or true and false."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


INSTANT = "a time such as 2026-01-31T12:00:00Z, without a zone UTC"


def _no_number(value: object) -> object:
    """20260131 would be a time of 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and value.isdecimal()):
        raise ValueError(f"must be {INSTANT}")
    return value


Instant = Annotated[datetime, BeforeValidator(_no_number), AfterValidator(as_plausible_utc)]


class Strict(BaseModel):
    """Unknown fields are errors: a misspelt margin must not become a default."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True)
