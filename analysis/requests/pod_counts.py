"""One version's requests by pod, and by stretches of time: which pods can be compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import BoolArray, FloatArray
from analysis.requests.bucket_counts import BucketCounts

_STRETCH_MS, _MOST_STRETCHES = 300_000, 96


@dataclass(frozen=True, slots=True)
class PodCounts:
    """One version's requests by pod: names, and float64[pods] of requests and failures each.

    stretches: the same as [pods, stretches of time], where times are known.
    """

    names: tuple[str, ...]
    total: FloatArray
    bad: FloatArray
    stretches: BucketCounts | None = None

    @property
    def share(self) -> float:
        """Share of failures over all pods; 0 without a request."""
        return float(self.bad.sum() / max(self.total.sum(), 1.0))

    def without(self, left_out: BoolArray) -> PodCounts:
        """The other pods."""
        names = tuple(n for n, out in zip(self.names, left_out, strict=True) if not out)
        kept = self.stretches and BucketCounts(
            self.stretches.total[~left_out], self.stretches.bad[~left_out]
        )
        return PodCounts(names, self.total[~left_out], self.bad[~left_out], kept)

    def beside(self, pod: int) -> PodCounts:
        """All pods in the stretches in which this one had requests; those of other times have none.

        Where no times are known, all that there is.
        """
        if self.stretches is None:
            return self
        there = self.stretches.total[pod] > 0
        kept = BucketCounts(self.stretches.total[:, there], self.stretches.bad[:, there])
        return PodCounts(self.names, kept.total.sum(axis=1), kept.bad.sum(axis=1), kept)

    @property
    def expected(self) -> FloatArray:
        """Each pod's share if it failed as its version did in the same stretches: float64[pods].

        What changed with time is no difference of pods, also where others were there before.
        """
        if self.stretches is None:
            return np.full(self.total.shape, self.share)
        total, bad = self.stretches.total, self.stretches.bad
        share = bad.sum(axis=0) / np.maximum(total.sum(axis=0), 1.0)
        return np.asarray((total * share).sum(axis=1) / np.maximum(total.sum(axis=1), 1.0))

    @property
    def groups(self) -> int:
        """Groups of pods with requests that no stretch joins: none is seen beside another's."""
        if self.stretches is None:
            return 1
        # Stretches are joined by pods as pods by stretches, and few however many pods there were.
        there = (self.stretches.total > 0).astype(np.float64)
        there = there[:, there.any(axis=0)]
        joined = there.T @ there > 0
        for _ in range(len(joined).bit_length()):
            joined = joined.astype(np.float64) @ joined > 0
        return len(np.unique(joined, axis=0))


def stretch_ms(planned_ms: int) -> int:
    """How long the stretches of pods' counts are: five minutes, longer in a long plan."""
    return max(_STRETCH_MS, planned_ms // _MOST_STRETCHES)
