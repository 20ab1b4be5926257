"""The last part of the plan, which a promote asks too, and objectives where the rest is spoiled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.judge.levels import Levels, side_of_zero
from analysis.metric_result import Classification, Estimate, Objective, Recent
from analysis.plan import MetricPlan, Plan
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import PairedBuckets, estimate_share, pair_buckets
from analysis.requests.recent import last_part, recent_excess, since_bucket
from analysis.requests.storms import stormy_buckets, without_buckets
from analysis.stages import are_without

# The last part has at least so many milliseconds.
_LEAST_LAST_PART_MS = 600_000
# Of the judged buckets, a start that is left out.
_LARGEST_START = 0.25


def least_last_part(plan: Plan) -> int:
    """Buckets that the last part has at least."""
    return -(-_LEAST_LAST_PART_MS // plan.bucket_ms)


def watched_from(plan: Plan, stage: IntArray) -> int | None:
    """The bucket from which on the candidate has the traffic alone, to the last: None if none.

    stage: int64[buckets], each bucket's. Nothing is compared there: objectives alone speak.
    """
    compared = np.flatnonzero(~are_without(plan.baseline, plan.stages, stage))
    begin = int(compared[-1]) + 1 if compared.size else len(stage)
    return begin if 0 < begin < len(stage) else None


def find_recent(
    levels: Levels,
    judged: tuple[BucketCounts, BucketCounts],
    first: int,
    margins: tuple[FloatArray, FloatArray],
    excesses: list[Estimate],
    pairs: PairedBuckets,
    watched: list[int | None],
) -> list[Recent | None]:
    """The last part and the trend of the metrics whose whole is within the margin.

    Where it isn't, the whole is taken without the storms that hit the baseline too, and without its
    start, which may be what is left of a warm-up. margins: absolute and relative. pairs: with what
    pods differ by. watched: by metric, the bucket from which on only its objective is judged, as
    nothing is left to be compared.
    """
    out: list[Recent | None] = [None] * len(excesses)
    within = [excess.upper <= 0 for excess in excesses]
    for end in set(watched):
        rows = np.flatnonzero(np.array(within) & np.array([one == end for one in watched]))
        _fill(out, levels, judged, first, margins, rows, end)
    open_yet = np.array([e.lower <= 0 and e.value <= 0 < e.upper for e in excesses], np.bool_)
    storms = np.zeros_like(judged[0].total, dtype=np.bool_)
    storms[open_yet] = stormy_buckets(
        BucketCounts(judged[0].total[open_yet], judged[0].bad[open_yet])
    ) | _starting(levels.plan, judged[0].total.shape[1])
    spoiled = np.flatnonzero(storms.any(axis=1))
    if spoiled.size:
        calm = without_buckets(judged[0], storms), without_buckets(judged[1], storms)
        paired = replace(pair_buckets(*calm), pods=pairs.pods)
        outside = levels.bounded(paired.contrast(1 + margins[1]), shift=margins[0])
        passing = np.array([i for i in spoiled.tolist() if outside[i].upper <= 0], dtype=np.int64)
        _fill(out, levels, calm, first, margins, passing)
        for i in passing.tolist():
            found = out[i]
            out[i] = None if found is None else replace(found, calm=outside[i])
    return out


def _starting(plan: Plan, buckets: int) -> BoolArray:
    """Which judged buckets are of the start, which lasts twice the warm-up: bool[buckets].

    None while it is much of what was seen.
    """
    start = np.arange(buckets) < plan.warm_up_buckets
    return np.asarray(start & (start.sum() <= _LARGEST_START * buckets))


def _fill(
    out: list[Recent | None],
    levels: Levels,
    judged: tuple[BucketCounts, BucketCounts],
    first: int,
    margins: tuple[FloatArray, FloatArray],
    rows: IntArray,
    end: int | None = None,
) -> None:
    """Finds the last part and the trend of some metrics; up to an end, nothing lies ahead."""
    if not rows.size:
        return
    plan = levels.plan
    variants = [
        since_bucket(BucketCounts(variant.total[rows], variant.bad[rows]), 0, end)
        for variant in judged
    ]
    buckets, factor, margin = variants[0].total.shape[1], (1 + margins[1])[rows], margins[0][rows]
    levels = replace(levels, alpha=levels.alpha[rows])
    now_ms = plan.start_ms + (first + buckets) * plan.bucket_ms
    recent = recent_excess(
        variants[0],
        variants[1],
        factor,
        least=least_last_part(plan),
        left=0 if end is not None else (plan.last_look_ms - now_ms) // plan.bucket_ms,
    )
    parts = levels.bounded(recent.last, shift=margin, upper=recent.last_upper)
    ahead: list[Estimate | None] = [None] * len(parts)
    if recent.ahead is not None:
        high = recent.ahead.upper(alpha=plan.promote_alpha, n_opt=plan.promote_buckets)
        ahead = [*levels.bounded(recent.ahead.line, shift=margin, upper=high)]
    start_ms = plan.start_ms + (first + recent.begin) * plan.bucket_ms
    until_ms = now_ms + recent.coming * plan.bucket_ms
    for i, part, later in zip(rows.tolist(), parts, ahead, strict=True):
        out[i] = Recent(start_ms, part, later, until_ms)


def judge_objectives(
    levels: Levels,
    metrics: list[MetricPlan],
    judged: tuple[BucketCounts, BucketCounts],
    pairs: PairedBuckets,
    watched: int | None,
    margins: tuple[FloatArray, FloatArray],
) -> list[Objective | None]:
    """Of the whole plan; where it is spoiled for both versions, met if the last part meets it.

    watched: the bucket from which on the candidate has all traffic: that must surely meet it as
    well, and so must its last minutes as they are: harm that has only begun is little of a mean.
    Without an objective it is what the baseline had before, and the margins: absolute and relative.
    """
    found: list[Objective | None] = [None] * len(metrics)
    rows = [i for i, m in enumerate(metrics) if watched is not None or m.objective is not None]
    if rows:
        of_rows = _objectives(
            replace(levels, alpha=levels.alpha[rows]),
            [metrics[i] for i in rows],
            (_of_rows(judged[0], rows), _of_rows(judged[1], rows)),
            (pairs.overdispersion_baseline[rows], pairs.overdispersion_candidate[rows]),
            watched,
            (margins[0][rows], margins[1][rows]),
        )
        for i, one in zip(rows, of_rows, strict=True):
            found[i] = one
    return found


def _of_rows(counts: BucketCounts, rows: list[int]) -> BucketCounts:
    return BucketCounts(counts.total[rows], counts.bad[rows])


def _objectives(
    levels: Levels,
    metrics: list[MetricPlan],
    judged: tuple[BucketCounts, BucketCounts],
    overdispersion: tuple[FloatArray, FloatArray],
    watched: int | None,
    margins: tuple[FloatArray, FloatArray],
) -> list[Objective | None]:
    """As judge_objectives; overdispersion: of each version's failures."""
    theirs, ours = (
        levels.bounded(estimate_share(variant, own))
        for variant, own in zip(judged, overdispersion, strict=True)
    )
    begin = last_part(judged[1].total.shape[1], least_last_part(levels.plan))
    last = levels.bounded(estimate_share(since_bucket(judged[1], begin), overdispersion[1]))
    found = [_objective(*row) for row in zip(metrics, ours, theirs, last, strict=True)]
    if watched is None:
        return found
    latest = max(watched, judged[1].total.shape[1] - least_last_part(levels.plan))
    alone, now = (
        levels.bounded(estimate_share(since_bucket(judged[1], at), overdispersion[1]))
        for at in (watched, latest)
    )
    before = since_bucket(judged[0], 0, watched)
    shares = before.bad.sum(axis=1) / np.maximum(before.total.sum(axis=1), 1.0)
    limits = (margins[0] + (1 + margins[1]) * shares).tolist()
    return [
        _also_met(one, *parts) if one else _as_before(limit, *parts)
        for one, limit, *parts in zip(found, limits, alone, now, strict=True)
    ]


