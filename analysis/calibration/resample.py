"""Timelines like the history, divided between versions that do not differ.

Preserved: a bucket's counts (both versions' sum is a bucket of the history), what a bucket has in
common (load, an outage of a database: both versions have it at once), and, within a block, how
buckets follow each other (bursts, autocorrelation).

Not preserved: what lasts longer than a block (the hour of the day), and what belongs to one
version only. A request goes to a version by itself, so a burst of failures hits both; a single
bad pod or a user who stays with one version would not be divided like that, and makes real A/A
comparisons noisier than these. Failures and latency come from separate counters, so they are
divided separately: that slow requests are often the failed ones is lost. The baseline's requests
stand for those of the whole service: where a candidate had a part of them, there were more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

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


def thin(rng: np.random.Generator, cells: IntArray, shares: FloatArray) -> IntArray:
    """Every count divided between the versions, each request by itself with these shares.

    cells: int64[buckets, cells]; shares: float64[buckets, variants], summing to 1.
    Returns int64[variants, buckets, cells]; summed over variants it is cells again.
    """
    divided = rng.multinomial(cells, shares[:, None, :])
    return np.moveaxis(divided, -1, 0)
