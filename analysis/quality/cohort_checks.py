"""Are the requests of route rules told apart?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from analysis.evidence import Evidence, RequestEvidence
from analysis.plan import Plan, RequestCohort
from analysis.quality.quality_check import QualityCheck

_NAMED = 3


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


def in_cohort(check: QualityCheck, cohort: RequestCohort) -> QualityCheck:
    """The same, said of one cohort: it spoils no other one."""
    return replace(
        check,
        name=f"{check.name} in {cohort.name}",
        detail=f"cohort {cohort.name}: {check.detail}",
        spoils=tuple(f"{variant}@{cohort.name}" for variant in check.spoils),
    )
