"""Harm that began at any time: the same comparison from a schedule of starts, alpha shared.

Evidence from the plan's start alone is blind to what begins late: what was healthy for long hides
it. So beside the comparison from the start stands one from every other start, each an e-process
(started_windows.py); their mean by weights that are fixed beforehand is one too, so it reaches
1 / alpha with a probability of at most alpha, at whatever looks (Ville 1939; Shin, Ramdas, Rinaldo
2022, "E-detectors", have the sum, for the time until a false alarm instead of its probability).

A window's statistic is the signed root of the likelihood ratio of both versions' counts against
"the candidate is at most factor times the baseline plus the margin", over what such differences
vary by (level_noise.py), taken through Student's distribution where that is estimated. It is turned
into an e-value by Robbins' mixture over positive effects. So, unlike a test by exact counts, it
holds asymptotically; benchmarks/late_harm.py shows how it holds for known streams.

Two things are asked besides, so that one hiccup and what is over decide nothing: the worst two
buckets count as the third worst does (since the first bucket where they stand out: hiccups.py), and
the last quarter of the window must be beyond the margin as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, ndtr, ndtri

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import likelihood_ratio
from analysis.requests.hiccups import worst_as_third
from analysis.requests.level_noise import LARGER, LevelNoise, noise_around
from analysis.requests.started_windows import (
    RunningTotals,
    WatchedBuckets,
    start_weights,
)
from analysis.sequential.confidence_sequence import one_sided_log_e
from analysis.sequential.e_values import log_total
from analysis.sequential.roots import bracket_root

# Weight of the comparison from the start.
_FIRST = 0.65
# Buckets after which a start's comparison is tightest.
_OPTIMUM = 24.0
# Windows whose e-value can't matter are left out: so much below the threshold, as a log.
_NEGLIGIBLE = 3.0
# Of a window's excess, what its last quarter has of it at least, and how many buckets that is.
_STILL_THERE, _LEAST_RECENT = 1 / 3, 4
# A version that starts may be worse by so much, and slower by so many standard deviations of its
# latency's log: all requests take 1.6 times as long, where that varies by 0.8.
_STARTING_GAP, _STARTING_SHIFT = 0.028, 0.6
_SMALLEST_TAIL = 1e-300


@dataclass(frozen=True, slots=True)
class Null:
    """What is refuted: "the candidate is at most factor times the baseline plus gap".

    All float64[rows]; alpha: the level. buckets: all of the plan. gross: the gap is so wide that
    neither Student's tails nor long-run variance are needed; bursts are believed to be larger than
    seen instead. bounded: whether lower bounds are asked for; they cost more than the rest.
    warm_up: buckets at the start, of which nothing counts that isn't there after them as well;
    starting: those in which a version that starts may be worse. timed: of all rows, or bool[rows]:
    whether what is bad is slow, which a version that starts may be in more requests.
    """

    gap: FloatArray
    factor: FloatArray
    alpha: FloatArray
    buckets: int
    gross: bool = False
    bounded: bool = True
    warm_up: int = 0
    starting: int = 0
    timed: BoolArray | bool = False


@dataclass(frozen=True, slots=True)
class StartedHarm:
    """By row: float64[rows] each, but start int64[rows].

    log_e: log of alpha times the e-value: refuted from 0 on. start: the bucket from which on the
    evidence is strongest, -1 where there is none. baseline, candidate: shares since then.
    lower: what candidate - factor * baseline is at least since then; at least gap where refuted.
    level: the part of alpha that its start has.
    """

    log_e: FloatArray
    start: IntArray
    baseline: FloatArray
    candidate: FloatArray
    lower: FloatArray
    level: FloatArray


def harm_from_any_start(views: Sequence[WatchedBuckets], null: Null) -> StartedHarm:
    """Evidence that the candidate is worse than the null has it, since any start.

    views: both versions' buckets so far, as watched_buckets has them; none without a bucket.
    """
    rows = len(null.gap)
    log_e, starts, kept = [np.full((rows, 0), -np.inf)], [np.zeros(0, np.int64)], []
    for view in views:
        found = _Windows.of(view, null)
        kept.append(found)
        log_e.append(found.spread(rows, len(view.starts)))
        starts.append(view.starts * view.width + view.first)
    values, all_starts = np.concatenate(log_e, axis=1), np.concatenate(starts)
    if not values.shape[1]:
        nothing = np.full(rows, np.nan)
        return StartedHarm(np.full(rows, -np.inf), np.full(rows, -1), *[nothing] * 4)
    best = values.argmax(axis=1)
    total = log_total(values)
    start = np.where(np.isfinite(values.max(axis=1)), all_starts[best], -1)
    return _described(kept, total, start, null)


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows of a view that may matter: one each of row, which (start), level, noise.

    baseline, candidate: counts with hiccups as worst_as_third has them; whole: as they are.
    value: log of e-value times level.
    """

    view: WatchedBuckets
    row: IntArray
    which: IntArray
    level: FloatArray
    noise: LevelNoise | None
    baseline: BucketCounts
    candidate: BucketCounts
    whole: tuple[BucketCounts, BucketCounts]
    value: FloatArray

    @classmethod
    def of(cls, view: WatchedBuckets, null: Null) -> _Windows:
        rows, buckets = view.baseline.total.shape
        totals = view.totals
        row, which = (x.ravel() for x in np.indices((rows, len(view.starts))))
        start = view.starts[which]
        at = start * view.width + view.first
        weights = start_weights(null.buckets, _FIRST)
        weight = np.where(at < len(weights), weights[np.minimum(at, len(weights) - 1)], 0.0)
        level = np.maximum(weight * null.alpha[row], _SMALLEST_TAIL)
        whole = totals.between(start, np.full_like(start, buckets), row)
        ratio, _ = likelihood_ratio(*whole, null.gap[row], null.factor[row])
        n = (buckets - start).astype(np.float64)
        # At best: by sampling alone.
        best = _log_e(np.sqrt(2 * np.maximum(ratio, 0.0)), n, level, view)
        matters = best > -np.log(len(view.starts)) - _NEGLIGIBLE
        keep = np.flatnonzero(_beyond(*whole, null, row) & (n >= 2) & matters & (weight > 0))
        row, which, start = row[keep], which[keep], start[keep]
        level, n = level[keep], n[keep]
        whole = (_take(whole[0], keep), _take(whole[1], keep))
        if not keep.size:
            return cls(view, row, which, level, None, *whole, whole, np.zeros(0))
        noise = noise_around(
            view.baseline,
            view.candidate,
            factor=null.factor,
            gap=np.zeros_like(null.gap) if null.gross else null.gap,
            row=row,
            start=start,
        )
        variants = totals.between(
            start,
            np.full_like(start, buckets),
            row,
            worst_as_third(
                view.baseline,
                view.candidate,
                factor=null.factor,
                gap=null.gap,
                row=row,
                start=start,
            ),
        )
        found = cls(view, row, which, level, noise, *variants, whole, np.zeros(0))
        warm_up = -(-max(null.warm_up - view.first, 0) // view.width)
        gap = null.gap[row]
        if buckets * view.width <= null.starting:
            shift = _STARTING_SHIFT * np.broadcast_to(null.timed, null.gap.shape)[row]
            starting = ndtr(ndtri(whole[0].share) + shift) - null.factor[row] * whole[0].share
            gap = np.fmax(np.maximum(gap, _STARTING_GAP), starting)
        value = found.log_e(null, gap)
        value[~_still_there(totals, null, row, start, (warm_up, buckets), whole)] = -np.inf
        return cls(view, row, which, level, noise, *variants, whole, value)

    def log_e(self, null: Null, gap: FloatArray) -> FloatArray:
        """Log of level times e-value of each window against that gap."""
        if self.noise is None:
            return np.zeros(0)
        noise, factor = self.noise, null.factor[self.row]
        ratio, roots = likelihood_ratio(self.baseline, self.candidate, gap, factor)
        if null.gross:
            free = np.maximum(noise.buckets - 1, 1.0)
            larger = free / chdtri(free, 1 - LARGER)
            likely = np.maximum(noise.likely(ratio, roots), 0.0)
            z = np.sqrt(2 * likely / (noise.bursts * larger + noise.states))
        else:
            z = noise.standard_errors(ratio, roots)
        n = (self.view.baseline.total.shape[1] - self.view.starts[self.which]).astype(np.float64)
        value = _log_e(z, n, self.level, self.view)
        harmed = self.candidate.share > factor * self.baseline.share + gap
        return np.where(harmed, value, -np.inf)

    def only(self, chosen: IntArray) -> _Windows:
        """Some of them."""
        noise = self.noise
        return replace(
            self,
            row=self.row[chosen],
            which=self.which[chosen],
            level=self.level[chosen],
            noise=None if noise is None else noise.only(chosen),
            baseline=_take(self.baseline, chosen),
            candidate=_take(self.candidate, chosen),
            value=self.value[chosen],
        )

    def spread(self, rows: int, starts: int) -> FloatArray:
        """Log e-values as float64[rows, starts]; -inf where a window can't matter."""
        out = np.full((rows, starts), -np.inf)
        out[self.row, self.which] = self.value
        return out


def _log_e(z: FloatArray, n: FloatArray, level: FloatArray, view: WatchedBuckets) -> FloatArray:
    """Log of level times the e-value of so many standard errors after n of a view's buckets."""
    n_opt = np.full_like(level, _OPTIMUM / view.width)
    return np.asarray(one_sided_log_e(z, n, level, n_opt) + np.log(level))


def _described(kept: list[_Windows], total: FloatArray, start: IntArray, null: Null) -> StartedHarm:
    """The strongest window of each row."""
    rows = len(total)
    baseline, candidate, lower, level = (np.full(rows, np.nan) for _ in range(4))
    for windows in kept:
        at = windows.view.starts[windows.which] * windows.view.width + windows.view.first
        chosen = np.flatnonzero(at == start[windows.row])
        row = windows.row[chosen]
        baseline[row] = windows.whole[0].share[chosen]
        candidate[row] = windows.whole[1].share[chosen]
        level[row] = windows.level[chosen]
        refuted = chosen[total[row] >= 0]
        if refuted.size and null.bounded:
            lower[windows.row[refuted]] = _lower_bound(windows.only(refuted), null)
    return StartedHarm(total, start, baseline, candidate, lower, level)


def _lower_bound(windows: _Windows, null: Null) -> FloatArray:
    """The largest gap that each window refutes by itself, at least the null's."""
    low = null.gap[windows.row]
    high = windows.candidate.share - null.factor[windows.row] * windows.baseline.share
    high = np.maximum(high, low)
    return bracket_root(lambda gap: -windows.log_e(null, gap), low, high)[0]


def _beyond(
    baseline: BucketCounts, candidate: BucketCounts, null: Null, row: IntArray
) -> BoolArray:
    return np.asarray(candidate.share > null.factor[row] * baseline.share + null.gap[row])


def _still_there(
    totals: RunningTotals,
    null: Null,
    row: IntArray,
    start: IntArray,
    after: tuple[int, int],
    whole: tuple[BucketCounts, BucketCounts],
) -> BoolArray:
    """Whether the last quarter of each window is beyond the null, by a part of the whole's excess.

    after: buckets of the warm-up, and all there are; whole: both versions' counts in the windows.
    """
    warm_up, buckets = after
    recent = np.maximum(_LEAST_RECENT, -(-(buckets - start) // 4))
    recent = np.minimum(recent, np.minimum(buckets - start, buckets - warm_up))
    baseline, candidate = totals.between(buckets - recent, np.full_like(start, buckets), row)
    allowed = null.factor[row] * baseline.share + null.gap[row]
    excess = whole[1].share - null.factor[row] * whole[0].share - null.gap[row]
    return np.asarray(candidate.share > allowed + _STILL_THERE * excess)


def _take(counts: BucketCounts, keep: IntArray) -> BucketCounts:
    return BucketCounts(counts.total[keep], counts.bad[keep])
