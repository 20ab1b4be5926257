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

Two things are asked besides, so that one hiccup and what is over decide nothing: the worst bucket
is left out, and the last quarter of the window must be beyond the margin as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import chdtri, logsumexp

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.requests.gross_failure import likelihood_ratio
from analysis.requests.level_noise import LARGER, LevelNoise, noise_around
from analysis.requests.paired_buckets import BucketCounts
from analysis.requests.started_windows import (
    RunningTotals,
    active_starts,
    count_later_starts,
    merged,
)
from analysis.sequential.confidence_sequence import normal_of_student, one_sided_log_e
from analysis.sequential.roots import bracket_root

# Weight of the comparison from the start; the later ones share the rest equally.
_FIRST = 0.6
# Buckets at which a later start's comparison is tightest.
_LATER_OPTIMUM = 24.0
# Buckets that are looked at one by one; in a longer plan windows of more than half of them are
# looked at in wider ones, so that a look's cost doesn't grow.
_MOST_BUCKETS = 256
# Windows whose e-value can't matter are left out: so much below the threshold, as a log.
_NEGLIGIBLE = 3.0
_LEAST_RECENT = 4
# A version that starts may be worse by so much until twice the warm-up is over.
_STARTING_GAP = 0.028
_SMALLEST_TAIL = 1e-300


@dataclass(frozen=True, slots=True)
class Null:
    """What is refuted: "the candidate is at most factor times the baseline plus gap".

    All float64[rows]; alpha: the level. buckets, n_opt: all of the plan, and those at which the
    comparison from the start is tightest. gross: the gap is so wide that neither Student's tails
    nor long-run variance are needed; bursts are believed to be larger than seen instead.
    bounded: whether lower bounds are asked for; they cost more than the rest.
    warm_up: buckets at the start, of which nothing counts that isn't there after them as well.
    """

    gap: FloatArray
    factor: FloatArray
    alpha: FloatArray
    buckets: int
    n_opt: float
    gross: bool = False
    bounded: bool = True
    warm_up: int = 0


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


@dataclass(frozen=True, slots=True)
class _View:
    """Both versions' buckets from one on, perhaps several as one, and the starts looked at."""

    baseline: BucketCounts
    candidate: BucketCounts
    starts: IntArray
    first: int
    width: int


def harm_from_any_start(baseline: BucketCounts, candidate: BucketCounts, null: Null) -> StartedHarm:
    """Evidence that the candidate is worse than the null has it, since any start.

    baseline, candidate: [rows, buckets], all so far.
    """
    rows = len(baseline.total)
    log_e, starts, kept = [np.full((rows, 0), -np.inf)], [np.zeros(0, np.int64)], []
    for view in _views(baseline, candidate):
        found = _Windows.of(view, null)
        kept.append(found)
        log_e.append(found.spread(rows, len(view.starts)))
        starts.append(view.starts * view.width + view.first)
    values, all_starts = np.concatenate(log_e, axis=1), np.concatenate(starts)
    if not values.shape[1]:
        nothing = np.full(rows, np.nan)
        return StartedHarm(np.full(rows, -np.inf), np.full(rows, -1), *[nothing] * 4)
    best = values.argmax(axis=1)
    total = logsumexp(values, axis=1)
    start = np.where(np.isfinite(values.max(axis=1)), all_starts[best], -1)
    return _described(kept, total, start, null)


def _views(baseline: BucketCounts, candidate: BucketCounts) -> list[_View]:
    buckets = baseline.total.shape[1]
    starts = active_starts(buckets)[: max(buckets, 0)]
    if not buckets:
        return []
    if buckets <= _MOST_BUCKETS:
        return [_View(baseline, candidate, starts, 0, 1)]
    first = buckets - _MOST_BUCKETS
    near = starts >= buckets - _MOST_BUCKETS // 2
    recent = [BucketCounts(c.total[:, first:], c.bad[:, first:]) for c in (baseline, candidate)]
    width = 2 ** int(np.ceil(np.log2(buckets / _MOST_BUCKETS)))
    far = starts[~near & (starts % width == 0)] // width
    return [
        _View(recent[0], recent[1], starts[near] - first, first, 1),
        _View(*merged(baseline, candidate, width), far, 0, width),
    ]


