"""Instants: milliseconds since the epoch inside, UTC datetimes at the edges."""

from datetime import UTC, datetime


def instant(ms: int) -> datetime:
    """The UTC instant of milliseconds since the epoch."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def milliseconds_of(value: datetime) -> int:
    """Milliseconds since the epoch of an instant."""
    return round(value.timestamp() * 1000)
