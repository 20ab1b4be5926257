"""Do outcomes have the times at which they happened? Where not, some count for nobody.

Times that are cut to whole seconds, or that are of another time zone, bring outcomes before the
exposure that led to them. Where both variants lose as many, whatever harm there is is diluted.
"""

from __future__ import annotations

import math
from collections import Counter

from analysis.evidence import UserEvidence
from analysis.judge.unread_outcomes import REMEDY
from analysis.plan import MetricPlan
from analysis.users.outcome_reach import OutcomeReach

_UNITS = {1: "second", 60: "minute", 3600: "hour"}
# So many outcomes at most may be lost, of those that count and these; so many rows are some.
_CUT_SHARE, _SHIFTED_SHARE, _SOME_ROWS = 0.01, 0.05, 5
# Outcomes that begin at once, at so many hours before the exposure at most, are of another zone.
_ZONE_HOURS, _QUARTERS = 14.0, 4
# How much more than before, how much less than after that, and how surely.
_BEGINS, _STILL_RISES, _BEYOND_CHANCE = 3.0, 1.5, 5.0


def why_mistimed(evidence: UserEvidence, metric: MetricPlan) -> str | None:
    """Why a metric that passes by its numbers doesn't all the same, if so."""
    for reach in evidence.reach.get(metric.name, ()):
        why = _why_cut(reach) or _why_shifted(reach)
        if why is not None:
            return why
    return None


def _why_cut(reach: OutcomeReach) -> str | None:
    """What says that times lack what is below a second, a minute or an hour."""
    counted = sum(each.sampled * each.each for each in reach.by_variant.values())
    for kind, whose, remedy in (
        (
            "cut",
            "at whole {}s",
            "Give outcomes their full time, cut exposures to whole {}s as well",
        ),
        ("rounded", "at a whole {}, and hardly any before", "Give exposures their full time"),
    ):
        lost: Counter[int] = Counter()
        for variant in reach.by_variant.values():
            for unit, rows in getattr(variant, kind):
                lost[unit] += rows * variant.each
        unit, rows = max(lost.items(), key=lambda each: each[1], default=(1, 0))
        if rows < _SOME_ROWS or rows <= _CUT_SHARE * (rows + counted):
            continue
        name = _UNITS[unit]
        return (
            f"{rows:,} outcomes {reach.outcome!r} beside {counted:,} that count lie less than a "
            f"{name} before their user's exposure, {whose.format(name)}: it isn't known which came "
            f"first. {remedy.format(name)}, or approve the metric"
        )
    return None


def _why_shifted(reach: OutcomeReach) -> str | None:
    """What says that outcomes begin at once hours before the exposure, where none begin."""
    quarters: Counter[int] = Counter()
    for variant in reach.by_variant.values():
        for place, rows in variant.around:
            quarters[place] += rows * variant.each
    counted = sum(each.sampled * each.each for each in reach.by_variant.values())
    found = [_begin(quarters, width) for width in (1, _QUARTERS)]
    begin = next((each for each in found if each is not None), None)
    if begin is None:
        return None
    rows = sum(quarters[place] for place in range(begin, 0))
    if rows <= _SHIFTED_SHARE * (rows + counted):
        return None
    return (
        f"outcomes {reach.outcome!r} begin {-begin / _QUARTERS:g} hours before their user's "
        f"exposure and not with it, so {rows:,} beside {counted:,} that count come before it: are "
        f"their times, or the exposures', of another time zone? {REMEDY}"
    )


def _begin(quarters: Counter[int], width: int) -> int | None:
    """When outcomes begin before the exposure, in quarters of an hour; None if they don't.

    width: quarters that are looked at as one. What rises towards the exposure rises on and on.
    """

    def rows(begin: int) -> int:
        return sum(quarters[begin + n] for n in range(width))

    def rises(begin: int) -> bool:
        before, since = rows(begin - width), rows(begin)
        return since - before > _BEYOND_CHANCE * math.sqrt(since + before)

    if rises(0):
        return None
    for begin in range(-int(_ZONE_HOURS * _QUARTERS), -_QUARTERS + 1, width):
        is_sharp = rows(begin) >= _BEGINS * rows(begin - width)
        is_sharp = is_sharp and _STILL_RISES * width * quarters[begin] >= rows(begin)
        most = max(rows(later) for later in range(begin, 0, width))
        if rises(begin) and is_sharp and most <= _STILL_RISES * rows(begin):
            return begin
    return None
