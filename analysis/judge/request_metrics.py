"""Request metrics: harm by paired buckets, gross failure by counts, objectives by one version."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.evidence import RequestEvidence
from analysis.judge.causes import causes_of
from analysis.judge.gross_failures import (
    gross_failures,
    gross_failures_alone,
    is_outage,
)
from analysis.judge.request_pods import bad_pods_of, with_pods
from analysis.judge.unknown import unknown_shares, with_unknown, worst_case
from analysis.metric_result import Classification, Estimate, MetricResult, Objective
from analysis.plan import MetricPlan, Plan, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.paired_buckets import (
    BucketCounts,
    PairedBuckets,
    estimate_share,
    pair_buckets,
)
from analysis.requests.pods import BadPod

FloatArray = NDArray[np.float64]


def judge_requests(
    plan: Plan, evidence: RequestEvidence | None, candidate: str
) -> tuple[MetricResult, ...]:
    """Every request metric of one candidate against the baseline.

    A metric's part of alpha is divided equally over the tests that can fail it: the difference,
    the gross failure and, where there is one, the objective (in plans that leave a candidate alone
    with the traffic also its gross violation). Where pods are known, the difference
    holds for whatever pods a version may have; harm by one grossly bad pod is harm all the same.
    """
    metrics = [metric for metric in plan.metrics if metric.unit is Unit.REQUEST]
    if not metrics:
        return ()
    if evidence is None:
        raise ValueError("the plan has request metrics, but no request evidence was given")
    results = _judge(plan, metrics, evidence, candidate)
    if evidence.unknown:
        arms = (plan.baseline, candidate)
        shares = [unknown_shares(evidence, metric.name, arms) for metric in metrics]
        worst = _judge(plan, metrics, worst_case(evidence), candidate)
        results = [with_unknown(*row) for row in zip(results, worst, shares, strict=True)]
    return tuple(
        result
        for metric, result in zip(metrics, results, strict=True)
        if not (metric.is_default and result.classification is Classification.NO_DATA)
    )


@dataclass(frozen=True, slots=True)
class _Tests:
    """What each metric's tests say: arrays and tuples in the metrics' order.

    absolute: the margin's absolute part, at least the approved harm. present: the excess of the
    pods that there are.
    """

    counts: tuple[BucketCounts, BucketCounts]
    pairs: PairedBuckets
    absolute: FloatArray
    approved: tuple[float | None, ...]
    excess: Estimator
    excesses: list[Estimate]
    present: list[Estimate]
    objectives: list[Objective | None]
    pods: list[tuple[BadPod, ...]]
    gross: NDArray[np.bool_]
    alone: NDArray[np.bool_]


def _judge(
    plan: Plan, metrics: list[MetricPlan], evidence: RequestEvidence, candidate: str
) -> list[MetricResult]:
    """Every metric, where only those requests are bad that surely are."""
    # A signal at one of several edges must hold whichever is chosen.
    choices = np.array([max(1, evidence.choices.get(metric.name, 1)) for metric in metrics])
    alpha = np.array([plan.request_alpha(metric) for metric in metrics]) / choices
    tests = _tests(plan, metrics, evidence, candidate, alpha)
    differences = _bounded(tests.pairs.contrast(), alpha, plan)
    relative = _relative(plan, metrics, tests.pairs, alpha)
    return [
        _result(plan, evidence, candidate, metric, tests, i, (differences[i], relative[i]))
        for i, metric in enumerate(metrics)
    ]


def _tests(
    plan: Plan,
    metrics: list[MetricPlan],
    evidence: RequestEvidence,
    candidate: str,
    alpha: FloatArray,
) -> _Tests:
    rows = [evidence.metrics.index(metric.name) for metric in metrics]
    baseline, arm = (
        BucketCounts(evidence.counts[name].total[rows], evidence.counts[name].bad[rows])
        for name in (plan.baseline, candidate)
    )
    approved = tuple(plan.approved.get((metric.name, candidate)) for metric in metrics)
    of_requests = pair_buckets(baseline, arm)
    pairs = with_pods(of_requests, evidence, metrics, (plan.baseline, candidate))
    absolute = np.maximum(
        [metric.allowed_harm.absolute for metric in metrics], [one or 0.0 for one in approved]
    )
    factor = 1 + np.array([metric.allowed_harm.relative for metric in metrics])
    excess = pairs.contrast(factor)
    shares = (
        _bounded(estimate_share(arm, pairs.overdispersion_candidate), alpha, plan),
        _bounded(estimate_share(baseline, pairs.overdispersion_baseline), alpha, plan),
    )
    gross = gross_failures(plan, baseline, arm, metrics, alpha, pairs.overdispersion_baseline)
    alone = gross_failures_alone(
        plan, evidence, arm, metrics, alpha, pairs.overdispersion_candidate
    )
    pods = [bad_pods_of(plan, evidence, candidate, pairs, alpha, row) for row in enumerate(metrics)]
    # Of the pods that there are: a grossly bad one hurts users, whatever others there might be.
    present = _bounded(of_requests.contrast(factor), alpha, plan, shift=absolute)
    gross_pod = [any(pod.gross and pod.variant == candidate for pod in found) for found in pods]
    gross |= alone | np.array(gross_pod) & np.array([bounds.lower > 0 for bounds in present])
    # A signal holds by what is proven beyond its margin; only an outage is more.
    gross &= np.array([metric.role.decides for metric in metrics])
    return _Tests(
        counts=(baseline, arm),
        pairs=pairs,
        absolute=absolute,
        approved=approved,
        excess=excess,
        excesses=_bounded(excess, alpha, plan, shift=absolute),
        present=present,
        objectives=[_objective(*row) for row in zip(metrics, *shares, strict=True)],
        pods=pods,
        gross=gross,
        alone=alone,
    )


def _relative(
    plan: Plan, metrics: list[MetricPlan], pairs: PairedBuckets, alpha: FloatArray
) -> list[Estimate]:
    low, high = pairs.relative_bounds(
        lower_alpha=alpha,
        upper_alpha=plan.promote_alpha,
        lower_n_opt=plan.harm_buckets,
        upper_n_opt=plan.promote_buckets,
        factor=1 + np.array([metric.allowed_harm.relative for metric in metrics]),
    )
    point = pairs.candidate / np.where(pairs.baseline > 0, pairs.baseline, np.nan) - 1
    return [Estimate(*map(float, row)) for row in zip(point, low, high, strict=True)]


def _result(
    plan: Plan,
    evidence: RequestEvidence,
    candidate: str,
    metric: MetricPlan,
    tests: _Tests,
    i: int,
    differences: tuple[Estimate, Estimate],
) -> MetricResult:
    """Of one metric, the i-th; differences: the absolute and the relative one."""
    baseline, arm = (BucketCounts(one.total[i : i + 1], one.bad[i : i + 1]) for one in tests.counts)
    share = float(tests.pairs.baseline[i])
    excess, gross = tests.excesses[i], bool(tests.gross[i])
    return MetricResult(
        metric=metric.name,
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=metric.unit,
        role=metric.role,
        classification=_classify(excess, tests.objectives[i], gross=gross),
        baseline=share,
        candidate=float(tests.pairs.candidate[i]),
        difference=differences[0],
        relative=differences[1],
        excess=excess,
        standard_error=float(tests.excess.standard_error[i]),
        margin=float(tests.absolute[i] + metric.allowed_harm.relative * np.nan_to_num(share)),
        probability_within_margin=_probability(tests.excess, tests.absolute, i),
        exposure_baseline=float(baseline.total.sum()),
        exposure_candidate=float(arm.total.sum()),
        weight=metric.weight,
        critical=metric.critical,
        group=metric.group,
        is_share=True,
        higher_is_better=False,
        gross=gross,
        alone=bool(tests.alone[i]),
        objective=tests.objectives[i],
        edge_ms=evidence.edges_ms.get(metric.name),
        bad_pods=tests.pods[i],
        pods_differ=_decides(tests.present[i]) and not _decides(excess),
        outcome=metric.outcome,
        causes=causes_of(
            baseline, arm, evidence.causes.get(metric.name, ()), (plan.baseline, candidate)
        ),
        outage=is_outage(plan, evidence, candidate, metric),
        approved=tests.approved[i],
    )


def _bounded(
    estimator: Estimator, alpha: FloatArray, plan: Plan, shift: FloatArray | float = 0.0
) -> list[Estimate]:
    """Estimates with a lower bound at the harm level and an upper bound at the promote level."""
    lower = estimator.lower(alpha=alpha, n_opt=plan.harm_buckets)
    upper = estimator.upper(alpha=plan.promote_alpha, n_opt=plan.promote_buckets)
    ends = (estimator.estimate - shift, lower - shift, upper - shift)
    return [Estimate(*map(float, row)) for row in zip(*ends, strict=True)]


def _objective(metric: MetricPlan, ours: Estimate, theirs: Estimate) -> Objective | None:
    """The metric's objective, judged with confidence on the candidate's share alone.

    A limit that the baseline exceeds with confidence too is not the candidate's doing.
    """
    if metric.objective is None:
        return None
    state = _side_of_zero(ours.lower - metric.objective, ours.upper - metric.objective)
    return Objective(metric.objective, ours, state, shared=theirs.lower > metric.objective)


def _side_of_zero(lower: float, upper: float) -> Classification:
    """Which side of zero an interval of harm lies on: below is a pass."""
    if np.isnan(lower) or np.isnan(upper):
        return Classification.NO_DATA
    if lower > 0:
        return Classification.FAIL
    return Classification.PASS if upper <= 0 else Classification.UNCERTAIN


def _decides(excess: Estimate) -> bool:
    return _side_of_zero(excess.lower, excess.upper) in {Classification.FAIL, Classification.PASS}


def _classify(excess: Estimate, objective: Objective | None, *, gross: bool) -> Classification:
    """The worst of what the metric's tests say."""
    against_baseline = _side_of_zero(excess.lower, excess.upper)
    if gross or against_baseline is Classification.FAIL or (objective and objective.violated):
        return Classification.FAIL
    if objective is None or against_baseline is Classification.NO_DATA:
        return against_baseline
    if objective.state is Classification.FAIL:  # of both versions
        return Classification.UNCERTAIN
    return against_baseline if objective.state is Classification.PASS else objective.state


def _probability(excess: Estimator, margin: FloatArray, row: int) -> float:
    """Probability that the harm is within the margin, from the estimate and a flat prior.

    By the error on the side of the margin, so that few bursts don't look like certain health.
    """
    value = excess.estimate[row] - margin[row]
    error = excess.upper_error[row] if value < 0 else excess.standard_error[row]
    return float(ndtr(-value / error))
