"""Rate limiting: whom a token bucket refuses, and how much it lets through."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from analysis.arrays import np
from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    budget,
    duration,
    names,
    number,
    share,
    share_bounds,
    text,
)

# Scrapes don't end where buckets do, and a bucket that is full at first lets a burst through.
_SLACK = 1.1
_LEAST_OF_BUCKET = 0.8
_LEAST_REQUESTS = 200
# Refused gRPC calls have HTTP's status 200, and a filter may answer with any.
_REFUSED = {
    "refusals": 'response_code="429"',
    "refusals by flag": 'response_code!="429",response_flags=~".*RL.*"',
    "refusals by gRPC": 'response_code!="429",response_flags!~".*RL.*",grpc_response_status="8"',
}


@dataclass(frozen=True, slots=True)
class RateLimiting:
    """Share of requests that are refused (429), by tier, against the token bucket."""

    kind: ClassVar[str] = "rate-limiting"
    tokens: float = number(100.0, "max_tokens and tokens_per_fill of each bucket.")
    fill: float = duration(60.0, "fill_interval of each bucket.")
    proxies: float = number(1.0, "Proxies of a variant; each has a bucket of its own.")
    at_most: float = budget(0.5, "The share of requests that the candidate may refuse.")
    label: str = text("user_tier", "The label that distinguishes tiers or users.")
    tiers: tuple[str, ...] = names((), "Tiers, the best first; without any, all are alike.")
    unfair: float = share(0.1, "Largest excess of one tier's or user's refused share.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The share that is refused with its budget, and errors beside it."""
        refused = {"kind": "outcome_share", "outcome": "rejected", "margin": 0.05}
        return {
            "refused": {**refused, "objective": self.at_most},
            "errors": {"kind": "error_share", "critical": True},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests and refusals, each of which is counted by one way of saying so."""
        ways = {
            name: Counter(REQUESTS.of, where, by=self.label) for name, where in _REFUSED.items()
        }
        return {"requests": Counter(REQUESTS.of, by=self.label, needed=True), **ways}

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether the limit of each candidate is reached, keeps its rate and is fair."""
        for candidate in seen.candidates:
            if seen.total("requests", candidate) < _LEAST_REQUESTS:
                yield StrategyFinding("limit", Found.WAIT, f"{candidate} had too few requests yet")
                continue
            yield self._limit(seen, candidate)
            yield self._fairness(seen, candidate)

    def _limit(self, seen: Counted, candidate: str) -> StrategyFinding:
        asked = seen.series("requests", candidate)
        passed = float(asked.sum()) - sum(seen.total(way, candidate) for way in _REFUSED)
        rate = self.tokens * self.proxies / self.fill
        seconds = len(asked) * seen.bucket_s
        most = _SLACK * (rate * seconds + self.tokens * self.proxies)
        wanted = float(np.minimum(asked, rate * seen.bucket_s).sum())
        said = f"{candidate} let {passed / seconds:.1f} requests a second pass; its bucket has "
        said += f"{rate:.1f} tokens a second, and {asked.sum() / seconds:.1f} were asked for"
        if passed > most:
            return StrategyFinding("limit", Found.HARM, f"the limit is not kept: {said}")
        if passed < _LEAST_OF_BUCKET * wanted:
            everybody = " nearly everybody" if passed < 0.05 * asked.sum() else " too much"
            return StrategyFinding("limit", Found.HARM, f"the limit refuses{everybody}: {said}")
        if passed == asked.sum():
            detail = f"no request reached the limit, so its effect is unknown: {said}"
            return StrategyFinding("limit", Found.WAIT, detail)
        return StrategyFinding("limit", Found.GOOD, f"the limit is kept: {said}")

    def _fairness(self, seen: Counted, candidate: str) -> StrategyFinding:
        """No tier is refused more than the next one; where all are alike, none more than all."""
        asked, refused = seen.by("requests", candidate), Tally[str]()
        for way in _REFUSED:
            refused.update(seen.by(way, candidate))
        bounds = {name: share_bounds(refused.get(name, 0.0), of) for name, of in asked.items()}
        whole = share_bounds(sum(refused.values()), sum(asked.values()))
        unseen = [name for name in self.tiers if asked.get(name, 0.0) < _LEAST_REQUESTS]
        if unseen:
            few = "too few" if asked.get(unseen[0]) else "no"
            detail = f"{candidate} has {few} requests of {self.label} {unseen[0]}"
            return StrategyFinding("fairness", Found.WAIT, detail)
        pairs = [(one, bounds[other], other) for one, other in pairwise(self.tiers)]
        pairs += [] if self.tiers else [(name, whole, "all") for name in bounds]
        for name, other, whom in pairs:
            if bounds[name][0] - other[1] > self.unfair:
                own = refused.get(name, 0.0) / asked[name]
                detail = f"the limit is unfair: {candidate} refuses {own:.1%} of {self.label} "
                detail += f"{name}, at most {other[1]:.1%} of {whom}"
                return StrategyFinding("fairness", Found.HARM, detail)
        detail = f"no {self.label} is surely refused {self.unfair:.0%} more than others"
        return StrategyFinding("fairness", Found.GOOD, detail)
