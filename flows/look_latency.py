"""Latency histograms of one look, laid out on its grid of buckets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.latency import LatencyCounts

FloatArray = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]


def latency_counts(
    rows: Columns, variants: Sequence[str], *, start_ms: int, bucket_ms: int, buckets: int
) -> dict[str, LatencyCounts]:
    """By variant, from the rows of aggregate/look_latency; one without a request is left out."""
    start = rows["bucket_start"].astype("datetime64[ms]").astype(np.int64)
    index = (start - start_ms) // bucket_ms
    le_ms, at_most = (rows[name].astype(np.float64) for name in ("le_ms", "at_most"))
    found = {}
    for variant in variants:
        keep = rows["variant"] == variant
        counts = _laid_out(le_ms[keep], index[keep], at_most[keep], buckets)
        if counts.total.sum() > 0:
            found[variant] = counts
    return found


def _laid_out(
    le_ms: FloatArray, index: NDArray[np.int64], at_most: FloatArray, buckets: int
) -> LatencyCounts:
    edges, row = np.unique(np.append(le_ms, np.inf), return_inverse=True)
    laid = np.full((edges.size, buckets), np.nan)
    laid[row[:-1], index] = at_most
    # Without its total nothing is known of a bucket; mostly nothing happened in it.
    laid[:, np.isnan(laid[-1])] = 0.0
    return LatencyCounts(edges, laid)
