"""Are amounts of both variants in one unit? Euros beside cents are a hundredth, or a hundredfold.

A candidate whose amounts are that much smaller, or larger, looks better whatever its users do.
"""

from __future__ import annotations

import math

from analysis.evidence import UserEvidence
from analysis.judge.unread_outcomes import BEYOND_CHANCE, REMEDY
from analysis.plan import MetricPlan
from analysis.users.outcome_reach import OutcomeReach, PlaceCount

# Amounts ten times as small or large as the baseline's median, in quarters of a power of 2.
_FAR = 4 * math.log2(10)
# So many more of a candidate's amounts than of the baseline's may be that far.
_SHARE = 0.05


def why_other_unit(
    evidence: UserEvidence, metric: MetricPlan, variants: tuple[str, str]
) -> str | None:
    """Why a metric that passes by its numbers doesn't all the same, if so.

    variants: the baseline and the candidate.
    """
    for place, reach in enumerate(evidence.reach.get(metric.name, ())):
        # What is divided by flatters the other way round.
        why = _why(reach, variants, by_more=metric.higher_is_better == (place == 0))
        if why is not None:
            return why
    return None


def _why(reach: OutcomeReach, variants: tuple[str, str], *, by_more: bool) -> str | None:
    theirs, own = (reach.by_variant[v].sizes for v in variants)
    if not theirs or not own:
        return None
    median = _median(theirs)
    far, n = _far(own, median, by_more=by_more), sum(each.rows for each in own)
    far_of_baseline, m = _far(theirs, median, by_more=by_more), sum(each.rows for each in theirs)
    more = far / n - far_of_baseline / m
    pooled = (far + far_of_baseline) / (n + m)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    if more <= max(_SHARE, BEYOND_CHANCE * spread):
        return None
    how = "more than ten times" if by_more else "less than a tenth of"
    return (
        f"{far / n:.1%} of {variants[1]}'s amounts {reach.outcome!r} and "
        f"{far_of_baseline / m:.1%} of {variants[0]}'s are {how} {variants[0]}'s median of about "
        f"{2 ** ((median + 0.5) / 4):.3g}: are they in another unit? {REMEDY}"
    )


def _far(sizes: tuple[PlaceCount, ...], median: int, *, by_more: bool) -> int:
    """How many are so far from the median on the side that flatters."""
    sign = 1 if by_more else -1
    return sum(each.rows for each in sizes if sign * (each.place - median) > _FAR)


def _median(sizes: tuple[PlaceCount, ...]) -> int:
    half, seen = sum(each.rows for each in sizes) / 2, 0
    for place, rows in sorted(sizes):
        seen += rows
        if seen >= half:
            return place
    raise ValueError("the median of no amounts is not known")
