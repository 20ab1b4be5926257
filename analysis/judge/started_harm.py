"""Harm since any start, as the plan has it: what was found, from which bucket on, and its bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.metric_result import HarmSince
from analysis.plan import MetricPlan, Plan
from analysis.requests.later_starts import Null, StartedHarm, harm_from_any_start
from analysis.requests.paired_buckets import BucketCounts, PairedBuckets

# A harm beyond the margin by so much, or by so many margins, needs no long-run variance.
_GROSS_FLOOR, _GROSS_MARGINS = 0.01, 2.0
# Parts of the difference's level: of the bounds that are shown, and of this; and of the gross
# failure's: of the exact test, and of this.
BOUND_PART, EXACT_PART = 0.3, 0.5


@dataclass(frozen=True, slots=True)
class FoundHarm:
    """One metric's: since is None where nothing is proven of whatever pods there might be.

    present: proven of the pods that there are. log_e: of the stronger of both tests.
    """

    since: HarmSince | None
    present: bool
    log_e: float


NO_HARM = FoundHarm(None, present=False, log_e=-np.inf)


def find_started_harm(
    plan: Plan,
    variants: tuple[BucketCounts, BucketCounts],
    metrics: list[MetricPlan],
    alpha: FloatArray,
    absolute: FloatArray,
    pairs: PairedBuckets,
    first: int,
) -> list[FoundHarm]:
    """By metric; variants: the baseline's and the candidate's counts from the bucket `first` on.

    alpha, absolute: float64[metrics], each metric's level and margin. pairs: with pods.
    """
    factor = np.array([1 + metric.allowed_harm.relative for metric in metrics])
    found = [
        harm_from_any_start(
            *variants,
            Null(gap, factor, part * alpha, plan.planned_buckets, plan.harm_buckets, gross=gross),
        )
        for gap, part, gross in (
            (absolute, 1 - BOUND_PART, False),
            (started_gross_gap(absolute), 1 - EXACT_PART, True),
        )
    ]
    held = [_held_for_any_pods(one, pairs, factor, absolute) for one in found]
    return [
        _found(plan, [one for one in found if one.log_e[i] >= 0], held, found, i, metric, first)
        for i, metric in enumerate(metrics)
    ]


def started_gross_gap(margin: FloatArray) -> FloatArray:
    """How far beyond the baseline a gross harm since any start is; never beyond all there is."""
    wide = margin + np.maximum(_GROSS_FLOOR, _GROSS_MARGINS * margin)
    return np.asarray(np.minimum(wide, (1 + margin) / 2))


def _found(
    plan: Plan,
    refuted: list[StartedHarm],
    held: list[BoolArray],
    both: list[StartedHarm],
    i: int,
    metric: MetricPlan,
    first: int,
) -> FoundHarm:
    log_e = max(float(one.log_e[i]) for one in both)
    if not refuted:
        return FoundHarm(None, False, log_e)
    relative = metric.allowed_harm.relative
    strongest = max(refuted, key=lambda one: float(one.lower[i]))
    if not any(one.log_e[i] >= 0 and holds[i] for one, holds in zip(both, held, strict=True)):
        return FoundHarm(None, True, log_e)
    since = HarmSince(
        start_ms=plan.start_ms + (first + int(strongest.start[i])) * plan.bucket_ms,
        from_start=int(strongest.start[i]) == 0,
        baseline=float(strongest.baseline[i]),
        candidate=float(strongest.candidate[i]),
        lower=float(strongest.lower[i]) + relative * float(strongest.baseline[i]),
    )
    return FoundHarm(since, True, log_e)


def _held_for_any_pods(
    found: StartedHarm, pairs: PairedBuckets, factor: FloatArray, margin: FloatArray
) -> BoolArray:
    """Whether the harm is beyond the margin whatever pods a version may have: bool[metrics]."""
    if pairs.pods is None:
        return np.ones(len(margin), dtype=np.bool_)
    error = pairs.pods.of_contrast(factor, pairs.baseline)
    estimate = found.candidate - factor * found.baseline
    with np.errstate(invalid="ignore"):
        lower = error.lower(estimate, estimate - found.lower, found.level)
        return np.asarray(lower > margin - 1e-12)
