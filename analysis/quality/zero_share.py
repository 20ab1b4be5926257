"""Traffic of variants that are configured to have none.

Nothing is relative to a share of 0, so of these variants the share itself is tested: against the
largest that may be there though none is configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analysis.sequential.multinomial import one_sided_log_e, shares_with_concentration

if TYPE_CHECKING:
    from analysis.evidence import StageCounts

# Of the tolerance: 1 : 20 of requests (test traffic by a route of its own), 1 : 500 of users.
_OF_TOLERANCE = 0.2
_LEAST_ODDS = 0.001
# Of the beta mixture: small, as a split that was never applied gives shares far from nothing.
_CONCENTRATION = 2.0


@dataclass(frozen=True, slots=True)
class ZeroShareTraffic:
    """What was found of the variants configured at 0.

    log_e: of all of them together, against "each share is at most the largest that may be there".
    variant, stage, share: the one that speaks most against it, and its share of the traffic.
    odds_ratio, odds_interval: its odds over the largest that may be there, with bounds that hold at
        every look.
    """

    log_e: float
    variant: str
    stage: int
    share: float
    odds_ratio: float
    odds_interval: tuple[float, float]


def check_zero_share(
    stages: Sequence[StageCounts], *, tolerance: float, alpha: float
) -> ZeroShareTraffic | None:
    """Tests the settled counts of variants configured at 0; None where there are none.

    tolerance: as of the configured odds of other variants; a fifth of it is the odds that are still
    acceptable here, unless the stages say a larger share. alpha: the level of the bounds, for all
    of the variants and stages.
    The e-value is the mean over variants and stages, so it holds at every look as each one does.
    """
    rows = _rows(stages)
    if not rows:
        return None
    counts = np.array(list(rows.values()))
    least = min(max(tolerance * _OF_TOLERANCE, _LEAST_ODDS), 1.0)
    edges = np.array(
        [max(least / (1 + least), stages[stage].tests.get(name, 0.0)) for name, stage in rows]
    )
    log_e = one_sided_log_e(counts, edges, _CONCENTRATION)
    worst = int(log_e.argmax())
    edge, odds = float(edges[worst]), _odds(edges[worst])
    bounds = shares_with_concentration(
        counts[worst], [1 - edge, edge], alpha=alpha / len(rows), concentration=_CONCENTRATION
    )
    variant, stage = list(rows)[worst]
    rest, own = counts[worst]
    return ZeroShareTraffic(
        log_e=float(np.logaddexp.reduce(log_e) - np.log(len(rows))),
        variant=variant,
        stage=stage,
        share=float(own / (rest + own)),
        odds_ratio=_odds(own / (rest + own)) / odds,
        odds_interval=(_odds(bounds.lower[1]) / odds, _odds(bounds.upper[1]) / odds),
    )


def _rows(stages: Sequence[StageCounts]) -> dict[tuple[str, int], tuple[float, float]]:
    """Counts of all others, and its own, by variant configured at 0 and stage with traffic."""
    rows = {}
    for i, stage in enumerate(stages):
        counts = stage.counts if stage.settled is None else stage.settled
        total = sum(counts.values())
        if total > 0 and any(share > 0 for share in stage.shares.values()):
            for name, own in counts.items():
                if not stage.shares.get(name):
                    rows[name, i] = (total - own, own)
    return rows


def _odds(share: float) -> float:
    return float(share / (1 - share)) if share < 1 else float("inf")
