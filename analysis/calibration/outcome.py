"""What a judge did in many runs: how often it was wrong, how often and how soon right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOLD, PROMOTE, ROLLBACK = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Decisions:
    """Each run's first decision, and when: both int64[runs].

    decision: HOLD (none up to the plan's end), PROMOTE or ROLLBACK; of users see user_replay.
    at_ms: milliseconds since the plan's start; for HOLD the last look.
    """

    decision: NDArray[np.int64]
    at_ms: NDArray[np.int64]

    @classmethod
    def joined(cls, parts: list[Decisions]) -> Decisions:
        """Those of several groups of runs, one after the other."""
        return cls(
            np.concatenate([part.decision for part in parts]),
            np.concatenate([part.at_ms for part in parts]),
        )


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of the runs and its Monte Carlo standard error."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, found: NDArray[np.bool_]) -> Rate:
        """The share of True.

        The error is that of a share to which two of each were added (Agresti, Coull 1998), so
        that none in 100 runs isn't taken for never.
        """
        n = found.size
        value = (float(found.sum()) + 2) / (n + 4)
        return cls(float(found.mean()), float(np.sqrt(value * (1 - value) / (n + 4))))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One judge in one scenario.

    rolled_back, promoted, held: shares of the runs; they sum to 1.
    median_ms, p90_ms: time until the rollback, over the runs that were rolled back; None without.
    """

    rolled_back: Rate
    promoted: Rate
    held: Rate
    median_ms: float | None
    p90_ms: float | None

    @classmethod
    def of(cls, decisions: Decisions) -> Outcome:
        """The summary of all runs."""
        rolled_back, promoted, held = (
            decisions.decision == decision for decision in (ROLLBACK, PROMOTE, HOLD)
        )
        found = decisions.at_ms[rolled_back]
        # Looks are discrete, so a quantile is a look at which so many runs were rolled back.
        median, p90 = (
            float(np.quantile(found, q, method="inverted_cdf")) if found.size else None
            for q in (0.5, 0.9)
        )
        return cls(Rate.of(rolled_back), Rate.of(promoted), Rate.of(held), median, p90)
