"""Request metrics: harm by paired buckets, gross failure by counts, objectives by one version."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy.special import ndtr

from analysis.arrays import FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.causes import causes_of
from analysis.judge.request_tests import RequestTests, first_judged
from analysis.judge.total_failure import is_outage
from analysis.judge.unknown import unknown_shares, with_unknown, worst_case
from analysis.judge.warming_pods import agreed, warming_metrics, without_warming
from analysis.metric_result import Classification, Estimate, MetricResult
from analysis.plan import MetricPlan, Plan, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.bucket_counts import BucketCounts


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
    results = _whatever_is_unknown(plan, metrics, evidence, candidate)
    warming = warming_metrics(evidence, (plan.baseline, candidate))
    again = [metric for metric in metrics if metric.name in warming]
    if again:
        rest = without_warming(evidence)
        settled = {one.metric: one for one in _whatever_is_unknown(plan, again, rest, candidate)}
        results = [agreed(one, settled.get(one.metric, one)) for one in results]
    return tuple(
        result
        for metric, result in zip(metrics, results, strict=True)
        if not (metric.is_default and result.classification is Classification.NO_DATA)
    )


def _whatever_is_unknown(
    plan: Plan, metrics: list[MetricPlan], evidence: RequestEvidence, candidate: str
) -> list[MetricResult]:
    """What holds of every metric whether requests of which nothing is known are bad or not."""
    results = _judge(plan, metrics, evidence, candidate)
    variants = (plan.baseline, candidate)
    shares = {metric.name: unknown_shares(evidence, metric.name, variants) for metric in metrics}
    doubtful = [replace(metric, objective=None) for metric in metrics if any(shares[metric.name])]
    if not doubtful:
        return results
    worst = {one.metric: one for one in _judge(plan, doubtful, worst_case(evidence), candidate)}
    return [
        with_unknown(one, worst[one.metric], shares[one.metric]) if one.metric in worst else one
        for one in results
    ]


def _judge(
    plan: Plan, metrics: list[MetricPlan], evidence: RequestEvidence, candidate: str
) -> list[MetricResult]:
    """Every metric, where only those requests are bad that surely are."""
    tests = RequestTests.of(plan, evidence, metrics, candidate)
    return [
        _result(plan, evidence, candidate, metric, tests, i, relative)
        for i, (metric, relative) in enumerate(zip(metrics, tests.relative(), strict=True))
    ]


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
    return MetricResult(
        metric=metric.name,
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=metric.unit,
        role=metric.role,
        classification=tests.classify(i),
        baseline=_share(float(tests.pairs.baseline[i]), baseline, gross=tests.gross[i]),
        candidate=_share(float(tests.pairs.candidate[i]), own, gross=tests.gross[i]),
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
        objective=tests.objectives[i],
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


def _share(judged: float, counts: BucketCounts, *, gross: bool) -> float:
    """A version's share; of all its requests where a gross failure is found in the warm-up."""
    requests = float(counts.total.sum())
    if math.isfinite(judged) or not gross or not requests:
        return judged
    return float(counts.bad.sum()) / requests


def probability_within(excess: Estimator, margin: FloatArray, row: int) -> float:
    """Probability that the harm is within the margin, from the estimate and a flat prior.

    By the error on the side of the margin, so that few bursts don't look like certain health.
    """
    value = excess.estimate[row] - margin[row]
    error = excess.upper_error[row] if value < 0 else excess.standard_error[row]
    return float(ndtr(-value / error))
