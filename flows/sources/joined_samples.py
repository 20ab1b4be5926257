"""Puts samples of several answers together, and takes out what doesn't belong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flows.sources.samples import Samples


def join_samples(pieces: Sequence[Samples]) -> Samples:
    """The pieces as one; a series that several of them hold becomes one series, in time's order.

    pieces: those of one selector in time's order; selectors may overlap, and a sample that was
    read twice is held once.
    """
    if len(pieces) == 1:
        return in_order(pieces[0])
    index: dict[frozenset[tuple[str, str]], int] = {}
    owners = [
        np.array([index.setdefault(frozenset(one.items()), len(index)) for one in piece.labels])
        for piece in pieces
    ]
    sizes = np.zeros(len(index), dtype=np.int64)
    for piece, owner in zip(pieces, owners, strict=True):
        np.add.at(sizes, owner.astype(np.int64), np.diff(piece.offsets))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ts_ms, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.float64)
    free = offsets[:-1].copy()
    for piece, owner in zip(pieces, owners, strict=True):
        for series, begin, end in zip(owner, piece.offsets, piece.offsets[1:], strict=False):
            place = slice(free[series], free[series] + end - begin)
            ts_ms[place], values[place] = piece.ts_ms[begin:end], piece.values[begin:end]
            free[series] = place.stop
    warnings = tuple(dict.fromkeys(w for piece in pieces for w in piece.warnings))
    labels = tuple(dict(sorted(key)) for key in index)
    return in_order(Samples(labels, offsets, ts_ms, values, warnings))


def in_order(samples: Samples) -> Samples:
    """The samples in time's order within each series, no time twice."""
    falling = np.diff(samples.ts_ms) <= 0
    inner = samples.offsets[(samples.offsets > 0) & (samples.offsets < samples.ts_ms.size)]
    falling[inner - 1] = False  # from one series to the next, time may fall
    if not falling.any():
        return samples
    order = np.lexsort((samples.ts_ms, samples.series_of_sample))
    series, ts_ms = samples.series_of_sample[order], samples.ts_ms[order]
    first = np.ones(ts_ms.size, dtype=bool)
    first[1:] = (np.diff(series) != 0) | (np.diff(ts_ms) != 0)
    ordered = Samples(
        samples.labels, samples.offsets, ts_ms, samples.values[order], samples.warnings
    )
    return kept_samples(ordered, first)


def kept_samples(samples: Samples, keep: NDArray[np.bool_]) -> Samples:
    """The samples where keep, bool[samples], is true; a series without any is left out."""
    if keep.all() and np.diff(samples.offsets).all():
        return samples
    ends = np.concatenate([[0], np.cumsum(keep)])[samples.offsets]
    filled = np.diff(ends) > 0
    return Samples(
        tuple(one for one, is_filled in zip(samples.labels, filled, strict=True) if is_filled),
        np.concatenate([[0], ends[1:][filled]]).astype(np.int64),
        samples.ts_ms[keep],
        samples.values[keep],
        samples.warnings,
    )


def without_oddities(samples: Samples) -> Samples:
    """The samples without NaN and infinite values, which no counter has; a warning counts them."""
    odd = ~np.isfinite(samples.values)
    if not odd.any():
        return samples
    names = sorted({samples.labels[i].get("__name__", "?") for i in samples.series_of_sample[odd]})
    warning = f"{int(odd.sum())} samples of {', '.join(names)} were not finite and are left out"
    warned = Samples(
        samples.labels,
        samples.offsets,
        samples.ts_ms,
        samples.values,
        (*samples.warnings, warning),
    )
    return kept_samples(warned, ~odd)
