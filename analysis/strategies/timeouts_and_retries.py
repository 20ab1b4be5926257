"""Time-outs and retries: how many requests end in a time-out, and what retries cost and gain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.strategies.attempts import ISTIO_ATTEMPTS, attempt_counters, check_attempts
from analysis.strategies.declaration import (
    Counted,
    Counter,
    StrategyFinding,
    budget,
    names,
    selector,
    share,
    text,
)

# What Linkerd's proxy calls its time-outs, where Envoy has UT.
_LINKERD = ("RequestTimeout", "ResponseHeadersTimeout", "ResponseStreamTimeout")


@dataclass(frozen=True, slots=True)
class TimeoutsAndRetries:
    """Share of requests that time out, retries against their budget, routes never tried twice."""

    kind: ClassVar[str] = "timeouts-and-retries"
    timeouts: float = budget(0.01, "The share of requests that may end in the time-out (UT).")
    retry_ratio: float = share(0.2, "retryBudget.retryRatio: retries for each request, by route.")
    once: tuple[str, ...] = names((), "Routes that must not be tried again: POST, payments.")
    label: str = text("request_route", "The label of the route, in both counters.")
    attempts: str = selector(ISTIO_ATTEMPTS, "The counter of attempts at a variant's pods.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Time-outs with their budget, and errors beside them."""
        only = {"codes": [], "grpc": [], "flags": ["UT", *_LINKERD]}
        budget = {"kind": "error_share", "failures": only, "objective": self.timeouts}
        return {"errors": {"kind": "error_share", "critical": True}, "timeouts": budget}

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests and attempts by route."""
        return attempt_counters(self.attempts, self.label)

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether routes that must not be retried were, and others within their budget."""
        yield from check_attempts(seen, self.once, self.retry_ratio, done="retried")
