"""Requests of one key that reach one endpoint, also after another endpoint has left or come."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from analysis.arrays import FloatArray, np
from analysis.strategies.declaration import PAIR, Counted

# So many requests of a key tell its endpoint; so many that don't come tell that an endpoint left.
_LEAST_OF_KEY, _MISSED = 5, 10

Keys = Mapping[str, Mapping[str, FloatArray]]


@dataclass(frozen=True, slots=True)
class Stickiness:
    """requests: of keys whose endpoint is known, between two changes of the endpoints; stayed: of
    these, at their key's most used endpoint.

    kept: keys whose endpoint outlived a change; moved: of these, those that were sent to another
    one that had been there before. gone: endpoints that left.
    """

    requests: float
    stayed: float
    kept: int
    moved: int
    gone: tuple[str, ...]


def stickiness(seen: Counted, counter: str, variant: str) -> Stickiness:
    """Of a counter by key and endpoint."""
    keys: dict[str, dict[str, FloatArray]] = defaultdict(dict)
    by_endpoint: dict[str, FloatArray] = {}
    for value, amounts in seen.amounts.get(counter, {}).get(variant, {}).items():
        key, _, endpoint = value.rpartition(PAIR)
        if key:
            keys[key][endpoint] = amounts
            by_endpoint[endpoint] = by_endpoint.get(endpoint, 0.0) + amounts
    spans = {name: _present(amounts) for name, amounts in by_endpoint.items() if amounts.any()}
    buckets = max((len(amounts) for amounts in by_endpoint.values()), default=0)
    cuts = sorted({0, buckets, *(edge for span in spans.values() for edge in span)})
    mains = [_mains(keys, first, last) for first, last in pairwise(cuts)]
    kept = moved = 0
    for (before, after), (cut, end) in zip(pairwise(mains), pairwise(cuts[1:]), strict=True):
        there = {name for name, (first, last) in spans.items() if first < cut and last >= end}
        both = [key for key in before if key in after and before[key][0] in there]
        kept += len(both)
        moved += sum(after[key][0] in there - {before[key][0]} for key in both)
    every = [one for main in mains for one in main.values()]
    return Stickiness(
        sum(of for _, _, of in every),
        sum(own for _, own, _ in every),
        kept,
        moved,
        tuple(name for name, (_, last) in sorted(spans.items()) if last < buckets),
    )


def _present(amounts: FloatArray) -> tuple[int, int]:
    """From which bucket on an endpoint has requests, and before which it has none any more."""
    at = np.flatnonzero(amounts)
    first, last, end = int(at[0]), int(at[-1]) + 1, len(amounts)
    rate = float(amounts.sum()) / (last - first)
    return first if first * rate >= _MISSED else 0, last if (end - last) * rate >= _MISSED else end


def _mains(keys: Keys, first: int, last: int) -> dict[str, tuple[str, float, float]]:
    """By key: its most used endpoint, requests there, and all; without what a change mixes."""
    found = {}
    for key, of_endpoint in keys.items():
        counts = {name: float(one[first + 1 : last - 1].sum()) for name, one in of_endpoint.items()}
        main = max(counts, key=lambda name: counts[name])
        if (of := sum(counts.values())) >= _LEAST_OF_KEY:
            found[key] = (main, counts[main], of)
    return found
