"""Circuit breaking: does it open at a burst, close after it, and refuse few good requests?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.arrays import np
from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    duration,
    share,
)


@dataclass(frozen=True, slots=True)
class CircuitBreaking:
    """Requests that an open breaker refuses (UO), when it opens, and how long it stays so."""

    kind: ClassVar[str] = "circuit-breaking"
    at_most: float = share(
        0.1, "The share of requests that the breaker may refuse: a budget of the whole plan."
    )
    recovery: float = duration(30.0, "The longest time that it may refuse without a pause.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What it refuses, against the other setting; other failures beside it."""
        only = {"codes": [], "grpc": [], "flags": ["UO"]}
        return {
            "refused": {"kind": "error_share", "failures": only, "margin": 0.05},
            "errors": {"kind": "error_share", "critical": True, "margin": 0.05},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests, and those that found the breaker open."""
        overflow = Counter(REQUESTS.of, flag="UO")
        return {"requests": REQUESTS, "refusals": overflow}

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether each candidate's breaker opened at all, closed again, and kept its budget."""
        for candidate in seen.candidates:
            yield self._breaker(seen, candidate)
            yield self._budget(seen, candidate)

    def _breaker(self, seen: Counted, candidate: str) -> StrategyFinding:
        refused = seen.series("refusals", candidate) > 0
        stretches = _stretches(refused)
        longest_s = max((len(one) for one in stretches), default=0) * seen.bucket_s
        said = (
            f"the breaker of {candidate} opened {len(stretches)} times, for {longest_s:.0f} s "
            "at most"
        )
        if longest_s > self.recovery:
            detail = f"no recovery within {self.recovery:g} s: {said}"
            return StrategyFinding("breaker", Found.HARM, detail)
        if not stretches or refused[-1]:
            why = "is still open" if stretches else "never opened: send a burst"
            return StrategyFinding("breaker", Found.WAIT, f"the breaker of {candidate} {why}")
        return StrategyFinding("breaker", Found.GOOD, said)

    def _budget(self, seen: Counted, candidate: str) -> StrategyFinding:
        """What was refused of the plan's requests, counted: bursts are too few to infer from.

        How often they come is the traffic's doing. What is to come is taken to be like the past;
        at the plan's end nothing is.
        """
        refused, asked = seen.total("refusals", candidate), seen.total("requests", candidate)
        elapsed_s = len(seen.series("requests", candidate)) * seen.bucket_s
        in_plan = asked * (1 + seen.left_s / elapsed_s) if elapsed_s else 0.0
        said = f"{candidate} refused {refused / max(asked, 1.0):.1%} of {asked:,.0f} requests"
        said += f" (budget {self.at_most:.1%})"
        if refused <= self.at_most * asked:
            return StrategyFinding("budget", Found.GOOD, said)
        if refused <= self.at_most * in_plan:
            detail = f"{said}; it keeps its budget only if it refuses few until the plan ends"
            return StrategyFinding("budget", Found.WAIT, detail)
        return StrategyFinding("budget", Found.HARM, f"the breaker refuses too much: {said}")


def _stretches(is_open: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[Any]:
    """The buckets of each stretch in which the breaker refused; one quiet bucket ends none."""
    at = np.flatnonzero(is_open)
    return [one for one in np.split(at, np.flatnonzero(np.diff(at) > 2) + 1) if one.size]
