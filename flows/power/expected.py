"""What a person expects of an experiment that has no history, or another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from flows.formats.problems import UserError


class NoHistory(UserError):
    """There is nothing to plan with; the message says what is missing and how to give it."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Instead of the history: figures of the traffic, and by metric ("" for all others).

    shares, quantiles: names of the metrics per user that are.
    """

    requests_per_second: float | None = None
    overdispersion: float | None = None
    users_per_day: float | None = None
    bad_share: Mapping[str, float] = field(default_factory=dict)
    mean: Mapping[str, float] = field(default_factory=dict)
    sd: Mapping[str, float] = field(default_factory=dict)
    shares: frozenset[str] = frozenset()
    quantiles: frozenset[str] = frozenset()

    def check_names(self, requests: Collection[str], users: Collection[str]) -> None:
        """Raises NoHistory for an unknown metric."""
        for option, given, known in (
            ("--bad-share", self.bad_share, requests),
            ("--mean", self.mean, users),
            ("--sd", self.sd, users),
        ):
            for name in given:
                if name and name not in known:
                    names = ", ".join(known) or "none"
                    raise NoHistory(f"{option} {name}=...: no such metric; there are {names}")


def expected_of(given: Mapping[str, float], metric: str) -> float | None:
    """One of the figures by metric, if it is expected."""
    return given.get(metric, given.get(""))
