"""Load balancing: how policies spread requests over endpoints, and whether hashing is sticky."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.arrays import FloatArray, np
from analysis.strategies.attempts import ISTIO_ATTEMPTS
from analysis.strategies.declaration import (
    Counted,
    Counter,
    Found,
    StrategyFinding,
    number,
    selector,
    share,
    share_bounds,
    text,
)
from analysis.strategies.endpoint_lives import Spread, most_at_once, spread, there
from analysis.strategies.stickiness import Stickiness, stickiness

_LEAST_REQUESTS = 200
# What a series says, or Istio, of a request whose endpoint it doesn't know.
_NO_ENDPOINT, _FEW = ("", "unknown"), 0.01


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    """Requests by endpoint: the largest share against the fair one, and how shares vary."""

    kind: ClassVar[str] = "load-balancing"
    largest: float = number(1.5, "An endpoint's largest share, in fair shares.")
    variation: float = number(0.5, "Largest coefficient of variation of the endpoints' requests.")
    endpoints: float = number(1.0, "How many each variant has; more if any shows more.")
    label: str = text("pod", "The label of the endpoint.")
    arrivals: str = selector(ISTIO_ATTEMPTS, "The counter of requests at a variant's endpoints.")
    key: str = text("", "The label of a hashing policy's key; without it no check of keys.")
    sticky: float = share(0.95, "The share of a key's requests that one endpoint must have.")
    moved: float = share(0.1, "The share of keys that may move from an endpoint that stays.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What a policy is for: the tail, and errors beside it."""
        return {
            "errors": {"kind": "error_share", "critical": True},
            "tail": {"kind": "slow_share", "above": "1s", "quantile": 0.99},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests by endpoint, and by key."""
        found = {"arrivals": Counter(self.arrivals, by=self.label, needed=True)}
        if self.key:
            by = f"{self.key},{self.label}"
            found["keys"] = Counter(self.arrivals, by=by, needed=True, of_candidates=True)
        return found

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether no endpoint surely has too much, shares vary within the bound, and keys stay."""
        for candidate in seen.candidates if self.key else ():
            yield from self._stickiness(candidate, stickiness(seen, "keys", candidate))
        # An endpoint that gets nothing has no series: it shows in the other variant's number alone.
        arrivals = seen.amounts.get("arrivals", {})
        endpoints = max(int(self.endpoints), *map(most_at_once, arrivals.values()), 0)
        for candidate in seen.candidates:
            yield self._spread(candidate, arrivals.get(candidate, {}), endpoints)

    def _spread(
        self, candidate: str, by_endpoint: Mapping[str, FloatArray], endpoints: int
    ) -> StrategyFinding:
        counts = {name: float(found.sum()) for name, found in sorted(by_endpoint.items())}
        total, nowhere = sum(counts.values()), sum(counts.get(name, 0.0) for name in _NO_ENDPOINT)
        if nowhere > _FEW * total:
            detail = f"{nowhere / total:.1%} of requests of {candidate} have no {self.label}: how "
            return StrategyFinding("spread", Found.WAIT, detail + "they spread isn't known")
        if total < _LEAST_REQUESTS or endpoints < 2:
            detail = f"{candidate} had too few requests, or endpoints, to see how they spread"
            return StrategyFinding("spread", Found.WAIT, detail)
        present = there(by_endpoint)
        own = spread(by_endpoint, present, endpoints)
        said = (
            f"of {endpoints} endpoints of {candidate}, {own.name} has {own.share:.1%} of requests, "
            f"{own.fair:.1%} would be fair (coefficient of variation {own.variation:.2f})"
        )
        if harm := self._harm_of(own):
            return StrategyFinding("spread", Found.HARM, f"{harm}: {said}")
        whole, number = spread(by_endpoint, np.ones_like(present), endpoints), present.sum(axis=0)
        if self._harm_of(whole) and number[-1] < number.max():
            detail = f"endpoints of {candidate} left, or get nothing any more: before, {said}"
            return StrategyFinding("spread", Found.WAIT, detail)
        return StrategyFinding("spread", Found.GOOD, said)

    def _harm_of(self, found: Spread) -> str | None:
        if found.least > self.largest * found.fair:
            return "an endpoint has too much"
        return "endpoints are uneven" if found.variation > self.variation else None

    def _stickiness(self, candidate: str, found: Stickiness) -> Iterator[StrategyFinding]:
        if found.requests < _LEAST_REQUESTS:
            detail = f"{candidate} had too few requests of each {self.key} to see where they go"
            yield StrategyFinding("stickiness", Found.WAIT, detail)
            return
        said = (
            f"{found.stayed / found.requests:.1%} of requests of {candidate} reached the endpoint "
            f"of their {self.key}"
        )
        is_loose = share_bounds(found.stayed, found.requests)[1] < self.sticky
        detail = f"hashing is not sticky: {said}, {self.sticky:.1%} must" if is_loose else said
        yield StrategyFinding("stickiness", Found.HARM if is_loose else Found.GOOD, detail)
        if found.kept:
            said = (
                f"{found.moved} of {found.kept} values of {self.key} left an endpoint of "
                f"{candidate} that stayed when others ({', '.join(found.gone) or 'new'}) changed"
            )
            too_many = share_bounds(found.moved, found.kept)[0] > self.moved
            yield StrategyFinding("moved keys", Found.HARM if too_many else Found.GOOD, said)
