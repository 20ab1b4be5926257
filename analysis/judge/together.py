"""Metrics that each lean the same way, judged together: weak harm in several of them is harm.

Harms are summed in units of their margins: together, one margin is allowed. The metrics that decide
can roll back; with the signals among them a person is asked. Each outcome counts once, so that two
metrics of the same failures aren't two harms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from analysis.arrays import FloatArray
from analysis.evidence import RequestEvidence
from analysis.judge.request_pods import with_pods
from analysis.judge.request_tests import first_judged
from analysis.judge.unknown import worst_case
from analysis.judge.warming_pods import warming_metrics, without_warming
from analysis.metric_result import Classification, Estimate, HarmPart, MetricResult
from analysis.plan import MetricPlan, Plan, Role, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.bucket_counts import BucketCounts, information, pair_weights
from analysis.requests.joint_harm import joint_harm
from analysis.requests.paired_buckets import pair_buckets
from analysis.requests.recent import since_bucket

# In margins: what is allowed together, and what a metric must have to be named as one that leans.
_ALLOWED, _LEANS = 1.0, 0.25
# The comparison from the start has this part of the level, that from the plan's middle the rest.
# Both take a quarter of an hour at least, as versions have states of minutes, in all metrics at
# once (benchmarks/joint_harm.py).
_FIRST, _LEAST_MS = 0.6, 900_000
_OUTCOMES = ("failure", "abandoned", "rejected", "client_error")


@dataclass(frozen=True, slots=True)
class _Found:
    """Harm that is proven: since which judged bucket, its estimate and bounds in margins."""

    begin: int
    excess: Estimate
    error: float
    parts: tuple[HarmPart, ...]


def judge_together(
    plan: Plan, evidence: RequestEvidence | None, candidate: str, alone: tuple[MetricResult, ...]
) -> tuple[MetricResult, ...]:
    """What is proven of several metrics of a candidate, and of none alone; mostly nothing."""
    if evidence is None:
        return ()
    known = {result.metric: result for result in alone if result.candidate_variant == candidate}
    if any(result.classification is Classification.FAIL for result in known.values()):
        return ()
    metrics = _joined(plan, known)
    deciding = [metric for metric in metrics if metric.role.decides]
    if warming_metrics(evidence, (plan.baseline, candidate)):
        evidence = without_warming(evidence)
    for chosen, role in ((deciding, Role.GUARDRAIL), (metrics, Role.SIGNAL)):
        if len(chosen) < 2 or (role is Role.SIGNAL and len(chosen) == len(deciding)):
            continue
        found = _proven(plan, evidence, candidate, chosen)
        if found is not None:
            return (_result(plan, candidate, chosen, role, found, known),)
    return ()


def _joined(plan: Plan, known: dict[str, MetricResult]) -> list[MetricPlan]:
    """One metric of each outcome, and one of slow requests that the spec names.

    One that decides comes before a signal of the same.
    """
    chosen: dict[str, MetricPlan] = {}
    for metric in sorted(plan.metrics, key=lambda one: not one.role.decides):
        kind = metric.outcome if metric.above_ms is None else "slow"
        usable = metric.role is not Role.INFO and metric.unit is Unit.REQUEST
        if not usable or metric.name not in known or kind not in ("slow", *_OUTCOMES):
            continue
        result = known[metric.name]
        if result.margin > 0 and min(result.exposure_baseline, result.exposure_candidate) > 0:
            chosen.setdefault(kind, metric)
    return list(chosen.values())


def _proven(
    plan: Plan, evidence: RequestEvidence, candidate: str, metrics: list[MetricPlan]
) -> _Found | None:
    """Proven whether the requests of which nothing is known are bad.

    evidence: without pods that warm up.
    """
    found = _search(plan, evidence, candidate, metrics)
    if found is not None and evidence.unknown:
        return found if _search(plan, worst_case(evidence), candidate, metrics) else None
    return found


def _search(
    plan: Plan, evidence: RequestEvidence, candidate: str, metrics: list[MetricPlan]
) -> _Found | None:
    names = [metric.name for metric in metrics]
    variants = [evidence.counts_of(variant, names) for variant in (plan.baseline, candidate)]
    buckets = variants[0].total.shape[1]
    first = first_judged(plan, buckets)
    if first is None:
        return None
    approved = plan.approved.get((_name(metrics), candidate), 0.0)
    last = buckets - -(-_LEAST_MS // plan.bucket_ms)
    judged = since_bucket(variants[0], first)
    for begin, part in ((first, _FIRST), (plan.planned_buckets // 2, 1 - _FIRST)):
        if begin > last:
            continue
        since = since_bucket(variants[0], begin), since_bucket(variants[1], begin), judged
        found = _since(plan, evidence, candidate, metrics, since, begin, part * plan.joint_alpha)
        if found is not None and found.excess.lower > max(_ALLOWED, approved):
            return found
    return None


def _since(
    plan: Plan,
    evidence: RequestEvidence,
    candidate: str,
    metrics: list[MetricPlan],
    since: tuple[BucketCounts, BucketCounts, BucketCounts],
    begin: int,
    level: float,
) -> _Found | None:
    """Of one start; None where no two metrics lean, or where it is over.

    since: both versions' counts since then, and the baseline's of all the time.
    """
    variants, all_baseline = since[:2], since[2]
    baseline, own = _shares(*variants)
    allowed = [metric.allowed_harm for metric in metrics]
    margin = np.array([one.absolute for one in allowed])
    margin = margin + np.array([one.relative for one in allowed]) * np.nan_to_num(baseline)
    if not (margin > 0).all():
        return None
    parts = tuple(
        HarmPart(metric.name, float(difference), float(difference / one))
        for metric, difference, one in zip(metrics, own - baseline, margin, strict=True)
    )
    last = variants[0].total.shape[1] - max(variants[0].total.shape[1] // 4, 1)
    recent = _summed(tuple(since_bucket(variant, last) for variant in variants), margin)
    if sum(part.margins >= _LEANS for part in parts) < 2 or not recent > _ALLOWED:
        return None
    pairs = with_pods(pair_buckets(*variants), evidence, metrics, (plan.baseline, candidate))
    whole = joint_harm(*variants, margin, pairs, all_baseline)
    return _Found(begin, _bounds(plan, whole, level), float(whole.standard_error[0]), parts)


def _shares(baseline: BucketCounts, candidate: BucketCounts) -> tuple[FloatArray, FloatArray]:
    """Both versions' mean shares as pair_buckets has them, at less cost; NaN without data."""
    weights = pair_weights(baseline.total, candidate.total)
    seen = weights.sum(-1) > 0
    found = [
        np.where(seen, (weights * each.share).sum(-1), np.nan) for each in (baseline, candidate)
    ]
    return found[0], found[1]


