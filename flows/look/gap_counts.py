"""What was counted over gaps in the scrapes of all variants: known but for its time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from analysis.arrays import BoolArray, FloatArray
from analysis.plan import Plan
from analysis.requests.bucket_counts import BucketCounts


def gap_counts(
    plan: Plan,
    shared: BoolArray,
    total: Mapping[str, FloatArray],
    bad: Mapping[str, FloatArray],
) -> tuple[dict[str, BucketCounts], NDArray[np.int64]]:
    """By variant, [metrics, gaps]; and when each gap ended, int64[gaps] in milliseconds.

    shared: bool[buckets] that have the counts of such a gap; total, bad: by variant, [metrics,
    buckets]. Gaps that ended while versions warm up are left out.
    """
    edges = np.flatnonzero(np.diff(shared, prepend=False, append=False)).reshape(-1, 2)
    spans = edges[edges[:, 0] >= plan.warm_up_buckets]
    found = {name: BucketCounts(_sums(total[name], spans), _sums(bad[name], spans)) for name in bad}
    return found, plan.start_ms + spans[:, 1].astype(np.int64) * plan.bucket_ms


def _sums(values: FloatArray, spans: NDArray[np.intp]) -> FloatArray:
    if not len(spans):
        return np.zeros((len(values), 0))
    running = np.pad(values, ((0, 0), (1, 0))).cumsum(axis=1)
    return np.asarray(running[:, spans[:, 1]] - running[:, spans[:, 0]])
