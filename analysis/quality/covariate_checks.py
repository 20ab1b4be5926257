"""Is what users did before their exposure alike? Where not, no metric can be adjusted by it.

What users of both variants did before can't be an effect. Where it differs, it was done after the
exposure, and the adjustment takes off what is to be seen; or users are not divided at random.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from analysis.evidence import UserEvidence
from analysis.fixed.comparison import Pair, compare_means
from analysis.plan import Plan
from analysis.quality.quality_check import QualityCheck

# How far covariates may differ, in standard deviations of a user's, and how unlikely a larger
# difference must be to alarm: at every look, and for every metric.
_TOLERANCE, _ALARM_P_VALUE = 0.02, 1e-6


def check_covariates(plan: Plan, users: UserEvidence) -> Iterator[QualityCheck]:
    """A check for every metric that is adjusted by what users did before."""
    for metric, covariates in users.covariates.items():
        for name, pairs in covariates.items():
            differing = [v for v in plan.candidates if v in pairs and _differs(pairs[v])]
            detail = f"{metric}: {name} the exposure is alike"
            if differing:
                theirs, own = (float(sample.mean) for sample in pairs[differing[0]])
                detail = (
                    f"{metric} is adjusted by {name} the exposure, of which {differing[0]}'s users "
                    f"have {own:.3g} and {plan.baseline}'s {theirs:.3g}: are clocks or time zones "
                    "off, exposures logged after what they lead to, or users not divided at "
                    "random? Correct the source, or leave out `adjust`"
                )
            yield QualityCheck(f"what {metric} is adjusted by", not differing, detail)


def _differs(pair: Pair) -> bool:
    """Whether two means differ by more than chance and tolerance (t-test)."""
    compared = compare_means(*pair)
    difference, spread = abs(float(compared.difference)), sum(float(s.variance) for s in pair) / 2
    if not difference > _TOLERANCE * math.sqrt(max(spread, 0.0)):
        return False
    return spread > 0 and float(compared.p_value) < _ALARM_P_VALUE
