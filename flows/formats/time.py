"""Instants: milliseconds since the epoch inside, UTC datetimes at the edges."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta


def instant(ms: int) -> datetime:
    """The UTC instant of milliseconds since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds_of(value: datetime) -> int:
    """Milliseconds since the epoch of an instant."""
    return round(value.timestamp() * 1000)


def milliseconds(duration: timedelta) -> int:
    """The duration in whole milliseconds."""
    return round(duration.total_seconds() * 1000)


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


def as_utc(value: datetime) -> datetime:
    """The instant in UTC; a time without a zone is taken as UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# Beyond these lies no traffic, and what is reckoned from a time must stay within all time.
_FIRST_YEAR, _LAST_YEAR = 1970, 2999


def as_plausible_utc(value: datetime) -> datetime:
    """The same of what a person wrote. Raises ValueError for a time that no traffic can be of."""
    if not _FIRST_YEAR <= value.year <= _LAST_YEAR:
        raise ValueError(f"must be a time of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return as_utc(value)
