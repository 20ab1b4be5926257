"""Circuit breaking: does it open at a burst, close after it, and refuse few good requests?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

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
    at_most: float = share(0.1, "The share of requests that the breaker may refuse, over all.")
    recovery: float = duration(30.0, "The longest time that it may refuse without a pause.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What it refuses, against its budget and the other setting; other failures beside it."""
        only = {"codes": [], "grpc": [], "flags": ["UO"]}
        refused = {"kind": "error_share", "failures": only, "margin": 0.05}
        return {
            "refused": {**refused, "objective": self.at_most},
            "errors": {"kind": "error_share", "critical": True, "margin": 0.05},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests, and those that found the breaker open."""
        overflow = Counter(REQUESTS.of, flag="UO")
        return {"requests": REQUESTS, "refusals": overflow}

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether each candidate's breaker opened at all, and closed again."""
        for candidate in seen.candidates:
            refused = seen.series("refusals", candidate) > 0
            stretches = _stretches(refused)
            longest_s = max((len(one) for one in stretches), default=0) * seen.bucket_s
            share_of = seen.total("refusals", candidate) / max(
                seen.total("requests", candidate), 1.0
            )
            said = (
                f"the breaker of {candidate} opened {len(stretches)} times, for {longest_s:.0f} s "
                f"at most, and refused {share_of:.1%} of all requests"
            )
            if longest_s > self.recovery:
                detail = f"no recovery within {self.recovery:g} s: {said}"
                yield StrategyFinding("breaker", Found.HARM, detail)
            elif not stretches or refused[-1]:
                why = "is still open" if stretches else "never opened: send a burst"
                yield StrategyFinding("breaker", Found.WAIT, f"the breaker of {candidate} {why}")
            else:
                yield StrategyFinding("breaker", Found.GOOD, said)


def _stretches(is_open: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[Any]:
    """The buckets of each stretch in which the breaker refused; one quiet bucket ends none."""
    at = np.flatnonzero(is_open)
    return [one for one in np.split(at, np.flatnonzero(np.diff(at) > 2) + 1) if one.size]
