"""Attempts at a version's pods beside the requests that they are for, route by route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    share_bounds,
)

ISTIO_ATTEMPTS = (
    'istio_requests_total{reporter="destination",destination_service_name="{{service}}",'
    'destination_service_namespace="{{namespace}}",destination_version="{{version}}"}'
)
_FAILED = 'response_code=~"5.."'
LEAST_REQUESTS = 200


def attempt_counters(attempts: str, label: str) -> Mapping[str, Counter]:
    """Requests and attempts by route, and how many of each failed."""
    return {
        "requests": Counter(REQUESTS.of, by=label, needed=True),
        "attempts": Counter(attempts, by=label, needed=True),
        "failures": Counter(REQUESTS.of, where=_FAILED, by=label),
        "failed attempts": Counter(attempts, where=_FAILED, by=label),
    }


@dataclass(frozen=True, slots=True)
class RouteAttempts:
    """One route of one variant.

    attempts: without those of the last bucket, whose requests may go on. extra: attempts beyond one
    for each request, as a share of the requests. actual, effective: success of attempts, requests.
    """

    route: str
    requests: float
    attempts: float
    extra: float
    actual: float
    effective: float

    @property
    def said(self) -> str:
        """As in a sentence."""
        return (
            f"{self.extra:.1%} more attempts than requests on {self.route or 'all routes'} "
            f"(actual success {self.actual:.1%}, effective {self.effective:.1%})"
        )


def route_attempts(seen: Counted, variant: str) -> tuple[RouteAttempts, ...]:
    """Every route with a request; the last bucket's attempts are left out."""
    found = []
    by_route = seen.amounts.get("attempts", {}).get(variant, {})
    failed, tried = seen.by("failures", variant), seen.by("failed attempts", variant)
    for route, requests in seen.by("requests", variant).items():
        every = by_route.get(route)
        attempts = 0.0 if every is None else float(every[:-1].sum())
        whole = 0.0 if every is None else float(every.sum())
        if requests > 0:
            found.append(
                RouteAttempts(
                    route,
                    requests,
                    attempts,
                    max(0.0, whole / requests - 1),
                    1 - tried.get(route, 0.0) / max(whole, 1.0),
                    1 - failed.get(route, 0.0) / requests,
                )
            )
    return tuple(found)


def check_once(
    candidate: str, routes: Sequence[RouteAttempts], once: Sequence[str], what: str
) -> StrategyFinding:
    """Routes on which a second attempt may do harm have none: not a single one."""
    for one in routes:
        if one.route in once and one.attempts > one.requests:
            detail = (
                f"{candidate} {what} {one.route}, which must be tried once only: "
                f"{one.attempts:.0f} attempts at least of {one.requests:.0f} requests"
            )
            return StrategyFinding("tried once", Found.HARM, detail)
    return StrategyFinding(
        "tried once", Found.GOOD, f"{candidate} tried {', '.join(once) or 'all'} once"
    )


def surely_beyond(one: RouteAttempts, budget: float) -> bool:
    """Whether more attempts were paid than a budget of the requests allows."""
    return share_bounds(max(one.attempts - one.requests, 0.0), one.requests)[0] > budget
