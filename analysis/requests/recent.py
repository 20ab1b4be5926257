"""Whether a candidate is healthy now, and stays so if its trend goes on: what a promote asks.

A mean over the whole plan hides what grows. So the last part has a bound of its own, and the mean
of as much time as has been seen (less near the plan's end) is predicted from both halves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from analysis.requests.bounds import Estimator, pooled_degrees
from analysis.requests.paired_buckets import BucketCounts, pair_buckets

FloatArray = NDArray[np.float64]

# The last part is half of the time so far.
_PARTS = 2


def last_part(buckets: int, least: int) -> int:
    """The bucket in which the last part begins; it has at least so many, or all."""
    return max(0, buckets - max(-(-buckets // _PARTS), least))


def since_bucket(counts: BucketCounts, first: int, end: int | None = None) -> BucketCounts:
    """The buckets from one on, up to another."""
    return BucketCounts(counts.total[:, first:end], counts.bad[:, first:end])


@dataclass(frozen=True, slots=True)
class RecentExcess:
    """Of candidate - factor * baseline: the mean since a bucket, and over so many to come.

    ahead is None where none are to come.
    """

    begin: int
    last: Estimator
    coming: int
    ahead: Estimator | None

    def stays_below(self, margin: FloatArray | float, **level: float) -> NDArray[np.bool_]:
        """Whether both upper bounds of a level (alpha, n_opt) are at most the margin.

        That of the last part is for one look: the whole's, which holds at every look, must be too.
        """
        below = self.last.upper_at_one_look(alpha=level["alpha"]) <= margin
        if self.ahead is not None:
            below &= self.ahead.upper(**level) <= margin
        return np.asarray(below)


def recent_excess(
    baseline: BucketCounts, candidate: BucketCounts, factor: FloatArray, *, least: int, left: int
) -> RecentExcess:
    """The last part, of so many buckets at least; the trend over those left, or as many as seen.

    baseline, candidate: [rows, buckets]; factor: float64[rows].
    """
    buckets = baseline.total.shape[1]
    begin = last_part(buckets, least)
    last = pair_buckets(since_bucket(baseline, begin), since_bucket(candidate, begin))
    coming = min(buckets, max(left, 0))
    ahead = _ahead(baseline, candidate, factor, 0.5 + coming / buckets) if coming else None
    return RecentExcess(begin, last.contrast(factor), coming, ahead)


def _ahead(
    baseline: BucketCounts, candidate: BucketCounts, factor: FloatArray, steps: float
) -> Estimator:
    """The line through the means of both halves, so many halves beyond the later one's."""
    buckets = baseline.total.shape[1]
    middle = buckets // 2
    earlier, later = (
        pair_buckets(since_bucket(baseline, *part), since_bucket(candidate, *part)).contrast(factor)
        for part in ((0, middle), (middle, buckets))
    )
    weight = 1 + steps
    errors = [
        np.hypot(weight * end, steps * begin)
        for end, begin in zip(later.over_time, earlier.over_time, strict=True)
    ]
    degrees = pooled_degrees(
        (weight * later.upper_error) ** 2,
        np.maximum(later.degrees, 0.0),
        (steps * earlier.upper_error) ** 2,
        np.maximum(earlier.degrees, 0.0),
    )
    return replace(
        later,
        estimate=later.estimate + steps * (later.estimate - earlier.estimate),
        over_time=(errors[0], errors[1]),
        buckets=later.buckets + earlier.buckets,
        degrees=degrees,
        skew=weight * later.skew,
    )
