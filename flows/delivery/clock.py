"""A clock for decisions: one that is set back doesn't take a delivery back in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


def _wall() -> datetime:
    return datetime.now(UTC)


def _elapsed_s() -> float:
    """Seconds that only grow, also while the machine sleeps, where the system counts them."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


@dataclass(slots=True)
class SteadyClock:
    """The wall's time, but never before a time that it has told or that is on record.

    Where the wall was set back, time goes on from the latest time known.
    """

    wall: Callable[[], datetime] = field(default_factory=lambda: _wall)
    elapsed_s: Callable[[], float] = field(default_factory=lambda: _elapsed_s)
    _latest: datetime = field(init=False, default=datetime.min.replace(tzinfo=UTC))
    _since_s: float = field(init=False, default=0.0)

    def now(self) -> datetime:
        """The time for decisions and for the record."""
        self.not_before(self.wall())
        return self._steady()

    def not_before(self, known: datetime) -> None:
        """Takes in a time that has been: the latest event's, the latest look's."""
        if known > self._steady():
            self._latest, self._since_s = known, self.elapsed_s()

    def behind(self) -> timedelta:
        """How far the wall was set back."""
        return max(timedelta(0), self.now() - self.wall())

    def _steady(self) -> datetime:
        if self._latest == datetime.min.replace(tzinfo=UTC):
            return self._latest
        return self._latest + timedelta(seconds=self.elapsed_s() - self._since_s)
