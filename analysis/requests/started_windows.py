"""Windows of buckets that begin at a schedule of starts and end now, summed from running totals.

A start is followed for as long as its window is short beside the step that it is a multiple of
(dyadic intervals): so the windows of a look grow in number with the logarithm of its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts

# Buckets between two starts.
_STEP = 2
# A start is followed until its window has so many of the steps that it is a multiple of.
_STEPS_FOLLOWED = 16
# Buckets that are looked at one by one; in a longer plan windows of more than half of them are
# looked at in wider ones, so that a look's cost doesn't grow.
_MOST_BUCKETS = 256
_TINY = 1e-300


def active_starts(buckets: int) -> IntArray:
    """The starts that are followed after so many buckets: 0, and others in rising order."""
    found = {0}
    step = _STEP
    while step < buckets:
        # Windows of 8 to 16 steps; those of the smallest step may also be shorter.
        shortest = 1 if step == _STEP else _STEPS_FOLLOWED // 2 * step
        first = max(0, buckets - _STEPS_FOLLOWED * step + 1)
        found.update(range(-(-first // step) * step, buckets - shortest + 1, step))
        step *= 2
    return np.array(sorted(found), dtype=np.int64)


@cache
def start_weights(planned_buckets: int, first: float) -> FloatArray:
    """Of each start of a plan, 0 where none is: float64[planned_buckets]; together 1 at most.

    first: of the plan's start. The rest is shared equally by how long starts are followed, then
    among those that are followed equally long: long windows are few, so each is worth more (as
    the scales of Dümbgen, Spokoiny 2001).
    """
    weights = np.zeros(max(planned_buckets, 1))
    weights[0] = first
    later = np.arange(_STEP, planned_buckets, _STEP)
    multiple = later // _STEP
    _, kind, many = np.unique(multiple & -multiple, return_inverse=True, return_counts=True)
    weights[later] = (1 - first) / (len(many) * many[kind])
    weights.flags.writeable = False  # the next one is given the same
    return weights


@dataclass(frozen=True, slots=True)
class RunningTotals:
    """Sums over the first buckets, from which any window's follow: float64[rows, buckets + 1].

    weight: information of a bucket about a difference; baseline, candidate: weight times share;
    noise_*: squared weight over requests.
    """

    weight: FloatArray
    baseline: FloatArray
    candidate: FloatArray
    noise_baseline: FloatArray
    noise_candidate: FloatArray

    @classmethod
    def of(cls, baseline: BucketCounts, candidate: BucketCounts) -> RunningTotals:
        """Over all buckets of both versions."""
        sums = []
        for term in summed(baseline, candidate):
            total = np.zeros((term.shape[0], term.shape[1] + 1))
            np.cumsum(term, axis=-1, out=total[:, 1:])
            sums.append(total)
        return cls(*sums)

    def between(
        self,
        start: IntArray,
        end: IntArray,
        row: IntArray,
        also: tuple[IntArray, FloatArray] | None = None,
    ) -> tuple[BucketCounts, BucketCounts]:
        """The baseline's and the candidate's counts in windows, as under one split: float64[...].

        Shares are means by information, so a change of the split is no change of a share; requests
        are as many as have their sampling variance. also: int64[k, windows], float64[k, windows],
        buckets of each window and how many times more they count.
        """
        sums = [
            total[row, end]
            - total[row, start]
            + (
                0.0
                if also is None
                else (also[1] * (total[row, also[0] + 1] - total[row, also[0]])).sum(0)
            )
            for total in (
                self.weight,
                self.baseline,
                self.candidate,
                self.noise_baseline,
                self.noise_candidate,
            )
        ]
        weight, baseline, candidate, noise_b, noise_c = sums
        return _effective(weight, baseline, noise_b), _effective(weight, candidate, noise_c)


def summed(baseline: BucketCounts, candidate: BucketCounts) -> list[FloatArray]:
    """By bucket what RunningTotals sums, its weight as information() has it; no share is needed."""
    each = 1 / np.maximum(baseline.total + candidate.total, 1)
    part_b, part_c = baseline.total * each, candidate.total * each
    weight = baseline.total * part_c
    return [weight, part_c * baseline.bad, part_b * candidate.bad, weight * part_c, weight * part_b]


def _effective(weight: FloatArray, weighted: FloatArray, noise: FloatArray) -> BucketCounts:
    total = np.where(weight > 0, weight**2 / np.maximum(noise, _TINY), 0.0)
    share = np.clip(weighted / np.maximum(weight, _TINY), 0.0, 1.0)
    return BucketCounts(total, total * share)


def merged(
    baseline: BucketCounts, candidate: BucketCounts, width: int
) -> tuple[BucketCounts, BucketCounts]:
    """So many buckets as one, the last one cut: [rows, blocks] of each version."""
    return merged_terms(summed(baseline, candidate), width)


def merged_terms(terms: Sequence[FloatArray], width: int) -> tuple[BucketCounts, BucketCounts]:
    """The same from what summed() has."""
    blocks = (_blocks(term, width) for term in terms)
    weight, of_baseline, of_candidate, noise_b, noise_c = blocks
    return _effective(weight, of_baseline, noise_b), _effective(weight, of_candidate, noise_c)


def _blocks(term: FloatArray, width: int) -> FloatArray:
    """Sums of so many neighbours, a power of 2; numpy's reduceat takes thrice as long."""
    while width > 1:
        if term.shape[1] % 2:
            term = np.concatenate([term, np.zeros((len(term), 1))], axis=1)
        term, width = term[:, ::2] + term[:, 1::2], width // 2
    return term


@dataclass(frozen=True, slots=True)
class WatchedBuckets:
    """Both versions' buckets from one on, perhaps several as one, and the starts looked at."""

    baseline: BucketCounts
    candidate: BucketCounts
    totals: RunningTotals
    starts: IntArray
    first: int
    width: int


def watched_buckets(baseline: BucketCounts, candidate: BucketCounts) -> list[WatchedBuckets]:
    """Both versions' buckets as they are looked at, all starts that are followed among them."""
    buckets = baseline.total.shape[1]
    starts = active_starts(buckets)[: max(buckets, 0)]
    if not buckets:
        return []
    if buckets <= _MOST_BUCKETS:
        return [_watched((baseline, candidate), starts, 0, 1)]
    first = buckets - _MOST_BUCKETS
    near = starts >= buckets - _MOST_BUCKETS // 2
    recent = (
        BucketCounts(baseline.total[:, first:], baseline.bad[:, first:]),
        BucketCounts(candidate.total[:, first:], candidate.bad[:, first:]),
    )
    width = 2 ** int(np.ceil(np.log2(buckets / _MOST_BUCKETS)))
    far = starts[~near & (starts % width == 0)] // width
    return [
        _watched(recent, starts[near] - first, first, 1),
        _watched(merged(baseline, candidate, width), far, 0, width),
    ]


def _watched(
    variants: tuple[BucketCounts, BucketCounts], starts: IntArray, first: int, width: int
) -> WatchedBuckets:
    return WatchedBuckets(*variants, RunningTotals.of(*variants), starts, first, width)
