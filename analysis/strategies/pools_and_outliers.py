"""Connection pools and outlier detection: what overflows, what is ejected, and what is left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    number,
    share,
    share_bounds,
)

_EJECTIONS = "outlier_detection_ejections_enforced_total"
_LEAST_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class PoolsAndOutliers:
    """Requests that found the pool full (UO) or no healthy endpoint (UH), and ejections."""

    kind: ClassVar[str] = "pools-and-outliers"
    overflow: float = share(0.01, "The share of requests that may find the pool full (UO).")
    unhealthy: float = share(0.01, "The share that may find no healthy endpoint (UH).")
    ejections: float = number(6.0, "Largest excess of ejections per hour over the baseline's.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Errors of both versions."""
        return {"errors": {"kind": "error_share", "critical": True, "margin": 0.01}}

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests, both refusals, and the cluster's ejections.

        A proxy may export others of its cluster's statistics and none of these: that tells nothing.
        """
        return {
            "requests": REQUESTS,
            "overflow": Counter(REQUESTS.of, flag="UO"),
            "unhealthy": Counter(REQUESTS.of, flag="UH"),
            "ejections": Counter(_EJECTIONS, needed=True, of_candidates=True),
        }

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether each candidate's refusals and ejections are within their bounds."""
        for candidate in seen.candidates:
            requests = seen.total("requests", candidate)
            if requests < _LEAST_REQUESTS:
                yield StrategyFinding("pool", Found.WAIT, f"{candidate} had too few requests yet")
                continue
            for what, limit, says in (
                ("unhealthy", self.unhealthy, "found no healthy endpoint (UH)"),
                ("overflow", self.overflow, "found the pool full (UO)"),
            ):
                count = seen.total(what, candidate)
                said = f"{count / requests:.1%} of requests of {candidate} {says}, {limit:.1%} may"
                harmed = share_bounds(count, requests)[0] > limit
                yield StrategyFinding(what, Found.HARM if harmed else Found.GOOD, said)
            yield self._ejections(seen, candidate)

    def _ejections(self, seen: Counted, candidate: str) -> StrategyFinding:
        own, others = (seen.total("ejections", name) for name in (candidate, seen.baseline))
        hours = len(seen.series("requests", candidate)) * seen.bucket_s / 3600
        # One more is no rate: two ejections of a plan's first minute are 120 an hour.
        harmed = own - others > max(self.ejections * hours, 2.0)
        said = f"{own:.0f} ejections of endpoints of {candidate}, {others:.0f} of {seen.baseline}"
        return StrategyFinding("ejections", Found.HARM if harmed else Found.GOOD, said)
