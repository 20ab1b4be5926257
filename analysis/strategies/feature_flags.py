"""Feature flags: is the flag on for the configured share of those it is for, and for no others?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from analysis.strategies.declaration import (
    REQUESTS,
    Counted,
    Counter,
    Found,
    StrategyFinding,
    frequent,
    names,
    share,
    share_bounds,
    text,
)

_LEAST_REQUESTS = 200
_STRAYS = 0.005


@dataclass(frozen=True, slots=True)
class FeatureFlags:
    """An audit of the assignment: requests with the flag, group by group (country, tier)."""

    kind: ClassVar[str] = "feature-flags"
    enabled: float = share(0.5, "The share of a group's requests that the flag is on for.")
    off_by: float = share(0.1, "How far that share may be off, relatively.")
    label: str = text("country", "The label of the group.")
    groups: tuple[str, ...] = names((), "The groups that the flag is for; without any, all.")

    @property
    def metrics(self) -> Mapping[str, Mapping[str, Any]]:
        """Errors and time with the flag and without."""
        return {
            "errors": {"kind": "error_share", "critical": True},
            "slow": {"kind": "slow_share", "above": "1s", "quantile": 0.99},
        }

    @property
    def counters(self) -> Mapping[str, Counter]:
        """Requests of each variant by group."""
        return {"requests": Counter(REQUESTS.of, by=self.label, needed=True)}

    def check(self, seen: Counted) -> Iterator[StrategyFinding]:
        """Whether the flag is on as often as configured in its groups, and off in others."""
        for candidate in seen.candidates:
            with_flag, without = (seen.by("requests", name) for name in (candidate, seen.baseline))
            of = {
                group: with_flag.get(group, 0.0) + without.get(group, 0.0)
                for group in sorted({*with_flag, *without, *self.groups})
            }
            # Of a few requests each, perhaps of one user, nothing can be said but together.
            few = [] if self.groups else sorted({*of} - {*frequent(of)})
            for group in [one for one in of if one not in few]:
                yield self._audit(group, with_flag.get(group, 0.0), of[group])
            if few:
                own = sum(with_flag.get(group, 0.0) for group in few)
                yield self._together(few, own, sum(of[group] for group in few))

    def _together(self, groups: Sequence[str], own: float, of: float) -> StrategyFinding:
        found = self._audit(f"{groups[0]} and {len(groups) - 1} more rare ones", own, of)
        return found if found.found is not Found.WAIT else replace(found, found=Found.GOOD)

    def _audit(self, group: str, own: float, of: float) -> StrategyFinding:
        name, (low, high) = f"flag in {group or 'no group'}", share_bounds(own, of)
        said = f"the flag is on for {own / max(of, 1):.1%} of requests of {self.label} {group}"
        if self.groups and group not in self.groups:
            if low > _STRAYS:
                return StrategyFinding(
                    name, Found.UNFIT, f"{said}, it is for {', '.join(self.groups)}"
                )
            return StrategyFinding(name, Found.GOOD, f"{said}, it is not for")
        edge = self.off_by * self.enabled
        said += f", {self.enabled:.1%} is configured"
        if low > self.enabled + edge or high < self.enabled - edge:
            return StrategyFinding(name, Found.UNFIT, f"the assignment is off: {said}")
        if of < _LEAST_REQUESTS:
            return StrategyFinding(name, Found.WAIT, f"not known well enough yet: {said}")
        return StrategyFinding(name, Found.GOOD, said)
