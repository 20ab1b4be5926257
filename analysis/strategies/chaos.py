"""Chaos: faults come as configured and only where they should, and the service bears them."""

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
    share_bounds,
)

_UNTOUCHED = 0.001
_LEAST_REQUESTS = 200
_OWN_FAILURES = 'response_code=~"5..",response_flags!~".*FI.*"'


@dataclass(frozen=True, slots=True)
class Chaos:
    """Traffic with injected faults against traffic without: injected shares, steady state."""

    kind: ClassVar[str] = "chaos"
    delayed: float = share(0.1, "The share of requests that is delayed.")
    aborted: float = share(0.05, "The share of requests that is aborted.")
    tolerance: float = share(0.3, "How far an injected share may be off, relatively.")
    recovery: float = duration(30.0, "Time after the last fault until failures must be gone.")
    failing: float = share(0.01, "Largest excess share of failed requests after that.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """The steady state: of requests without a fault, as many must succeed as fast."""
        return {
            "errors": {"kind": "error_share", "critical": True, "margin": 0.01},
            "slow": {"kind": "slow_share", "above": "1s", "quantile": 0.99},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests, both kinds of faults, and failures that nobody injected."""
        return {
            "requests": REQUESTS,
            "delayed": Counter(REQUESTS.of, flag="DI"),
            "aborted": Counter(REQUESTS.of, flag="FI"),
            "failures": Counter(REQUESTS.of, where=_OWN_FAILURES),
        }

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether faults are as configured, others untouched, and all is well after the last."""
        yield self._untouched(seen)
        for candidate in seen.candidates:
            if seen.total("requests", candidate) < _LEAST_REQUESTS:
                yield StrategyFinding("faults", Found.WAIT, f"{candidate} had too few requests yet")
                continue
            ended = self._ended(seen, candidate)
            yield from self._injected(seen, candidate, ended)
            yield from self._recovered(seen, candidate, ended)

    def _untouched(self, seen: Counted) -> StrategyFinding:
        of = seen.total("requests", seen.baseline)
        touched = max(seen.total(fault, seen.baseline) for fault in ("delayed", "aborted"))
        name, said = "untouched traffic", f"{touched:.0f} of {of:.0f} requests of {seen.baseline}"
        if share_bounds(touched, of)[0] > _UNTOUCHED:
            return StrategyFinding(
                name, Found.UNFIT, f"{said}, which should have none, had a fault"
            )
        return StrategyFinding(name, Found.GOOD, f"{said} had a fault")

    def _ended(self, seen: Counted, candidate: str) -> int:
        """The bucket after the last fault."""
        faults = seen.series("delayed", candidate), seen.series("aborted", candidate)
        last = [np.flatnonzero(one)[-1] for one in faults if one.any()]
        return int(max(last)) + 1 if last else 0

    def _injected(self, seen: Counted, candidate: str, ended: int) -> Iterator[StrategyFinding]:
        if not (self.delayed or self.aborted):
            detail = "no fault is configured, so nothing is tried: set `delayed` or `aborted`"
            yield StrategyFinding("faults", Found.UNFIT, detail)
            return
        of = float(seen.series("requests", candidate)[: ended or None].sum())
        for fault, wanted in (("delayed", self.delayed), ("aborted", self.aborted)):
            count, edge = seen.total(fault, candidate), self.tolerance * wanted
            low, high = share_bounds(count, of)
            said = f"{count / max(of, 1):.1%} of requests of {candidate} were {fault}"
            said += f", {wanted:.1%} are configured"
            if low > wanted + max(edge, _UNTOUCHED) or high < wanted - edge:
                yield StrategyFinding(f"{fault} share", Found.UNFIT, f"faults are off: {said}")
            elif high - low > 2 * max(edge, _UNTOUCHED):
                yield StrategyFinding(
                    f"{fault} share", Found.WAIT, f"not known well enough yet: {said}"
                )
            else:
                yield StrategyFinding(f"{fault} share", Found.GOOD, said)

    def _recovered(self, seen: Counted, candidate: str, ended: int) -> Iterator[StrategyFinding]:
        """Nothing as long as faults go on."""
        since = ended + int(np.ceil(self.recovery / seen.bucket_s))
        own, others = (
            (
                float(seen.series("failures", variant)[since:].sum()),
                float(seen.series("requests", variant)[since:].sum()),
            )
            for variant in (candidate, seen.baseline)
        )
        if own[1] < _LEAST_REQUESTS:
            return
        said = f"{own[0] / own[1]:.1%} of requests of {candidate} fail {self.recovery:g} s after"
        if share_bounds(*own)[0] - share_bounds(*others)[1] > self.failing:
            yield StrategyFinding("recovery", Found.HARM, f"no recovery: {said} the last fault")
        else:
            yield StrategyFinding("recovery", Found.GOOD, f"{said} the last fault")
