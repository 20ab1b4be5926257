"""Timelines like the history, divided between versions that do not differ.

Preserved: a bucket's counts (both versions' sum is a bucket of the history), what a bucket has in
common (load, an outage of a database: both versions have it at once), and, within a block, how
buckets follow each other (bursts, autocorrelation).

Bad requests are divided in bursts of the size that the history shows (bursts.py), each of which
goes to one version whole, as the failures of one pod do. So each version is as overdispersed as
the history. Divided request by request, a burst would always hit both versions alike, and no judge
that takes requests for independent would ever pay for it.

Not preserved: what lasts longer than a block (the hour of the day), and a cause that stays with
one version for many buckets (a bad pod, a user with many requests): such A/A comparisons are
noisier than these. Failures and latency come from separate counters, so they are divided
separately: that slow requests are often the failed ones is lost. Injected failures come one by one.
The baseline's requests stand for those of the whole service: where a candidate had a part of them,
there were more.
"""

from __future__ import annotations

import numpy as np

from analysis.arrays import FloatArray, IntArray

SHORTEST_BLOCK, LONGEST_BLOCK = 4, 10


def draw_timeline(rng: np.random.Generator, history: int, buckets: int) -> IntArray:
    """Indices of the history's buckets that make a timeline: int64[buckets].

    Circular moving-block bootstrap (Politis, Romano 1992): blocks of 4 to 10 buckets that begin
    anywhere and run on at the history's beginning, so every bucket is drawn equally often.
    """
    most = -(-buckets // SHORTEST_BLOCK)
    lengths = rng.integers(SHORTEST_BLOCK, LONGEST_BLOCK + 1, most)
    starts = rng.integers(0, history, most)
    within = np.arange(LONGEST_BLOCK)
    indices = (starts[:, None] + within) % history
    return indices[within < lengths[:, None]][:buckets]


def thin(
    rng: np.random.Generator, cells: IntArray, shares: FloatArray, bursts: FloatArray
) -> IntArray:
    """Every count divided between the versions with these shares, each burst as a whole.

    cells: int64[buckets, cells]; shares: float64[buckets, variants], summing to 1.
    bursts: float64[cells], at least 1: the size of the burst that a request is in, on average.
    Returns int64[variants, buckets, cells]; summed over variants it is cells again.
    """
    small = np.floor(bursts).astype(np.int64)
    in_larger = rng.binomial(cells, bursts - small)
    divided = _divide(rng, cells - in_larger, small, shares)
    divided += _divide(rng, in_larger, small + 1, shares)
    return np.moveaxis(divided, -1, 0)


def _divide(
    rng: np.random.Generator, counts: IntArray, size: IntArray, shares: FloatArray
) -> IntArray:
    """Bursts of this size, and a smaller one of what is left: int64[buckets, cells, variants]."""
    whole, rest = np.divmod(counts, size)
    divided = rng.multinomial(whole, shares[:, None, :]) * size[:, None]
    left = np.flatnonzero(rest.any(axis=0))
    some = rest[:, left]
    divided[:, left] += rng.multinomial(some > 0, shares[:, None, :]) * some[:, :, None]
    return divided
