"""Native histograms: how many observations are at most an edge, where that is known exactly.

A native histogram lists only the buckets that hold something, and its resolution may change from
scrape to scrape (Prometheus halves it when there are too many buckets). How many observations are
at most e is known exactly at every e that no bucket straddles; so counts are taken at edges of a
coarse schema, which every finer one has too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from analysis.arrays import FloatArray

# Edges are powers of a root of two, rounded differently by different servers.
_SAME_EDGE = 1e-12


@dataclass(frozen=True, slots=True)
class NativeHistogram:
    """One scrape: float64[buckets] each, ascending, without overlap; empty buckets may be missing.

    left, right: bounds of a bucket; counts: observations in it, not cumulative.
    """

    left: FloatArray
    right: FloatArray
    counts: FloatArray

    @property
    def total(self) -> float:
        """All observations."""
        return float(self.counts.sum())


def cumulative(histogram: NativeHistogram, edges: FloatArray) -> FloatArray:
    """Observations at most each edge: float64[edges]; NaN where a bucket straddles the edge."""
    order = np.searchsorted(histogram.right, edges * (1 + _SAME_EDGE), side="right")
    running = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    inside = np.concatenate([histogram.left, [np.inf]])[order] < edges * (1 - _SAME_EDGE)
    held = np.concatenate([histogram.counts, [0.0]])[order] > 0
    return np.where(inside & held, np.nan, running[order])


def exponential_edges(schema: int, lowest: float, highest: float) -> FloatArray:
    """The bucket bounds of a standard schema from lowest to highest, then infinity.

    Each is 2 ** (2 ** -schema) times the one before; those of a schema are among those of every
    finer one, so counts at them survive any change of resolution down to this schema.
    """
    step = 2.0**-schema
    first, last = np.ceil(np.log2(lowest) / step), np.floor(np.log2(highest) / step)
    return np.concatenate([2.0 ** (np.arange(first, last + 1) * step), [np.inf]])
