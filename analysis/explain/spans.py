"""Times and spans of time as people say them."""

from __future__ import annotations

import math
from datetime import UTC, datetime


def clock(ms: int) -> str:
    """The time of day of an instant in milliseconds since the epoch."""
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M} UTC"


def span(ms: float) -> str:
    """A duration as a person says it: 45 s, 12 min, 3.5 h, 6.0 days."""
    return span_s(ms / 1000)


def span_s(seconds: float | None) -> str:
    """The same of seconds; a dash if they aren't known."""
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    if seconds < 5400:
        return f"{math.ceil(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:,.1f} days"
