"""Native histograms: what was counted between two scrapes, at edges where that is known exactly.

A native histogram lists only the buckets that hold something, and its resolution may change from
scrape to scrape (Prometheus halves it when there are too many buckets). How many observations are
at most e is known exactly at every e that no bucket straddles; so differences are taken at the
edges that neither of two histograms straddles, which are those of the coarser one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

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


@dataclass(frozen=True, slots=True)
class NativeDifference:
    """Observations between two scrapes: at_most float64[edges], cumulative; the last edge is inf.

    reset: the counter began again from zero, so this is all that the later scrape holds.
    """

    edges: FloatArray
    at_most: FloatArray
    reset: bool


def cumulative(histogram: NativeHistogram, edges: FloatArray) -> FloatArray:
    """Observations at most each edge: float64[edges]; NaN where a bucket straddles the edge."""
    order = np.searchsorted(histogram.right, edges * (1 + _SAME_EDGE), side="right")
    running = np.concatenate([[0.0], np.cumsum(histogram.counts)])
    inside = np.concatenate([histogram.left, [np.inf]])[order] < edges * (1 - _SAME_EDGE)
    held = np.concatenate([histogram.counts, [0.0]])[order] > 0
    return np.where(inside & held, np.nan, running[order])


def exact_edges(histograms: Sequence[NativeHistogram]) -> FloatArray:
    """The bounds of buckets that no bucket of any of the histograms straddles; the last is inf."""
    ends = [np.concatenate([h.left, h.right])[np.tile(h.counts > 0, 2)] for h in histograms]
    bounds = np.unique(np.concatenate([*ends, [np.inf]]))
    bounds = bounds[bounds >= 0]
    # Of bounds that differ by rounding alone, one.
    apart = np.concatenate([[True], bounds[1:] > bounds[:-1] * (1 + _SAME_EDGE)])
    bounds = bounds[apart]
    known = np.ones(bounds.size, dtype=np.bool_)
    for histogram in histograms:
        known &= np.isfinite(cumulative(histogram, bounds))
    return np.asarray(bounds[known])


def difference(before: NativeHistogram | None, after: NativeHistogram) -> NativeDifference:
    """What was counted from one scrape to the next; before None: all since a proven birth.

    A reset shows in any bucket that shrank, even where the total grew.
    """
    if before is None:
        edges = exact_edges([after])
        return NativeDifference(edges, cumulative(after, edges), reset=False)
    edges = exact_edges([before, after])
    rise = cumulative(after, edges) - cumulative(before, edges)
    if np.any(np.diff(rise, prepend=0.0) < 0):
        edges = exact_edges([after])
        return NativeDifference(edges, cumulative(after, edges), reset=True)
    return NativeDifference(edges, rise, reset=False)


def differences(histograms: Sequence[NativeHistogram]) -> tuple[NativeDifference, ...]:
    """Between successive scrapes of one series: one fewer than histograms."""
    return tuple(difference(before, after) for before, after in pairwise(histograms))


def exponential_edges(schema: int, lowest: float, highest: float) -> FloatArray:
    """The bucket bounds of a standard schema from lowest to highest, then infinity.

    Each is 2 ** (2 ** -schema) times the one before; those of a schema are among those of every
    finer one, so counts at them survive any change of resolution down to this schema.
    """
    step = 2.0**-schema
    first, last = np.ceil(np.log2(lowest) / step), np.floor(np.log2(highest) / step)
    return np.concatenate([2.0 ** (np.arange(first, last + 1) * step), [np.inf]])
