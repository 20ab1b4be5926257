"""Is harm beyond the margin among the users who came lately? Then a metric doesn't pass.

A candidate that was healthy for long dilutes what it does since: three times as many complaints of
the last fifth of the users may be within the margin of all of them. So the last half, quarter and
eighth of the days are looked at apart, and compared with those before.
"""

from __future__ import annotations

import math

from analysis.evidence import LateUsers, UserEvidence
from analysis.fixed.comparison import Pair
from analysis.judge.user_harm import UserHarm, bound_harm
from analysis.plan import MetricPlan, Plan, Role

# Harm must be more than before by so many standard errors, as three parts are looked at, at every
# look. A goal has no margin that chance would have to cross, so harm itself must show.
_MORE_THAN_BEFORE, _BEYOND_NO_MARGIN = 3.0, 1.28


def why_late(plan: Plan, evidence: UserEvidence, metric: MetricPlan, candidate: str) -> str | None:
    """Why a metric that passes by the numbers of all users doesn't all the same, if so."""
    is_share = metric.name in evidence.proportions
    found: dict[float, LateUsers] = {}
    for part in evidence.late.get(metric.name, ()):
        late, before = (
            _harm(plan, metric, candidate, pairs[candidate], is_share=is_share)
            for pairs in (part.late, part.before)
        )
        beyond = _BEYOND_NO_MARGIN * float(late.standard_error)
        more = _more(late, before)
        # Unknown numbers are nan, and no harm.
        if late.value > (beyond if metric.role is Role.GOAL else 0) and more > _MORE_THAN_BEFORE:
            found[more] = part
    if not found:
        return None
    what = "there is harm" if metric.role is Role.GOAL else "harm is beyond the margin"
    return f"{what} {_said(plan, found[max(found)], candidate, is_share=is_share)}"


def _harm(
    plan: Plan, metric: MetricPlan, candidate: str, pair: Pair, *, is_share: bool
) -> UserHarm:
    planned = plan.planned_users(metric, candidate)
    return bound_harm(plan, metric, pair, is_share=is_share, n_opt=planned, at_end=False)


def _more(late: UserHarm, before: UserHarm) -> float:
    """By how many standard errors late harm is more than harm before."""
    spread = math.hypot(float(late.standard_error), float(before.standard_error))
    return (float(late.value) - float(before.value)) / spread if spread else 0.0


def _said(plan: Plan, part: LateUsers, candidate: str, *, is_share: bool) -> str:
    (base, own), (base_before, own_before) = part.late[candidate], part.before[candidate]
    values = [float(each.mean) for each in (own, base, own_before, base_before)]
    shown = [f"{100 * each:.2f} %" if is_share else f"{each:,.4g}" for each in values]
    return (
        f"among the users who came since {part.since}: {candidate} has {shown[0]}, {plan.baseline} "
        f"{shown[1]}; of those before {shown[2]} and {shown[3]}. Find what changed; approve the "
        "metric if it does no harm any more"
    )
