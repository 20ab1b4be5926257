"""Several experiments at once on the same traffic: are they independent, and do they interact?"""

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
    frequent,
    share,
    share_bounds,
    text,
)

_LEAST = 200
# So many users may be seen in both variants: what is in flight, devices that are shared.
_SWITCHING = 0.01


@dataclass(frozen=True, slots=True)
class SeveralExperiments:
    """Requests of each variant by the variant of another experiment that shares them."""

    kind: ClassVar[str] = "several-experiments"
    label: str = text("experiment_group", "The label of the other experiment's variant.")
    overlap: float = share(0.05, "How far the other's shares may differ between the variants.")
    interaction: float = share(0.02, "How far the harm may differ between the other's variants.")
    user: str = text("", "The label of the user, where the metrics have one.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Errors and time, whatever the other experiment does."""
        return {
            "errors": {"kind": "error_share", "critical": True},
            "slow": {"kind": "slow_share", "above": "1s", "quantile": 0.99},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests and failures by the other experiment's variant, and requests by user."""
        found = {
            "requests": Counter(REQUESTS.of, by=self.label, needed=True),
            "failures": Counter(REQUESTS.of, where='response_code=~"5.."', by=self.label),
        }
        by_user = Counter(REQUESTS.of, by=self.user, needed=True)
        return {**found, "users": by_user} if self.user else found

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether the other's variants are shared alike, and harm is alike within each of them."""
        for candidate in seen.candidates:
            own, others = seen.by("requests", candidate), seen.by("requests", seen.baseline)
            both = frequent(own, others)
            said = f"{candidate} has too few requests in each {self.label} yet"
            too_few = StrategyFinding("overlap", Found.WAIT, said)
            if len(both) < 2 or min(sum(own.values()), sum(others.values())) < _LEAST:
                yield too_few
                continue
            for arm in both:
                yield self._overlap(arm, candidate, own, others)
            enough = min(one.get(arm, 0.0) for one in (own, others) for arm in both) >= _LEAST
            yield self._interaction(seen, candidate, both) if enough else too_few
            if self.user:
                users = (seen.by("users", one) for one in (candidate, seen.baseline))
                yield self._stickiness(candidate, *users)

    def _overlap(
        self, arm: str, candidate: str, own: Mapping[str, float], others: Mapping[str, float]
    ) -> StrategyFinding:
        (low, high), (other_low, other_high) = (
            share_bounds(one.get(arm, 0.0), sum(one.values())) for one in (own, others)
        )
        shares = [one.get(arm, 0.0) / sum(one.values()) for one in (own, others)]
        said = f"{self.label} {arm} has {shares[0]:.1%} of {candidate}'s requests"
        said += f", {shares[1]:.1%} of the baseline's"
        if max(low - other_high, other_low - high) <= self.overlap:
            return StrategyFinding(f"overlap {arm}", Found.GOOD, said)
        said = f"the experiments depend on each other: {said}"
        return StrategyFinding(f"overlap {arm}", Found.UNFIT, said)

    def _stickiness(
        self, candidate: str, own: Mapping[str, float], others: Mapping[str, float]
    ) -> StrategyFinding:
        """Whether users stay with one variant; requests can be compared all the same."""
        users = {*own, *others} - {""}
        in_both = [one for one in users if own.get(one, 0.0) > 0 and others.get(one, 0.0) > 0]
        said = f"{len(in_both)} of {len(users)} users had requests of {candidate} and the baseline"
        if share_bounds(len(in_both), len(users))[0] > _SWITCHING:
            said += ": the weights are not sticky per user, so nothing can be said of users"
            return StrategyFinding("sticky weights", Found.NOTE, said)
        return StrategyFinding("sticky weights", Found.GOOD, said)

    def _interaction(self, seen: Counted, candidate: str, arms: list[str]) -> StrategyFinding:
        """The candidate's excess of failures within each of the other's variants, with bounds."""
        excess = {}
        for arm in arms:
            (low, high), (other_low, other_high) = (
                share_bounds(seen.by("failures", v).get(arm, 0.0), seen.by("requests", v)[arm])
                for v in (candidate, seen.baseline)
            )
            excess[arm] = (low - other_high, high - other_low)
        worst = max(arms, key=lambda arm: excess[arm][0])
        best = min(arms, key=lambda arm: excess[arm][1])
        if excess[worst][0] - excess[best][1] > self.interaction:
            said = (
                f"the experiments interact: failures of {candidate} less the baseline's are at "
                f"least {100 * excess[worst][0]:+.1f} points with {self.label} {worst}, at most "
                f"{100 * excess[best][1]:+.1f} points with {best}"
            )
            return StrategyFinding("interaction", Found.WAIT, said)
        said = f"harm of {candidate} is alike within each {self.label}"
        return StrategyFinding("interaction", Found.GOOD, said)
