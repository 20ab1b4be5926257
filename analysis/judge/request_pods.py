"""What pods differ by, and which of them are bad, in the metrics of requests."""

from __future__ import annotations

import numpy as np

from analysis.arrays import FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.total_failure import gross_gap
from analysis.plan import MetricPlan, Plan
from analysis.requests.paired_buckets import PairedBuckets
from analysis.requests.pod_harm import harmful_pods
from analysis.requests.pods import BadPod, bad_pods, between_pods, stack_between


def with_pods(
    pairs: PairedBuckets,
    evidence: RequestEvidence,
    metrics: list[MetricPlan],
    variants: tuple[str, str],
) -> PairedBuckets:
    """The same pairs, where pods are known with what pods differ by."""
    if not evidence.pods:
        return pairs
    found = []
    for i, metric in enumerate(metrics):
        pods = evidence.pods.get(metric.name, {})
        phi = float(pairs.overdispersion_baseline[i]), float(pairs.overdispersion_candidate[i])
        known = all(variant in pods for variant in variants)
        found.append(between_pods(pods[variants[0]], pods[variants[1]], phi) if known else None)
    return pairs.with_pods(stack_between(found))


def bad_pods_of(
    plan: Plan,
    evidence: RequestEvidence,
    candidate: str,
    pairs: PairedBuckets,
    alpha: FloatArray,
    row: tuple[int, MetricPlan],
) -> tuple[BadPod, ...]:
    """The pods that fail far more often than their siblings. row: the metric and its place.

    Those that surely harm their users are told of metrics that decide, after the warm-up.
    """
    i, metric = row
    pods = evidence.pods.get(metric.name, {})
    if plan.baseline not in pods or candidate not in pods:
        return ()
    allowed = metric.allowed_harm
    margin = allowed.absolute + allowed.relative * float(np.nan_to_num(pairs.baseline[i]))
    overdispersion = float(pairs.overdispersion_baseline[i])
    harmful = None
    if metric.role.decides and len(evidence.stage) > plan.warm_up_buckets:
        allowed_by = {
            who: harm for (name, who), harm in plan.approved.items() if name == metric.name
        }
        harmful = harmful_pods(
            pods[plan.baseline],
            pods[candidate],
            margin=margin,
            approved=allowed_by,
            alpha=plan.pod_alpha(metric),
            overdispersion=overdispersion,
        )
    return bad_pods(
        pods[plan.baseline],
        pods[candidate],
        names=(plan.baseline, candidate),
        margin=margin,
        gross_gap=gross_gap(allowed.absolute),
        alpha=float(alpha[i]),
        overdispersion=overdispersion,
        harmful=harmful,
    )
