"""Is an outcome still seen of both variants' users? Where it isn't, its metric doesn't pass.

Where the source of an outcome has stopped, those who came since dilute whatever harm there is.
Where it has stopped for one variant only, the candidate may look better than it is for it. What
really stops with one variant's users is a change that a person has to know of as well.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate

from analysis.evidence import UserEvidence
from analysis.judge.unread_outcomes import BEYOND_CHANCE, HARDLY_ANY, REMEDY, SURELY_MISSING
from analysis.plan import MetricPlan
from analysis.users.outcome_reach import OutcomeReach, VariantReach

# So many of the users may have come since then, though so many more who do it were expected.
_FEW_USERS, _SURELY_SOME = 0.1, 50.0
# So many have to be expected on one day, that hardly any is no chance of many days.
_SOME_ON_A_DAY = 10.0


def why_stopped(
    evidence: UserEvidence, metric: MetricPlan, variants: tuple[str, str]
) -> str | None:
    """Why a metric that passes by its numbers doesn't all the same, if so."""
    of_users = evidence.reach.get(metric.name, ())
    for reach in of_users or evidence.counted.get(metric.name, ()):
        why = _why_none(reach, variants)
        for variant, other in (variants, variants[::-1]):
            why = why or _why_hardly_any(reach, variant, other)
            why = why or _why_on_days(reach, variant, other)
        if why is not None:
            return f"{why}: has its source stopped? {REMEDY}"
    return None


def _why_none(reach: OutcomeReach, variants: tuple[str, str]) -> str | None:
    """What says that users who came after the last of an outcome should have had some."""
    found = {v: reach.by_variant[v] for v in variants if _have_come_since(reach.by_variant[v])}
    expected = sum(_expected_since(each) for each in found.values())
    if expected <= _SURELY_SOME:
        return None
    last_ms = max(each.last_ms or 0 for each in found.values())
    later = sum(each.users_later for each in found.values())
    users = sum(each.users for each in found.values())
    whose = "" if len(found) > 1 else f" of {next(iter(found))}'s users"
    return (
        f"there is no outcome {reach.outcome!r}{whose} after "
        f"{datetime.fromtimestamp(last_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC, where {expected:,.0f} "
        f"were expected of the {later:,} of {users:,} users who came later"
    )


def _have_come_since(reach: VariantReach) -> bool:
    return reach.last_ms is not None and reach.users_later > _FEW_USERS * reach.users


def _expected_since(reach: VariantReach) -> float:
    """How many users would have done it, if as many did as of those who came before."""
    before = reach.users - reach.users_later
    return reach.users_later * reach.did * reach.each / max(before, 1)


def _why_hardly_any(reach: OutcomeReach, variant: str, other: str) -> str | None:
    """What says that since some day a variant's users have hardly any, and the other's go on."""
    mine, others = (_Course.of(reach.by_variant[v]) for v in (variant, other))
    each = reach.by_variant[variant].each
    for day in mine.days[1:]:
        (users, before), (later, seen) = mine.around(day)
        (users_o, before_o), (later_o, seen_o) = others.around(day)
        if later <= _FEW_USERS * mine.users[-1] or not all((before, before_o, later_o)):
            continue
        # The others' change is no stop of mine, and theirs may be a rise.
        change = min(1.0, (seen_o / later_o) / (before_o / users_o))
        expected = later * (before / users) * change
        is_missing = expected - seen > SURELY_MISSING and seen <= HARDLY_ANY * expected
        odds = (later / users) / (later_o / users_o)
        if is_missing and z_score((before, seen), (before_o, seen_o), odds) > BEYOND_CHANCE:
            return (
                f"of {variant}'s {later:,} users who came since {day}, {seen * each:,} have "
                f"outcomes {reach.outcome!r}, where {expected * each:,.0f} were expected by those "
                f"who came before and by {other}'s"
            )
    return None


def _why_on_days(reach: OutcomeReach, variant: str, other: str) -> str | None:
    """What says that on some days a variant's users have hardly any, and the other's have them."""
    mine, others = reach.by_variant[variant], reach.by_variant[other]
    rates = [
        sum(d.did for d in v.days) / max(sum(d.users for d in v.days), 1) for v in (mine, others)
    ]
    # A variant that has fewer on all days lacks none on any.
    change = min(1.0, rates[0] / rates[1]) if rates[1] else 0.0
    beside = {day.day: day for day in others.days if day.users}
    found = []
    for day in mine.days:
        same = beside.get(day.day)
        expected = change * day.users * same.did / same.users if same else 0.0
        if same and expected >= _SOME_ON_A_DAY and day.did <= HARDLY_ANY * expected:
            found.append((expected, day, same))
    expected = sum(each for each, *_ in found)
    seen, seen_o = sum(day.did for _, day, _ in found), sum(same.did for *_, same in found)
    spread = math.sqrt(expected * (1 + expected / max(seen_o, 1)))
    came = sum(day.users for _, day, _ in found)
    is_missing = expected - seen > max(SURELY_MISSING, BEYOND_CHANCE * spread)
    if not is_missing or came <= _FEW_USERS * sum(day.users for day in mine.days):
        return None
    return (
        f"of {variant}'s {came:,} users who came on {len(found)} of {len(mine.days)} days, such as "
        f"{max(found)[1].day}, {seen * mine.each:,} have outcomes {reach.outcome!r}, where "
        f"{expected * mine.each:,.0f} were expected by {other}'s"
    )


def z_score(mine: tuple[float, float], others: tuple[float, float], odds: float) -> float:
    """By how many standard deviations the later of my counts are fewer than the others' say.

    Counts are of before and of later; odds: what is expected of mine over what is of the others'.
    Given the sums of the counts, mine follow Fisher's noncentral hypergeometric distribution, here
    by its mean and variance for large counts (Cornfield 1956; McCullagh and Nelder 1989, 7.3.2).
    """
    (_, seen), total, later = mine, sum(mine), mine[1] + others[1]
    room = total + later
    rest = sum(others) - later
    # mean (rest + mean) = odds (total - mean) (later - mean)
    if math.isclose(odds, 1):
        mean = total * later / (total + sum(others))
    else:
        half = (rest + odds * room) / (2 * (odds - 1))
        root = math.sqrt(half * half - odds * total * later / (odds - 1))
        mean = half - math.copysign(root, half)
    cells = mean, total - mean, later - mean, rest + mean
    return (mean - seen) * math.sqrt(sum(1 / cell for cell in cells)) if min(cells) > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Course:
    """Users of a variant who came before each day and how many of them did it; the last is all."""

    days: Sequence[str]
    users: Sequence[int]
    did: Sequence[int]

    @classmethod
    def of(cls, reach: VariantReach) -> _Course:
        return cls(
            [day.day for day in reach.days],
            [*accumulate((day.users for day in reach.days), initial=0)],
            [*accumulate((day.did for day in reach.days), initial=0)],
        )

    def around(self, day: str) -> tuple[tuple[int, int], tuple[int, int]]:
        """Users and those who did it: before a day, and since."""
        at = bisect_left(self.days, day)
        before = self.users[at], self.did[at]
        return before, (self.users[-1] - before[0], self.did[-1] - before[1])