@dataclass(frozen=True, slots=True)
class _Windows:
    """The windows of a view that may matter: one each of row, which (start), level, n_opt, noise.

    baseline, candidate: counts without the worst bucket; whole: with it; value: log e-value times
    the level.
    """

    view: _View
    row: IntArray
    which: IntArray
    level: FloatArray
    n_opt: FloatArray
    noise: LevelNoise | None
    baseline: BucketCounts
    candidate: BucketCounts
    whole: tuple[BucketCounts, BucketCounts]
    value: FloatArray

    @classmethod
    def of(cls, view: _View, null: Null) -> _Windows:
        rows, buckets = view.baseline.total.shape
        totals = RunningTotals.of(view.baseline, view.candidate)
        row, which = (x.ravel() for x in np.indices((rows, len(view.starts))))
        start = view.starts[which]
        at = start * view.width + view.first
        later = (1 - _FIRST) / count_later_starts(null.buckets)
        weight = np.where(at == 0, _FIRST, np.where(at < null.buckets, later, 0.0))
        level = np.maximum(weight * null.alpha[row], _SMALLEST_TAIL)
        n_opt = np.where(at == 0, null.n_opt, _LATER_OPTIMUM) / view.width
        whole = totals.between(start, np.full_like(start, buckets), row)
        ratio, _ = likelihood_ratio(*whole, null.gap[row], null.factor[row])
        n = (buckets - start).astype(np.float64)
        # At best: by sampling alone.
        best = one_sided_log_e(np.sqrt(2 * np.maximum(ratio, 0.0)), n, level, n_opt) + np.log(level)
        matters = best > -np.log(len(view.starts)) - _NEGLIGIBLE
        keep = np.flatnonzero(_beyond(*whole, null, row) & (n >= 2) & matters & (weight > 0))
        row, which, start = row[keep], which[keep], start[keep]
        level, n_opt, n = level[keep], n_opt[keep], n[keep]
        whole = (_take(whole[0], keep), _take(whole[1], keep))
        if not keep.size:
            return cls(view, row, which, level, n_opt, None, *whole, whole, np.zeros(0))
        noise = noise_around(
            view.baseline,
            view.candidate,
            factor=null.factor,
            gap=np.zeros_like(null.gap) if null.gross else null.gap,
            row=row,
            start=start,
        )
        variants = totals.between(
            start, np.full_like(start, buckets), row, _worst_bucket(view, null, row, start)
        )
        found = cls(view, row, which, level, n_opt, noise, *variants, whole, np.zeros(0))
        warm_up = -(-max(null.warm_up - view.first, 0) // view.width)
        early = (start < warm_up) & (buckets <= 2 * warm_up)
        value = found.log_e(null, np.maximum(null.gap[row], early * _STARTING_GAP))
        value[~_still_there(totals, null, row, start, (warm_up, buckets))] = -np.inf
        return cls(view, row, which, level, n_opt, noise, *variants, whole, value)

    def log_e(self, null: Null, gap: FloatArray) -> FloatArray:
        """Log of level times e-value of each window against that gap."""
        if self.noise is None:
            return np.zeros(0)
        noise, factor = self.noise, null.factor[self.row]
        ratio, roots = likelihood_ratio(self.baseline, self.candidate, gap, factor)
        # Bursts of random sizes have heavier tails than as many single failures.
        likely = ratio / noise.bursts + roots * (1 - 1 / noise.bursts)
        if null.gross:
            free = np.maximum(noise.buckets - 1, 1.0)
            larger = free / chdtri(free, 1 - LARGER)
            z = np.sqrt(2 * np.maximum(likely, 0.0) / (noise.bursts * larger + noise.states))
        else:
            z = normal_of_student(
                np.sqrt(2 * np.maximum(likely, 0.0) / noise.persistent), noise.degrees
            )
        n = (self.view.baseline.total.shape[1] - self.view.starts[self.which]).astype(np.float64)
        value = one_sided_log_e(z, n, self.level, self.n_opt) + np.log(self.level)
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
            n_opt=self.n_opt[chosen],
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


def _worst_bucket(view: _View, null: Null, row: IntArray, start: IntArray) -> IntArray:
    """The bucket of each window that speaks most against the candidate."""
    totals = view.baseline.total + view.candidate.total
    weight = view.baseline.total * view.candidate.total / np.maximum(totals, 1)
    share = view.candidate.share - null.factor[:, None] * view.baseline.share
    harm = (weight * (share - null.gap[:, None]))[row]
    inside = np.arange(harm.shape[1]) >= start[:, None]
    return np.asarray(np.where(inside, harm, -np.inf).argmax(axis=1))


def _still_there(
    totals: RunningTotals, null: Null, row: IntArray, start: IntArray, after: tuple[int, int]
) -> BoolArray:
    """Whether the last quarter of each window is beyond the null; after: warm-up and its end."""
    warm_up, buckets = after
    recent = np.maximum(_LEAST_RECENT, -(-(buckets - start) // 4))
    recent = np.minimum(recent, np.minimum(buckets - start, buckets - warm_up))
    variants = totals.between(buckets - recent, np.full_like(start, buckets), row)
    return _beyond(*variants, null, row)


def _take(counts: BucketCounts, keep: IntArray) -> BucketCounts:
    return BucketCounts(counts.total[keep], counts.bad[keep])
