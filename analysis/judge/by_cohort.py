"""Requests by cohort: each route rule's judged apart, and all of them together.

A route rule divides its requests by a split of its own, and its users are others than the next
rule's. Pooled, a version that gets more of the requests of one rule would differ by whose they are
(Simpson's paradox). So each cohort is judged by itself, and together they are compared within each
cohort (analysis.requests.stratified). Nothing is promoted unless all of that passes; what watches
for harm shares alpha.

Where a cohort has no baseline, the candidate's objectives are judged. Its requests are compared
with the baseline's of all cohorts too, but those are of other users: only a gross failure rolls
back, for less a person is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from analysis.evidence import CohortEvidence, Evidence, RequestEvidence
from analysis.judge.request_metrics import judge_requests
from analysis.judge.together import judge_together
from analysis.metric_result import Classification, MetricResult
from analysis.plan import Plan, RequestCohort, Role, Unit
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.stratified import stratified_counts

T = TypeVar("T")


def judge_cohorts(plan: Plan, evidence: Evidence, candidate: str) -> tuple[MetricResult, ...]:
    """Every metric of requests of all cohorts together, then of each."""
    theirs = [each for each in plan.cohorts if not each.is_without(candidate)]
    compared = [each for each in theirs if not each.is_without(plan.baseline)]
    sharing = replace(plan, comparisons=len(theirs) + 1)
    found: list[MetricResult] = []
    if len(compared) > 1:
        parts = [evidence.cohorts[each.name].requests for each in compared]
        found += judge_requests(
            _without_objectives(sharing), stratified(parts, plan.baseline, candidate), candidate
        )
    for cohort in theirs:
        found += _of_cohort(sharing, cohort, evidence.cohorts[cohort.name], candidate)
    return tuple(found)


def _of_cohort(
    plan: Plan, cohort: RequestCohort, evidence: CohortEvidence, candidate: str
) -> Iterator[MetricResult]:
    named = _named(f"@{cohort.name}")
    own = replace(
        plan,
        stages=cohort.split_of(plan.stages),
        metrics=tuple(replace(metric, name=named(metric.name)) for metric in plan.metrics),
    )
    if evidence.beside is not None:
        for result in judge_requests(own, _renamed(evidence.beside, named), candidate):
            yield _without_baseline(result)
        return
    seen = _renamed(evidence.requests, named)
    results = judge_requests(own, seen, candidate)
    yield from results
    yield from judge_together(own, seen, candidate, results)


def _without_baseline(result: MetricResult) -> MetricResult:
    """What the candidate shows by itself, and a question where it is worse than elsewhere."""
    objective = result.objective
    fails = result.gross or (objective is not None and objective.violated)
    if not result.role.decides or fails:
        return result
    if result.classification is Classification.FAIL:
        return replace(result, role=Role.SIGNAL)
    if objective is None:
        why = (
            f"{result.baseline_variant} has no traffic beside {result.candidate_variant} in this "
            "cohort: give it a share there, or set an objective"
        )
        return replace(result, classification=Classification.NO_DATA, unknown=why)
    return replace(result, classification=objective.state)


def _without_objectives(plan: Plan) -> Plan:
    """Effective shares are for comparing; what a version's own share is, each cohort says."""
    metrics = (
        replace(metric, objective=None) if metric.unit is Unit.REQUEST else metric
        for metric in plan.metrics
    )
    return replace(plan, metrics=tuple(metrics))


def stratified(parts: Sequence[RequestEvidence], baseline: str, candidate: str) -> RequestEvidence:
    """Requests of several cohorts, compared within each: effective counts of two versions.

    What a version shows by itself (pods, outages, kinds of response) stays with its cohort.
    """
    names = (baseline, candidate)
    counts = [(part.counts[baseline], part.counts[candidate]) for part in parts]
    maybe = [(_maybe(part, baseline), _maybe(part, candidate)) for part in parts]
    together = dict(zip(names, stratified_counts(counts), strict=True))
    unknown = dict(zip(names, stratified_counts(maybe), strict=True))
    edges = [part.edges_ms for part in parts]
    return RequestEvidence(
        stage=parts[0].stage,
        requests={name: np.sum([part.requests[name] for part in parts], axis=0) for name in names},
        metrics=parts[0].metrics,
        counts=together,
        unknown={name: found.bad for name, found in unknown.items() if found.bad.any()},
        choices=parts[0].choices,
        edges_ms={
            metric: edge
            for metric, edge in edges[0].items()
            if all(other.get(metric) == edge for other in edges)
        },
    )


def _maybe(part: RequestEvidence, name: str) -> BucketCounts:
    """A version's requests, and those that may be bad as bad ones."""
    total = part.counts[name].total
    return BucketCounts(total, part.unknown.get(name, np.zeros_like(total)))


def _named(suffix: str) -> Callable[[str], str]:
    return lambda name: f"{name}{suffix}"


def _renamed(evidence: RequestEvidence, named: Callable[[str], str]) -> RequestEvidence:
    """The same under the names of the cohort's metrics."""

    def keys(values: Mapping[str, T]) -> dict[str, T]:
        return {named(name): value for name, value in values.items()}

    return replace(
        evidence,
        metrics=tuple(map(named, evidence.metrics)),
        edges_ms=keys(evidence.edges_ms),
        pods=keys(evidence.pods),
        causes=keys(evidence.causes),
        choices=keys(evidence.choices),
    )
