"""Load balancing: how evenly two policies spread requests over the endpoints of their version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from analysis.strategies.attempts import ISTIO_ATTEMPTS
from analysis.strategies.declaration import (
    Counted,
    Counter,
    Found,
    StrategyFinding,
    number,
    selector,
    share_bounds,
    text,
)

_LEAST_REQUESTS = 200


@dataclass(frozen=True, slots=True)
class LoadBalancing:
    """Requests by endpoint: the largest share against the fair one, and how shares vary."""

    kind: ClassVar[str] = "load-balancing"
    largest: float = number(1.5, "So many times the fair share one endpoint may have.")
    variation: float = number(0.5, "Largest coefficient of variation of the endpoints' requests.")
    endpoints: float = number(1.0, "How many each variant has; by default as many as any shows.")
    label: str = text("pod", "The label of the endpoint.")
    arrivals: str = selector(ISTIO_ATTEMPTS, "The counter of requests at a variant's endpoints.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """What a policy is for: the tail, and errors beside it."""
        return {
            "errors": {"kind": "error_share", "critical": True},
            "tail": {"kind": "slow_share", "above": "1s", "quantile": 0.99},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests by endpoint."""
        return {"arrivals": Counter(self.arrivals, by=self.label, needed=True)}

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether no endpoint surely has too much, and shares vary within the bound."""
        # An endpoint that gets nothing has no series: it shows in the other variant's number alone.
        shown = (len(seen.by("arrivals", one)) for one in (seen.baseline, *seen.candidates))
        endpoints = max(int(self.endpoints), *shown)
        for candidate in seen.candidates:
            by_endpoint = seen.by("arrivals", candidate)
            counts = np.zeros(endpoints)
            counts[: len(by_endpoint)] = list(by_endpoint.values())
            if counts.sum() < _LEAST_REQUESTS or len(counts) < 2:
                detail = f"{candidate} had too few requests, or endpoints, to see how they spread"
                yield StrategyFinding("spread", Found.WAIT, detail)
                continue
            fair, most = 1 / len(counts), max(by_endpoint, key=lambda name: by_endpoint[name])
            low, _ = share_bounds(by_endpoint[most], float(counts.sum()))
            # Chance alone varies counts as well: by the root of one over their mean.
            variation = max(0.0, counts.var() / counts.mean() ** 2 - 1 / counts.mean()) ** 0.5
            said = (
                f"of {len(counts)} endpoints of {candidate}, {most} has "
                f"{by_endpoint[most] / counts.sum():.1%} of requests, {fair:.1%} would be fair "
                f"(coefficient of variation {variation:.2f})"
            )
            if low > self.largest * fair:
                yield StrategyFinding("spread", Found.HARM, f"an endpoint has too much: {said}")
            elif variation > self.variation:
                yield StrategyFinding("spread", Found.HARM, f"endpoints are uneven: {said}")
            else:
                yield StrategyFinding("spread", Found.GOOD, said)