def _also_met(whole: Objective, alone: Estimate, now: Estimate) -> Objective:
    """The whole's, unless it is met and a part doesn't surely meet it too, or isn't below now."""
    is_met = alone.upper <= whole.limit and now.value <= whole.limit
    if whole.state is not Classification.PASS or is_met:
        return whole
    part = now if alone.upper <= whole.limit else alone
    return Objective(whole.limit, part, Classification.UNCERTAIN, shared=False)


def _as_before(limit: float, alone: Estimate, now: Estimate) -> Objective | None:
    """What keeps a version from being promoted that looks worse since nothing is left to compare.

    It proves nothing, as times differ; a comparison that is over proves nothing of now either.
    """
    if alone.value <= limit and now.value <= limit:
        return None
    part = now if alone.value <= limit else alone
    return Objective(limit, part, Classification.UNCERTAIN, shared=False, as_before=True)


def _objective(
    metric: MetricPlan, ours: Estimate, theirs: Estimate, last: Estimate
) -> Objective | None:
    """The metric's objective, judged with confidence on the candidate's share alone.

    A limit that the baseline exceeds with confidence too is not the candidate's doing. Where the
    baseline doesn't surely meet it over the whole plan either, the candidate's last part may.
    """
    limit = metric.objective
    if limit is None:
        return None
    state = side_of_zero(ours.lower - limit, ours.upper - limit)
    if theirs.upper > limit and last.upper <= limit and state is not Classification.NO_DATA:
        return Objective(limit, last, Classification.PASS, shared=False)
    return Objective(limit, ours, state, shared=theirs.lower > limit)
