"""The worst two buckets of a window count as the third: no hiccup of two buckets is a harm."""

from __future__ import annotations

import numpy as np

from analysis.arrays import BoolArray, FloatArray, IntArray
from analysis.requests.bucket_counts import BucketCounts, information

# Standard errors beyond the rest of its window from which on a bucket stands out.
_STANDS_OUT = 3.0


def worst_as_third(
    baseline: BucketCounts,
    candidate: BucketCounts,
    *,
    factor: FloatArray,
    gap: FloatArray,
    row: IntArray,
    start: IntArray,
    fixed: bool = False,
) -> tuple[IntArray, FloatArray]:
    """Buckets of each window and how many times more they count: int64, float64[3, windows].

    baseline, candidate: [rows, buckets]. factor, gap: float64[rows], of the null hypothesis. row,
    start: int64[windows]. The two that speak most against the candidate count as the third does
    (Winsor's way): a hiccup of two buckets decides nothing, and a harm that lasts loses little.
    Since the first bucket they do so only where one of them stands out, as of few failures the
    worst buckets have many by chance; a later start is chosen afterwards, where the worst begins,
    unless all are fixed beforehand.
    Without a third the worst is left out.
    """
    share = candidate.share - factor[:, None] * baseline.share
    harm = (information(baseline, candidate) * (share - gap[:, None]))[row]
    harm = np.where(np.arange(harm.shape[1]) >= start[:, None], harm, -np.inf)
    windows, worst = np.arange(len(row)), []
    for _ in range(3):
        worst.append(harm.argmax(axis=1))
        harm[windows, worst[-1]] = -np.inf
    found = np.array(worst)
    times = np.array([[-1.0, -1.0, 2.0], [-1.0, 0.0, 0.0]])
    length = candidate.total.shape[1] - start
    out = _stand_out(baseline, candidate, factor, row, start, found[:2])
    times = times[np.where(length > 2, 0, 1)].T
    return found, np.where((fixed | (start == 0)) & (length > 2) & ~out, 0.0, times)


def _stand_out(
    baseline: BucketCounts,
    candidate: BucketCounts,
    factor: FloatArray,
    row: IntArray,
    start: IntArray,
    worst: IntArray,
) -> BoolArray:
    """Whether any of a window's worst buckets is beyond what sampling explains: bool[windows].

    By the shares of the window's other buckets, and half a failure more, as counts are whole.
    """
    rest = np.arange(candidate.total.shape[1]) >= start[:, None]
    rest[np.arange(len(row)), worst] = False
    found, variance, half = [], [], []
    for counts in (candidate, baseline):
        total, bad = counts.total[row], counts.bad[row]
        p = np.where(rest, bad, 0).sum(-1) / np.maximum(np.where(rest, total, 0).sum(-1), 1)
        n = np.maximum(counts.total[row, worst], 1)
        found.append(counts.share[row, worst] - p)
        variance.append(p * (1 - p) / n)
        half.append(0.5 / n)
    f = factor[row]
    error = np.sqrt(variance[0] + f**2 * variance[1])
    return np.asarray((found[0] - f * found[1] > _STANDS_OUT * error + half[0]).any(axis=0))
