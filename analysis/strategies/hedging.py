"""Hedging: the tail that a second attempt gains, the load it costs, and where it does harm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.strategies.attempts import ISTIO_ATTEMPTS, attempt_counters, check_attempts
from analysis.strategies.declaration import (
    Counted,
    Counter,
    StrategyFinding,
    duration,
    names,
    selector,
    share,
    text,
)


@dataclass(frozen=True, slots=True)
class Hedging:
    """Requests that are still slow with a second attempt, what that costs, and duplicates."""

    kind: ClassVar[str] = "hedging"
    above: float = duration(1.0, "The tail: requests slower than this; fewer is the goal.")
    load: float = share(0.1, "Largest number of extra attempts per request, by route.")
    once: tuple[str, ...] = names((), "Routes that aren't idempotent, never to be hedged.")
    label: str = text("request_route", "The label of the route, in both counters.")
    attempts: str = selector(ISTIO_ATTEMPTS, "The counter of attempts at a variant's pods.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The tail must become shorter, and errors no more."""
        tail = {"kind": "slow_share", "above": f"{self.above * 1000:.0f}ms", "role": "goal"}
        return {"errors": {"kind": "error_share", "critical": True}, "tail": tail}

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests and attempts by route."""
        return attempt_counters(self.attempts, self.label)

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether what isn't idempotent was hedged, and the load is within its budget."""
        yield from check_attempts(seen, self.once, self.load, done="hedged")
