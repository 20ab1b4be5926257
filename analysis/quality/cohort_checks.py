"""Are the requests of route rules told apart?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import Evidence, RequestEvidence
from analysis.plan import Plan, RequestCohort
from analysis.quality.quality_check import QualityCheck

_NAMED = 3
# So much of a metric's margin may be harm that no cohort's comparison sees.
_PART_OF_MARGIN = 0.2
# A signal that counts what names no version, as if it were a candidate's: as much as it allows.
_UNATTRIBUTED = "unattributed"


def check_cohorts(
    plan: Plan, evidence: Evidence, requests: RequestEvidence, limit: float
) -> Iterator[QualityCheck]:
    """Whether nearly all requests of each variant are in some cohort: the others nobody judges."""
    outside = {}
    for name in (plan.baseline, *plan.candidates):
        total = float(requests.requests[name].sum())
        inside = sum(
            float(each.requests.requests[name].sum()) for each in evidence.cohorts.values()
        )
        outside[name] = (total - inside) / total if total else 0.0
    worst = max(outside, key=lambda name: (outside[name], name))
    detail = f"{outside[worst]:.2%} of {worst}'s requests are of no cohort"
    passed = outside[worst] <= limit
    if not passed:
        told = [cohort.told_by for cohort in plan.cohorts[:_NAMED]]
        detail += (
            f" (limit {limit:.2%}): their series have none of the labels {' or '.join(told)}. Have "
            "the mesh add the label on every route, and name all routes in `cohorts`"
        )
    yield QualityCheck("cohorts told apart", passed, detail)
    yield from _harm_outside(plan, evidence, requests)


def _harm_outside(
    plan: Plan, evidence: Evidence, requests: RequestEvidence
) -> Iterator[QualityCheck]:
    """Few requests may be of no cohort, but not those that fail: no comparison sees them."""
    allowed_parts = {one.name: _PART_OF_MARGIN for one in plan.metrics if one.role.decides}
    unattributed = {one.name for one in plan.metrics if one.outcome == _UNATTRIBUTED}
    allowed_parts |= dict.fromkeys(unattributed, 1.0)
    margins = {one.name: one.margin for one in plan.metrics if one.name in allowed_parts}
    counts = requests.counts[plan.baseline]
    shares = counts.bad.sum(axis=1) / np.maximum(counts.total.sum(axis=1), 1.0)
    bad = {
        name: _bad_outside(evidence, requests, name) for name in (plan.baseline, *plan.candidates)
    }
    for candidate in plan.candidates:
        excess = bad[candidate] - bad[plan.baseline]
        for place, metric in enumerate(requests.metrics):
            margin = margins.get(metric)
            if margin is None:
                continue
            allowed = margin.absolute + margin.relative * shares[place]
            if excess[place] > allowed_parts[metric] * allowed:
                beside = f"{bad[plan.baseline][place]:.2%} of {plan.baseline}'s"
                remedy = "Name all routes in `cohorts`"
                if metric in unattributed:
                    beside = "were all that name no version its own"
                    remedy = "Have the mesh add the cohorts' labels to failures too"
                detail = (
                    f"{metric}: {bad[candidate][place]:.2%} of {candidate}'s requests are bad and "
                    f"of no cohort, {beside}. {remedy}"
                )
                yield QualityCheck("harm in no cohort", passed=False, detail=detail)


def _bad_outside(evidence: Evidence, requests: RequestEvidence, name: str) -> FloatArray:
    """By metric, a version's bad requests of no cohort, as a share of all of its requests."""
    counts = requests.counts[name]
    outside: FloatArray = counts.bad.sum(axis=1)
    for each in evidence.cohorts.values():
        outside = outside - each.requests.counts[name].bad.sum(axis=1)
    share: FloatArray = np.maximum(outside, 0.0) / np.maximum(counts.total.sum(axis=1), 1.0)
    return share


def in_cohort(check: QualityCheck, cohort: RequestCohort) -> QualityCheck:
    """The same, said of one cohort: it spoils no other one."""
    return replace(
        check,
        name=f"{check.name} in {cohort.name}",
        detail=f"cohort {cohort.name}: {check.detail}",
        spoils=tuple(f"{variant}@{cohort.name}" for variant in check.spoils),
    )
