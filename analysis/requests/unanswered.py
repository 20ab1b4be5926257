"""Requests that began and never ended, from counters of beginnings and of ends alone."""

from __future__ import annotations

import numpy as np

from analysis.arrays import FloatArray


def unended(begun: FloatArray, ended: FloatArray) -> FloatArray:
    """Events that began in each bucket and have not ended up to the last: float64[buckets].

    What is in flight comes and goes, and scrapes are not atomic; so of the running difference only
    what it never falls below again counts. It still holds as many as are always in flight, once.
    """
    open_ones = np.cumsum(begun - ended)
    lasting = np.minimum.accumulate(open_ones[::-1])[::-1]
    return np.asarray(np.diff(np.maximum(lasting, 0.0), prepend=0.0))


def surely_unended(begun: FloatArray, ended: FloatArray, *, buckets: int) -> FloatArray:
    """Events of which it is sure in each bucket that they began so many buckets ago and never end.

    Whatever began since may be in flight, and whatever ended may have begun since: far fewer than
    there are, except where nothing ends at all.
    """
    before = np.concatenate([np.zeros(min(buckets, begun.size)), begun])[: begun.size]
    sure = np.maximum.accumulate(np.maximum(np.cumsum(before) - np.cumsum(ended), 0.0))
    return np.asarray(np.diff(sure, prepend=0.0))
