"""Harm at the planned end: one test of the whole plan, with what looks before it leave of alpha.

A bound that holds at every look lies three standard errors off or more; a test that is made once,
at a time that is fixed beforehand, two. It decides where failures come in bursts, of which a plan
holds few. Where the sum of few bursts is high its spread is high too, so that Student's t
understates it; Hall's transformation (1992) takes that out, by the skewness that was seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.judge.started_harm import FoundHarm
from analysis.metric_result import HarmSince
from analysis.plan import MetricPlan, Plan, Unit
from analysis.requests.bounds import Estimator
from analysis.requests.bucket_counts import BucketCounts, pair_weights
from analysis.requests.fixed_starts import LEAST_BUCKETS, SinceStarts, harm_since_starts
from analysis.requests.paired_buckets import PairedBuckets, pair_buckets
from analysis.requests.recent import last_part, since_bucket
from analysis.sequential.confidence_sequence import student_adjusted

# Of the plan, where the late starts are; and of this test's alpha, the level that each has.
_LATE, _LATE_PARTS = (1 / 2, 2 / 3), (0.1, 0.45)
_TINY = 1e-300


def final_alpha(plan: Plan, metric: MetricPlan, *, pods: bool = False) -> float:
    """The level of this test of a request metric that decides.

    All of the metric's alpha that other tests leave: the difference at every look, the objective,
    several metrics together, and single pods where they are known. Within the margin a gross
    failure takes nothing, as it is far beyond.
    """
    taken = plan.request_alpha(metric) * (1 if metric.objective is None else 2)
    deciding = [one for one in plan.metrics if one.role.decides and one.unit is Unit.REQUEST]
    together = plan.joint_alpha / len(deciding) if len(deciding) > 1 else 0.0
    return 2 * plan.harm_alpha(metric) - taken - together - pods * plan.pod_alpha(metric)


def find_final_harm(
    plan: Plan,
    judged: tuple[BucketCounts, BucketCounts],
    metrics: list[MetricPlan],
    margins: tuple[FloatArray, FloatArray],
    pairs: PairedBuckets,
    first: int,
) -> list[FoundHarm | None]:
    """By metric that decides; None where nothing is proven, or before the planned end.

    judged: both versions' counts from the bucket `first` on; margins: absolute and relative.
    """
    end = plan.planned_buckets - first
    if judged[0].total.shape[1] < end:
        return [None] * len(metrics)
    absolute, factor = margins[0], 1 + margins[1]
    variants = since_bucket(judged[0], 0, end), since_bucket(judged[1], 0, end)
    known = pairs.pods is not None
    alpha = np.array([final_alpha(plan, m, pods=known) if m.role.decides else 0.5 for m in metrics])
    starts = late_starts(plan.planned_buckets) - first
    proven = proven_at_end(variants, starts, factor, absolute, alpha, pairs)
    lower = proven.lower
    if judged[0].total.shape[1] > end:
        lower = np.where(still_beyond(judged, factor, absolute), lower, -np.inf)
    begun = [first, *(np.maximum(starts, 0) + first).tolist()]
    found: list[FoundHarm | None] = [None] * len(metrics)
    for i, best in enumerate(lower.argmax(axis=0).tolist()):
        if not metrics[i].role.decides or not np.isfinite(lower[best, i]):
            continue
        baseline = float(proven.baseline[best, i])
        allowed = float(margins[1][i]) * baseline
        since = HarmSince(
            start_ms=plan.start_ms + begun[best] * plan.bucket_ms,
            from_start=best == 0,
            baseline=baseline,
            candidate=float(proven.candidate[best, i]),
            lower=float(lower[best, i]) + allowed,
            margin=float(absolute[i]) + allowed,
        )
        found[i] = FoundHarm(since, present=True, log_e=-np.inf)
    return found


def late_starts(planned_buckets: int) -> IntArray:
    """The buckets of a plan from which on the planned end looks too, besides from its start."""
    return np.array([int(planned_buckets * part) for part in _LATE], dtype=np.int64)


def proven_at_end(
    variants: tuple[BucketCounts, BucketCounts],
    starts: IntArray,
    factor: FloatArray,
    margin: FloatArray,
    alpha: FloatArray | float,
    pods: PairedBuckets | None = None,
) -> SinceStarts:
    """What one look proves since the first bucket, and since each start: [1 + starts, rows].

    margin: what candidate - factor * baseline may be; a lower bound within it is -inf.
    alpha, pods: as final_lower has them.
    """
    whole, lower = pair_buckets(*variants), final_lower(variants, factor, alpha, pods)
    proven = (lower > margin) & still_beyond(variants, factor, margin)
    level = np.multiply.outer(_LATE_PARTS, np.broadcast_to(alpha, margin.shape))
    late = harm_since_starts(variants, starts, factor=factor, gap=margin, alpha=level)
    if pods is not None and pods.pods is not None:
        error = pods.pods.of_contrast(factor, pods.baseline)
        estimate = late.candidate - factor * late.baseline
        with np.errstate(invalid="ignore"):
            held = error.lower(estimate, estimate - late.lower, level)
            late = replace(late, lower=np.where(held > margin, held, -np.inf))
    return SinceStarts(
        baseline=np.vstack([whole.baseline, late.baseline]),
        candidate=np.vstack([whole.candidate, late.candidate]),
        lower=np.vstack([np.where(proven, lower, -np.inf), late.lower]),
    )


def final_lower(
    variants: tuple[BucketCounts, BucketCounts],
    factor: FloatArray,
    alpha: FloatArray | float,
    pods: PairedBuckets | None = None,
) -> FloatArray:
    """Lower bound of candidate - factor * baseline, for one look: float64[rows].

    pods: what pods differ by, if known. -inf where there are too few buckets.
    """
    pairs = pair_buckets(*variants)
    if pods is not None:
        pairs = replace(pairs, pods=pods.pods)
    excess = pairs.contrast(factor)
    error = excess.over_time[0]
    student = student_adjusted(-ndtri(alpha), excess.degrees)
    skew = _third_cumulant(variants, factor, excess) / np.maximum(error, _TINY) ** 3
    width = _hall(student, skew) * error
    known = (excess.buckets >= LEAST_BUCKETS) & np.isfinite(width)
    lower = excess.estimate - width
    if excess.between is not None:
        lower = excess.between.lower(excess.estimate, width, alpha)
    return np.asarray(np.where(known, lower, -np.inf))


def still_beyond(
    variants: tuple[BucketCounts, BucketCounts], factor: FloatArray, margin: FloatArray | float
) -> BoolArray:
    """Whether the last half is beyond the margin too: what is over is no reason to roll back."""
    begin = last_part(variants[0].total.shape[1], 1)
    last = pair_buckets(since_bucket(variants[0], begin), since_bucket(variants[1], begin))
    return np.asarray(last.candidate - factor * last.baseline > margin)


def _third_cumulant(
    variants: tuple[BucketCounts, BucketCounts], factor: FloatArray, excess: Estimator
) -> FloatArray:
    """Of the estimate, as its buckets vary."""
    weights = pair_weights(variants[0].total, variants[1].total)
    value = variants[1].share - factor[:, None] * variants[0].share
    off = weights * (value - excess.estimate[:, None])
    n = np.maximum(excess.buckets, 3.0)
    return np.asarray((off**3).sum(-1) * n**2 / ((n - 1) * (n - 2)))


def _hall(quantile: FloatArray, skew: FloatArray) -> FloatArray:
    """How many standard errors below the estimate a bound of this quantile lies.

    The inverse of t + g t^2 / 3 + g^2 t^3 / 27 + g / 6, g being the estimate's skewness; without
    skewness the quantile itself.
    """
    small = np.abs(skew) < 1e-6
    g = np.where(small, 1.0, skew)
    with np.errstate(invalid="ignore"):
        bent = 3 / g * (np.cbrt(1 + g * (quantile - g / 6)) - 1)
    return np.asarray(np.where(small, quantile, bent))
