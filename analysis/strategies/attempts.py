"""Attempts at a version's pods beside the requests that they are for, route by route."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from analysis.arrays import BoolArray, FloatArray, np
from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    frequent,
    share_bounds,
)

ISTIO_ATTEMPTS = (
    'istio_requests_total{reporter="destination",destination_service_name="{{service}}",'
    'destination_service_namespace="{{namespace}}",destination_version="{{variant}}"}'
)
_FAILED = 'response_code=~"5.."'
_LEAST_REQUESTS = 200
# Some requests reach no pod; of a route with fewer attempts the counters don't tell the same.
_LEAST_ATTEMPTS = 0.5


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

    attempts: those that surely are of these requests: of each stretch in which both are known,
    without the first bucket, whose requests may have been counted before, and the last, whose
    requests may be counted afterwards. whole: all of them.
    actual, effective: success of attempts and of requests.
    """

    route: str
    requests: float
    attempts: float
    whole: float
    actual: float
    effective: float

    @property
    def extra(self) -> float:
        """Attempts beyond one for each request, as a share of the requests."""
        return max(0.0, self.whole / self.requests - 1)

    @property
    def said(self) -> str:
        """As in a sentence."""
        return (
            f"{self.extra:.1%} more attempts than requests on {self.route or 'all routes'} "
            f"(actual success {self.actual:.1%}, effective {self.effective:.1%})"
        )


def route_attempts(seen: Counted, variant: str) -> tuple[RouteAttempts, ...]:
    """Every route with a request."""
    found = []
    by_route = seen.amounts.get("attempts", {}).get(variant, {})
    failed, tried = seen.by("failures", variant), seen.by("failed attempts", variant)
    for route, requests in seen.by("requests", variant).items():
        every = by_route.get(route)
        attempts = 0.0 if every is None else float(every[_between(seen, variant, every)].sum())
        whole = 0.0 if every is None else float(every.sum())
        if requests > 0:
            found.append(
                RouteAttempts(
                    route,
                    requests,
                    attempts,
                    whole,
                    1 - tried.get(route, 0.0) / max(whole, 1.0),
                    1 - failed.get(route, 0.0) / requests,
                )
            )
    return tuple(found)


def _between(seen: Counted, variant: str, attempts: FloatArray) -> BoolArray:
    """Buckets of which requests and attempts are known, and of the ones before and after too."""
    known = np.ones(len(attempts) + 2, dtype=np.bool_)
    known[[0, -1]] = False
    for counter in ("requests", "attempts"):
        of_variant = seen.known.get(counter, {})
        known[1:-1] &= of_variant.get(variant, True)
    return np.asarray(known[:-2] & known[1:-1] & known[2:])


def check_attempts(
    seen: Counted, once: Sequence[str], budget: float, *, done: str
) -> Iterator[StrategyFinding]:
    """Whether routes of `once` were tried twice, and others beyond a budget of their requests.

    done: what makes second attempts, as a verb: retried, hedged.
    """
    for candidate in seen.candidates:
        routes = route_attempts(seen, candidate)
        asked = sum(one.requests for one in routes)
        of_note = {*once, *frequent({one.route: one.requests for one in routes})}
        counted = [one for one in routes if one.route in of_note]
        unknown = [one for one in counted if one.whole < _LEAST_ATTEMPTS * one.requests]
        unseen = sorted({*once} - {one.route for one in routes})
        if asked < _LEAST_REQUESTS:
            yield StrategyFinding("attempts", Found.WAIT, f"{candidate} had too few requests yet")
        elif unknown or unseen:
            what = f"attempts on {unknown[0].route}" if unknown else f"requests of {unseen[0]}"
            yield StrategyFinding("attempts", Found.WAIT, f"{candidate}: no {what} are counted")
        else:
            yield _tried_once(candidate, routes, once, done)
            yield _within(candidate, routes, budget)


def _tried_once(
    candidate: str, routes: Sequence[RouteAttempts], once: Sequence[str], done: str
) -> StrategyFinding:
    for one in routes:
        if one.route in once and one.attempts > one.requests:
            detail = (
                f"{candidate} {done} {one.route}, which must be tried once only: "
                f"{one.attempts:.0f} attempts at least of {one.requests:.0f} requests"
            )
            return StrategyFinding("tried once", Found.HARM, detail)
    detail = f"{candidate} tried {', '.join(once) or 'no route that must be'} once"
    return StrategyFinding("tried once", Found.GOOD, detail)


def _within(candidate: str, routes: Sequence[RouteAttempts], budget: float) -> StrategyFinding:
    beyond = [
        one
        for one in routes
        if share_bounds(max(one.attempts - one.requests, 0.0), one.requests)[0] > budget
    ]
    worst = max(beyond or routes, key=lambda one: one.extra)
    said = f"{candidate} made {worst.said}; {budget:.0%} are allowed"
    return StrategyFinding("load", Found.HARM if beyond else Found.GOOD, said)
