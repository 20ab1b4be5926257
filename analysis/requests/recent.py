"""Whether a candidate is healthy now, and stays so if its trend goes on: what a promote asks.

A mean over the whole plan hides what grows. So the last part has a bound of its own, and the mean
of as much time as has been seen (less near the plan's end) is predicted from both halves: by a line
through their means, or, known better by half, by one that begins with no harm. The latter says too
much of harm that was there from the start; that a candidate was better then doesn't count for it,
and the former must not contradict it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.requests.bounds import Estimator, pooled_degrees
from analysis.requests.bucket_counts import BucketCounts
from analysis.requests.paired_buckets import pair_buckets

# The last part is half of the time so far.
_PARTS = 2
# Level of its bound: beside the whole's, it is to show a change.
_LAST_ALPHA = 0.1


def last_part(buckets: int, least: int) -> int:
    """The bucket in which the last part begins; it has at least so many, or all."""
    return max(0, buckets - max(-(-buckets // _PARTS), least))


def since_bucket(counts: BucketCounts, first: int, end: int | None = None) -> BucketCounts:
    """The buckets from one on, up to another."""
    return BucketCounts(counts.total[:, first:end], counts.bad[:, first:end])


@dataclass(frozen=True, slots=True)
class ExcessAhead:
    """The mean over what is to come: by the line through both halves, and by one from no harm."""

    line: Estimator
    from_none: Estimator

    def upper(self, *, alpha: FloatArray | float, n_opt: float) -> FloatArray:
        """The upper bound of level alpha, at every look at once."""
        line = self.line.upper(alpha=alpha, n_opt=n_opt)
        from_none = self.from_none.upper(alpha=alpha, n_opt=n_opt)
        likely = self.line.estimate + self.line.upper_error
        return np.asarray(np.minimum(line, np.maximum(from_none, likely)))


@dataclass(frozen=True, slots=True)
class RecentExcess:
    """Of candidate - factor * baseline: the mean since a bucket, and over so many to come.

    ahead is None where none are to come.
    """

    begin: int
    last: Estimator
    coming: int
    ahead: ExcessAhead | None

    @property
    def last_upper(self) -> FloatArray:
        """The last part's upper bound, for one look: the whole's holds at every look."""
        return self.last.upper_at_one_look(alpha=_LAST_ALPHA)

    def stays_below(self, margin: FloatArray | float, **level: float) -> BoolArray:
        """Whether the upper bounds, of a level (alpha, n_opt) ahead, are at most the margin."""
        below = self.last_upper <= margin
        if self.ahead is not None:
            below &= self.ahead.upper(**level) <= margin
        return np.asarray(below)


def recent_excess(
    baseline: BucketCounts, candidate: BucketCounts, factor: FloatArray, *, least: int, left: int
) -> RecentExcess:
    """The last part, of so many buckets at least; the trend over those left, or as many as seen.

    baseline, candidate: [rows, buckets]; factor: float64[rows].
    """

    def excess(begin: int, end: int) -> Estimator:
        both = (since_bucket(one, begin, end) for one in (baseline, candidate))
        return pair_buckets(*both).contrast(factor)

    return recent_of(excess, baseline.total.shape[1], least=least, left=left)


def recent_of(
    excess: Callable[[int, int], Estimator], buckets: int, *, least: int, left: int
) -> RecentExcess:
    """The same of any excess. excess: of the buckets from one on, up to another."""
    begin = last_part(buckets, least)
    excess = cache(excess)  # the last part is mostly the later half
    coming = min(buckets, max(left, 0))
    ahead = _ahead(excess, buckets, 0.5 + coming / buckets) if coming else None
    return RecentExcess(begin, excess(begin, buckets), coming, ahead)


def _ahead(excess: Callable[[int, int], Estimator], buckets: int, steps: float) -> ExcessAhead:
    """So many halves beyond the later one's middle."""
    middle = buckets // 2
    earlier, later = excess(0, middle), excess(middle, buckets)
    # The halves' middles are half a half, and three halves of one, after the start.
    slope = (1.5 + steps) / (0.5**2 + 1.5**2)
    not_better = replace(earlier, estimate=np.maximum(earlier.estimate, 0.0))
    return ExcessAhead(
        line=_combined(earlier, later, -steps, 1 + steps),
        from_none=_combined(not_better, later, 0.5 * slope, 1.5 * slope),
    )


def _combined(earlier: Estimator, later: Estimator, begin: float, end: float) -> Estimator:
    """begin times the earlier half's mean and end times the later one's."""
    errors = [
        np.hypot(end * last, begin * first)
        for last, first in zip(later.over_time, earlier.over_time, strict=True)
    ]
    degrees = pooled_degrees(
        (end * later.upper_error) ** 2,
        np.maximum(later.degrees, 0.0),
        (begin * earlier.upper_error) ** 2,
        np.maximum(earlier.degrees, 0.0),
    )
    return replace(
        later,
        estimate=begin * earlier.estimate + end * later.estimate,
        over_time=(errors[0], errors[1]),
        buckets=later.buckets + earlier.buckets,
        degrees=degrees,
        skew=end * later.skew,
    )
