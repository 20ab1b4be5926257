"""Request metrics: harm by paired buckets, gross failure by counts, objectives by one version."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from analysis.evidence import RequestEvidence
from analysis.judge.causes import causes_of
from analysis.judge.gross_failures import (
    gross_failures,
    gross_failures_alone,
    gross_gap,
    is_outage,
)
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
from analysis.requests.pods import BadPod, bad_pods, between_pods, stack_between

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


def _judge(
    plan: Plan, metrics: list[MetricPlan], evidence: RequestEvidence, candidate: str
) -> list[MetricResult]:
    """Every metric, where only those requests are bad that surely are."""
    rows = [evidence.metrics.index(metric.name) for metric in metrics]
    baseline, arm = (
        BucketCounts(evidence.counts[name].total[rows], evidence.counts[name].bad[rows])
        for name in (plan.baseline, candidate)
    )
    # A signal at one of several edges must hold whichever is chosen.
    choices = np.array([max(1, evidence.choices.get(metric.name, 1)) for metric in metrics])
    alpha = np.array([plan.request_alpha(metric) for metric in metrics]) / choices
    approved = [plan.approved.get((metric.name, candidate)) for metric in metrics]
    of_requests = pair_buckets(baseline, arm)
    pairs = _with_pods(of_requests, evidence, metrics, (plan.baseline, candidate))
    absolute = np.maximum(
        [metric.allowed_harm.absolute for metric in metrics], [one or 0.0 for one in approved]
    )
    relative = np.array([metric.allowed_harm.relative for metric in metrics])
    excess = pairs.contrast(1 + relative)
    low, high = pairs.relative_bounds(
        lower_alpha=alpha,
        upper_alpha=plan.promote_alpha,
        lower_n_opt=plan.harm_buckets,
        upper_n_opt=plan.promote_buckets,
        factor=1 + relative,
    )
    point = pairs.candidate / np.where(pairs.baseline > 0, pairs.baseline, np.nan) - 1
    excesses = _bounded(excess, alpha, plan, shift=absolute)
    differences = _bounded(pairs.contrast(), alpha, plan)
    shares = (
        _bounded(estimate_share(arm, pairs.overdispersion_candidate), alpha, plan),
        _bounded(estimate_share(baseline, pairs.overdispersion_baseline), alpha, plan),
    )
    objectives = [_objective(*row) for row in zip(metrics, *shares, strict=True)]
    gross = gross_failures(plan, baseline, arm, metrics, alpha, pairs.overdispersion_baseline)
    alone = gross_failures_alone(
        plan, evidence, arm, metrics, alpha, pairs.overdispersion_candidate
    )
    gross |= alone
    pods = [_bad_pods(plan, evidence, candidate, pairs, alpha, row) for row in enumerate(metrics)]
    # Of the pods that there are: a grossly bad one hurts users, whatever others there might be.
    present = _bounded(of_requests.contrast(1 + relative), alpha, plan, shift=absolute)
    gross |= np.array([_gross_pod(found, candidate) for found in pods]) & (
        np.array([bounds.lower for bounds in present]) > 0
    )
    # A signal holds by what is proven beyond its margin; only an outage is more.
    gross &= np.array([metric.role.decides for metric in metrics])
    outages = [is_outage(plan, evidence, candidate, metric) for metric in metrics]
    return [
        MetricResult(
            metric=metric.name,
            baseline_variant=plan.baseline,
            candidate_variant=candidate,
            unit=metric.unit,
            role=metric.role,
            classification=_classify(excesses[i], objectives[i], gross=bool(gross[i])),
            baseline=float(pairs.baseline[i]),
            candidate=float(pairs.candidate[i]),
            difference=differences[i],
            relative=Estimate(float(point[i]), float(low[i]), float(high[i])),
            excess=excesses[i],
            standard_error=float(excess.standard_error[i]),
            margin=float(absolute[i] + relative[i] * np.nan_to_num(pairs.baseline[i])),
            probability_within_margin=_probability(excess, absolute, i),
            exposure_baseline=float(baseline.total[i].sum()),
            exposure_candidate=float(arm.total[i].sum()),
            weight=metric.weight,
            critical=metric.critical,
            group=metric.group,
            is_share=True,
            higher_is_better=False,
            gross=bool(gross[i]),
            alone=bool(alone[i]),
            objective=objectives[i],
            edge_ms=evidence.edges_ms.get(metric.name),
            bad_pods=pods[i],
            pods_differ=_decides(present[i]) and not _decides(excesses[i]),
            outcome=metric.outcome,
            causes=causes_of(
                BucketCounts(baseline.total[i : i + 1], baseline.bad[i : i + 1]),
                BucketCounts(arm.total[i : i + 1], arm.bad[i : i + 1]),
                evidence.causes.get(metric.name, ()),
                (plan.baseline, candidate),
            ),
            outage=outages[i],
            approved=approved[i],
        )
        for i, metric in enumerate(metrics)
    ]


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


def _with_pods(
    pairs: PairedBuckets,
    evidence: RequestEvidence,
    metrics: list[MetricPlan],
    arms: tuple[str, str],
) -> PairedBuckets:
    """The same pairs, where pods are known with what pods differ by."""
    if not evidence.pods:
        return pairs
    found = []
    for i, metric in enumerate(metrics):
        pods = evidence.pods.get(metric.name, {})
        phi = float(pairs.overdispersion_baseline[i]), float(pairs.overdispersion_candidate[i])
        known = all(arm in pods for arm in arms)
        found.append(between_pods(pods[arms[0]], pods[arms[1]], phi) if known else None)
    return pairs.with_pods(stack_between(found))


def _bad_pods(
    plan: Plan,
    evidence: RequestEvidence,
    candidate: str,
    pairs: PairedBuckets,
    alpha: FloatArray,
    row: tuple[int, MetricPlan],
) -> tuple[BadPod, ...]:
    i, metric = row
    pods = evidence.pods.get(metric.name, {})
    if plan.baseline not in pods or candidate not in pods:
        return ()
    margin = metric.allowed_harm
    return bad_pods(
        pods[plan.baseline],
        pods[candidate],
        names=(plan.baseline, candidate),
        margin=margin.absolute + margin.relative * float(np.nan_to_num(pairs.baseline[i])),
        gross_gap=gross_gap(margin.absolute),
        alpha=float(alpha[i]),
        overdispersion=float(pairs.overdispersion_baseline[i]),
    )


def _gross_pod(found: tuple[BadPod, ...], candidate: str) -> bool:
    return any(pod.gross and pod.variant == candidate for pod in found)


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
