"""Which kinds of response a metric's harm is made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.evidence import CauseCounts
from analysis.metric_result import ResponseShare
from analysis.requests.bucket_counts import BucketCounts, pair_weights

# So many are named; what the others add together is smaller.
_NAMED = 3
# Less than a hundredth of a point isn't worth a word.
_LEAST = 1e-4


def causes_of(
    baseline: BucketCounts,
    candidate: BucketCounts,
    kinds: Sequence[CauseCounts],
    variants: tuple[str, str],
    *,
    first: int = 0,
) -> tuple[ResponseShare, ...]:
    """The kinds of response that the candidate has more of, those that weigh most first.

    baseline, candidate: the metric's counts, [1, buckets], judged from the first bucket on. Kinds
    are compared in the same buckets and with the same weights as the metric itself, so that their
    differences sum to its own.
    """
    totals = baseline.total[0, first:], candidate.total[0, first:]
    weights = pair_weights(*totals)
    shares = [
        [
            float((weights * BucketCounts(total, kind.bad[variant][first:]).share).sum())
            for total, variant in zip(totals, variants, strict=True)
        ]
        for kind in kinds
    ]
    found = [
        ResponseShare(kind.name, theirs, ours)
        for kind, (theirs, ours) in zip(kinds, shares, strict=True)
        if np.isfinite(ours) and ours - theirs >= _LEAST
    ]
    return tuple(sorted(found, key=lambda cause: (-cause.difference, cause.name))[:_NAMED])
