"""Harm since any start, as the plan has it: what was found, from which bucket on, and its bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.metric_result import HarmSince
from analysis.plan import Margin, MetricPlan, Plan, Unit
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.later_starts import Null, StartedHarm, harm_from_any_start
from analysis.requests.paired_buckets import PairedBuckets
from analysis.requests.started_windows import watched_buckets

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
    """By metric; variants: the baseline's and the candidate's counts.

    alpha, absolute: float64[metrics], each metric's level and margin. pairs: with pods.
    first: buckets of the warm-up. Where warming up is no reason for it, harm may have begun in
    them, but is none unless it is there afterwards.
    """
    factor = np.array([1 + metric.allowed_harm.relative for metric in metrics])
    null = Null(absolute, factor, (1 - BOUND_PART) * alpha, plan.planned_buckets)
    wide, level = started_gross_gap(absolute), (1 - EXACT_PART) * alpha
    early = np.array([counts_from_the_first(metric) for metric in metrics])
    timed = np.array([is_timed(metric) for metric in metrics])
    nulls = (null, replace(null, gap=wide, alpha=level, gross=True))
    found = _from_any_bucket(variants, nulls, early, timed, first)
    margins = [
        Margin(float(a), m.allowed_harm.relative) for a, m in zip(absolute, metrics, strict=True)
    ]
    held = [_held_for_any_pods(one, pairs, factor, absolute) for one in found]
    return [
        _found(plan, [one for one in found if one.log_e[i] >= 0], held, found, i, margins[i], first)
        for i, metric in enumerate(metrics)
    ]


def counts_from_the_first(metric: MetricPlan) -> bool:
    """Whether it is of errors, which code that is compiled and caches that fill don't excuse."""
    return metric.unit is Unit.REQUEST and metric.role.decides and not is_timed(metric)


def is_timed(metric: MetricPlan) -> bool:
    """Whether it is of slow requests."""
    return metric.above_ms is not None or metric.baseline_quantile is not None


def started_gross_gap(margin: FloatArray) -> FloatArray:
    """How far beyond the baseline a gross harm since any start is; never beyond all there is."""
    wide = margin + np.maximum(_GROSS_FLOOR, _GROSS_MARGINS * margin)
    return np.asarray(np.minimum(wide, (1 + margin) / 2))


def _from_any_bucket(
    variants: tuple[BucketCounts, BucketCounts],
    nulls: Sequence[Null],
    rows: BoolArray,
    timed: BoolArray,
    first: int,
) -> list[StartedHarm]:
    """Since any start after the warm-up, of these rows since any at all; starts are the plan's."""
    parts: list[list[StartedHarm]] = [[] for _ in nulls]
    for keep, begin in ((np.flatnonzero(~rows), first), (np.flatnonzero(rows), 0)):
        baseline, candidate = (
            BucketCounts(one.total[keep, begin:], one.bad[keep, begin:]) for one in variants
        )
        views = watched_buckets(baseline, candidate)
        for null, of_null in zip(nulls, parts, strict=True):
            own = replace(
                null,
                gap=null.gap[keep],
                factor=null.factor[keep],
                alpha=null.alpha[keep],
                warm_up=first - begin,
                starting=2 * first - begin,
                timed=timed[keep],
            )
            found = harm_from_any_start(views, own)
            starts = np.where(found.start < 0, -1, found.start + begin)
            of_null.append(replace(found, start=starts))
    order = np.argsort(np.concatenate([np.flatnonzero(~rows), np.flatnonzero(rows)]))
    return [_in_order(each, order) for each in parts]


def _in_order(parts: Sequence[StartedHarm], order: IntArray) -> StartedHarm:
    """Rows of several as those of one."""
    return StartedHarm(
        *(
            np.concatenate([getattr(part, field.name) for part in parts])[order]
            for field in fields(StartedHarm)
        )
    )


def _found(
    plan: Plan,
    refuted: list[StartedHarm],
    held: list[BoolArray],
    both: list[StartedHarm],
    i: int,
    margin: Margin,
    first: int,
) -> FoundHarm:
    log_e = max(float(one.log_e[i]) for one in both)
    if not refuted:
        return FoundHarm(None, False, log_e)
    strongest = max(refuted, key=lambda one: float(one.lower[i]))
    if not any(one.log_e[i] >= 0 and holds[i] for one, holds in zip(both, held, strict=True)):
        return FoundHarm(None, True, log_e)
    start = int(strongest.start[i])
    baseline = float(strongest.baseline[i])
    since = HarmSince(
        start_ms=plan.start_ms + start * plan.bucket_ms,
        from_start=start <= first,
        baseline=baseline,
        candidate=float(strongest.candidate[i]),
        lower=float(strongest.lower[i]) + margin.relative * baseline,
        margin=margin.absolute + margin.relative * baseline,
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
