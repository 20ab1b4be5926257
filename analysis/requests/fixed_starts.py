"""Harm since starts that are fixed beforehand, at one look: no price of looking often.

Evidence at any time pays for every look and every start; a test that is made once, from a start
that isn't chosen by what was seen, pays for neither. The statistic is that of later_starts.py: the
signed root of the likelihood ratio of both versions' counts, over what their difference varies by
around that start (level_noise.py), by Student's distribution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from analysis.arrays import FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.gross_failure import likelihood_ratio
from analysis.requests.hiccups import worst_as_third
from analysis.requests.level_noise import noise_around
from analysis.requests.started_windows import RunningTotals
from analysis.sequential.roots import bracket_root

# With fewer buckets what they vary by isn't known.
LEAST_BUCKETS = 30
# Where what persists adds more than half to what bursts and sampling give a window, a state of
# minutes at its end isn't told from harm by one look.
_PERSISTS = 1.5


@dataclass(frozen=True, slots=True)
class SinceStarts:
    """Both shares since each start, float64[starts, rows].

    lower: what candidate - factor * baseline is at least; -inf where it isn't proven to be beyond
    the gap.
    """

    baseline: FloatArray
    candidate: FloatArray
    lower: FloatArray


def harm_since_starts(
    variants: tuple[BucketCounts, BucketCounts],
    starts: IntArray,
    *,
    factor: FloatArray,
    gap: FloatArray,
    alpha: FloatArray,
) -> SinceStarts:
    """Lower bounds for one look, at which the last half is beyond the gap as well.

    variants: the baseline's and the candidate's [rows, buckets]; a start before them is the first.
    factor, gap: float64[rows], of the null hypothesis "the candidate is at most factor times the
    baseline plus the gap". alpha: float64[starts, rows]. What is over by the last half since a
    start is no harm.
    """
    rows, buckets = variants[0].total.shape
    which, row = (x.ravel() for x in np.indices((len(starts), rows)))
    start, end = np.maximum(starts, 0)[which], np.full(which.size, buckets)
    totals = RunningTotals.of(*variants)
    baseline, candidate = totals.between(start, end, row)
    theirs, ours = totals.between(start + (buckets - start) // 2, end, row)
    f, least = factor[row], gap[row]
    excess = candidate.share - f * baseline.share
    beyond = np.minimum(excess, ours.share - f * theirs.share) > least
    keep = np.flatnonzero(beyond & (buckets - start >= LEAST_BUCKETS))
    lower = np.full(which.size, -np.inf)
    if keep.size:
        lower[keep] = _lower_bounds(
            variants, totals, row[keep], start[keep], factor, gap, alpha.ravel()[keep]
        )
    shape = len(starts), rows
    return SinceStarts(
        baseline.share.reshape(shape), candidate.share.reshape(shape), lower.reshape(shape)
    )


def _lower_bounds(
    variants: tuple[BucketCounts, BucketCounts],
    totals: RunningTotals,
    row: IntArray,
    start: IntArray,
    factor: FloatArray,
    gap: FloatArray,
    alpha: FloatArray,
) -> FloatArray:
    """Of windows: the largest gap that each refutes at its level, -inf where not the null's."""
    noise = noise_around(*variants, factor=factor, gap=gap, row=row, start=start)
    worst = worst_as_third(*variants, factor=factor, gap=gap, row=row, start=start, fixed=True)
    counted = totals.between(start, np.full_like(start, variants[0].total.shape[1]), row, worst)
    f, low, wanted = factor[row], gap[row], -ndtri(alpha)

    def short_by(at: FloatArray) -> FloatArray:
        ratio, roots = likelihood_ratio(*counted, at, f)
        return np.asarray(wanted - noise.standard_errors(ratio, roots))

    high = np.maximum(counted[1].share - f * counted[0].share, low)
    refuted = (short_by(low) <= 0) & (high > low) & (noise.persistent <= _PERSISTS * noise.bursts)
    return np.where(refuted, bracket_root(short_by, low, high)[0], -np.inf)
