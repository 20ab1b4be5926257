"""Request metrics: harm by paired buckets, gross failure by counts, objectives by one version."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scipy.special import ndtr

from analysis.arrays import FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.causes import causes_of
from analysis.judge.over_gaps import with_gaps
from analysis.judge.request_tests import RequestTests, first_judged
from analysis.judge.total_failure import is_outage
from analysis.judge.unknown import unknown_shares, with_unknown, worst_case
from analysis.judge.warming_pods import agreed, warming_metrics, without_warming
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import MetricPlan, Plan, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.bucket_counts import BucketCounts, stacked


def judge_requests(
    plan: Plan, evidence: RequestEvidence | None, candidate: str, *, unit: Unit = Unit.REQUEST
) -> tuple[MetricResult, ...]:
    """Every metric of requests, or of other events that are bad or not, against the baseline.

    A metric's part of alpha is divided equally over the tests that can fail it: the difference,
    the gross failure and, where there is one, the objective (in plans that leave a candidate alone
    with the traffic also its gross violation). Where pods are known, the difference
    holds for whatever pods a version may have; harm by one grossly bad pod is harm all the same.
    """
    metrics = [metric for metric in plan.metrics if metric.unit is unit]
    if not metrics:
        return ()
    if evidence is None:
        raise ValueError("the plan has request metrics, but no request evidence was given")
    warming = warming_metrics(evidence, (plan.baseline, candidate))
    again = [metric for metric in metrics if metric.name in warming]
    cases = [_Case(metrics, evidence)]
    if again:
        cases.append(_Case(again, without_warming(evidence)))
    results, *rest = _whatever_is_unknown(plan, cases, candidate)
    settled = {one.metric: one for found in rest for one in found}
    results = [
        with_gaps(plan, evidence, metric, agreed(one, settled.get(one.metric, one)))
        for metric, one in zip(metrics, results, strict=True)
    ]
    return tuple(
        result
        for metric, result in zip(metrics, results, strict=True)
        if not (metric.is_default and result.classification is Classification.NO_DATA)
    )


@dataclass(frozen=True, slots=True)
class _Case:
    """Metrics that are judged by the counts of one evidence."""

    metrics: list[MetricPlan]
    evidence: RequestEvidence

    def counts(self, variant: str) -> BucketCounts:
        return self.evidence.counts_of(variant, [metric.name for metric in self.metrics])


def _whatever_is_unknown(
    plan: Plan, cases: list[_Case], candidate: str
) -> list[list[MetricResult]]:
    """Of each case what holds whether requests of which nothing is known are bad or not."""
    variants = (plan.baseline, candidate)
    shares = [
        {m.name: unknown_shares(case.evidence, m.name, variants) for m in case.metrics}
        for case in cases
    ]
    worst = [
        _Case([replace(m, objective=None) for m in case.metrics if any(of[m.name])], case.evidence)
        for case, of in zip(cases, shares, strict=True)
    ]
    worst = [_Case(one.metrics, worst_case(one.evidence)) if one.metrics else one for one in worst]
    found = _judge(plan, [*cases, *worst], candidate)
    at_worst = [{one.metric: one for one in results} for results in found[len(cases) :]]
    return [
        [
            with_unknown(one, doubted[one.metric], of[one.metric]) if one.metric in doubted else one
            for one in results
        ]
        for results, doubted, of in zip(found[: len(cases)], at_worst, shares, strict=True)
    ]


def _judge(plan: Plan, cases: list[_Case], candidate: str) -> list[list[MetricResult]]:
    """Every metric of each case, where only those requests are bad that surely are.

    All at once, as a test of many rows costs little more than that of one. The cases differ in
    their counts alone.
    """
    metrics = [metric for case in cases for metric in case.metrics]
    evidence = cases[0].evidence
    baseline, own = (
        stacked([case.counts(variant) for case in cases]) for variant in (plan.baseline, candidate)
    )
    tests = RequestTests.of(plan, evidence, metrics, candidate, (baseline, own))
    results = iter(
        [
            _result(plan, evidence, candidate, metric, tests, i, relative)
            for i, (metric, relative) in enumerate(zip(metrics, tests.relative(), strict=True))
        ]
    )
    return [[next(results) for _ in case.metrics] for case in cases]


def _result(
    plan: Plan,
    evidence: RequestEvidence,
    candidate: str,
    metric: MetricPlan,
    tests: RequestTests,
    i: int,
    relative: Estimate,
) -> MetricResult:
    """Of one metric, the i-th."""
    baseline, own = (BucketCounts(one.total[i : i + 1], one.bad[i : i + 1]) for one in tests.counts)
    objective = tests.objectives[i]
    found_alone = bool(tests.gross[i]) or (objective is not None and objective.violated)
    return MetricResult(
        metric=metric.name,
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=metric.unit,
        role=metric.role,
        classification=tests.classify(i),
        baseline=_share(float(tests.pairs.baseline[i]), baseline, of_all=found_alone),
        candidate=_share(float(tests.pairs.candidate[i]), own, of_all=found_alone),
        difference=tests.differences[i],
        relative=relative,
        excess=tests.excesses[i],
        standard_error=float(tests.excess.standard_error[i]),
        margin=tests.margin(i),
        probability_within_margin=probability_within(tests.excess, tests.absolute, i),
        exposure_baseline=float(baseline.total.sum()),
        exposure_candidate=float(own.total.sum()),
        weight=metric.weight,
        critical=metric.critical,
        group=metric.group,
        is_share=True,
        higher_is_better=False,
        gross=bool(tests.gross[i]),
        alone=bool(tests.alone[i]),
        objective=objective,
        edge_ms=evidence.edges_ms.get(metric.name),
        bad_pods=tests.pods[i],
        pods_differ=tests.pods_differ(i),
        persists=tests.persists(i),
        since=tests.started[i].since,
        log_e=log_e if math.isfinite(log_e := tests.started[i].log_e) else None,
        recent=tests.recent[i],
        outcome=metric.outcome,
        counted=metric.counted,
        causes=causes_of(
            baseline,
            own,
            evidence.causes.get(metric.name, ()),
            (plan.baseline, candidate),
            first=first_judged(plan, baseline.total.shape[1]) or 0,
        ),
        outage=is_outage(plan, evidence, candidate, metric),
        approved=plan.approved.get((metric.name, candidate)),
        # What a person has approved is absolute.
        margin_relative=0.0 if tests.absolute[i] else float(tests.relative_margin[i]),
    )


def _share(judged: float, counts: BucketCounts, *, of_all: bool) -> float:
    """A version's share; of_all: of all its requests where none are compared.

    As where a gross failure is found in the warm-up, or an objective is missed without a baseline.
    """
    requests = float(counts.total.sum())
    if math.isfinite(judged) or not of_all or not requests:
        return judged
    return float(counts.bad.sum()) / requests


def probability_within(excess: Estimator, margin: FloatArray, row: int) -> float:
    """Probability that the harm is within the margin, from the estimate and a flat prior.

    By the error on the side of the margin, so that few bursts don't look like certain health.
    """
    value = excess.estimate[row] - margin[row]
    error = excess.upper_error[row] if value < 0 else excess.standard_error[row]
    return float(ndtr(-value / error))