def _bounds(plan: Plan, whole: Estimator, level: float) -> Estimate:
    return Estimate(
        float(whole.estimate[0]),
        float(whole.lower(alpha=level, n_opt=plan.harm_buckets)[0]),
        float(whole.upper(alpha=plan.promote_alpha, n_opt=plan.promote_buckets)[0]),
    )


def _summed(variants: tuple[BucketCounts, ...], margin: FloatArray) -> float:
    """The sum of harms in margins over some buckets."""
    weight = information(variants[0], variants[1])
    differences = (weight * (variants[1].share - variants[0].share)).sum(axis=1)
    return float((differences / np.maximum(weight.sum(axis=1), 1e-300) / margin).sum())


def _name(metrics: list[MetricPlan]) -> str:
    return " + ".join(metric.name for metric in metrics)


def _result(
    plan: Plan,
    candidate: str,
    metrics: list[MetricPlan],
    role: Role,
    found: _Found,
    known: dict[str, MetricResult],
) -> MetricResult:
    """In units of margins: the candidate's is the harm, the baseline's none."""
    harm, results = found.excess, [known[metric.name] for metric in metrics]
    excess = Estimate(harm.value - _ALLOWED, harm.lower - _ALLOWED, harm.upper - _ALLOWED)
    return MetricResult(
        metric=_name(metrics),
        baseline_variant=plan.baseline,
        candidate_variant=candidate,
        unit=Unit.REQUEST,
        role=role,
        classification=Classification.FAIL,
        baseline=0.0,
        candidate=harm.value,
        difference=harm,
        relative=Estimate(np.nan, -np.inf, np.inf),
        excess=excess,
        standard_error=found.error,
        margin=_ALLOWED,
        probability_within_margin=float(ndtr(-excess.value / found.error)),
        exposure_baseline=min(result.exposure_baseline for result in results),
        exposure_candidate=min(result.exposure_candidate for result in results),
        weight=sum(result.weight for result in results),
        critical=False,
        group="together",
        is_share=False,
        higher_is_better=False,
        parts=tuple(part for part in found.parts if part.margins >= _LEANS),
        together_since_ms=plan.start_ms + found.begin * plan.bucket_ms,
    )
