"""When a look is: at a time that was asked for, or now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from flows.formats.problems import UserError
from flows.formats.time import as_utc

# Another machine's clock may be ahead by that much.
_AHEAD = timedelta(minutes=1)


class TimeInFuture(UserError):
    """A look was asked for at a time that is yet to come: it would stay the latest until then."""


def look_time(asked: datetime | None, *, now: datetime | None = None) -> datetime:
    """The time of a look in UTC: as asked (UTC without a zone), or now.

    now: the clock, for tests. Raises TimeInFuture if it is over a minute ahead of now.
    """
    now = now or datetime.now(UTC)
    if asked is None:
        return now
    at = as_utc(asked)
    if at > now + _AHEAD:
        raise TimeInFuture(
            f"{at:%Y-%m-%d %H:%M:%S} UTC is in the future (now "
            f"{now:%Y-%m-%d %H:%M:%S} UTC): name an earlier time, or none for now"
        )
    return at
