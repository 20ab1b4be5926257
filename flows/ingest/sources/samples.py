"""Raw samples as every source of request metrics yields them, before any difference is taken."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flows.formats.text import counted
from flows.ingest.sources.source_error import SourceError

# Seconds from which on a time is none, and no milliseconds that a whole number holds.
LATEST_S = 1e12
# So many odd values at the end of a series are no moment: what it counts meanwhile isn't known.
_LASTING = 3


def take(samples: Samples, series: Iterable[int]) -> Samples:
    """The given series only, in the given order."""
    chosen = np.fromiter(series, np.int64)
    if np.array_equal(chosen, np.arange(len(samples.labels))):
        return samples
    counts = np.diff(samples.offsets)[chosen]
    offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))
    entry = np.arange(offsets[-1]) + np.repeat(samples.offsets[chosen] - offsets[:-1], counts)
    labels = tuple(samples.labels[index] for index in chosen.tolist())
    return replace(
        samples,
        labels=labels,
        offsets=offsets,
        ts_ms=samples.ts_ms[entry],
        values=samples.values[entry],
    )


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of many series, stored series after series.

    labels: one mapping per series, `__name__` included.
    offsets: int64[series + 1]; series i owns samples offsets[i]:offsets[i + 1].
    ts_ms: int64[samples], scrape time in milliseconds since the epoch, ascending within a series,
        no time twice in a series.
    values: float64[samples], as scraped; staleness markers are removed.
    warnings: what the server said beside its answer, never empty text: the answer may be partial.
    notes: what a person should know of how it was read or asked for; the answer is whole.
    """

    labels: tuple[Mapping[str, str], ...]
    offsets: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def series_of_sample(self) -> NDArray[np.int64]:
        """int64[samples], the series that each sample belongs to."""
        return np.repeat(np.arange(len(self.labels)), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label condition of a selector; op is one of =, !=, =~, !~."""

    label: str
    op: str
    value: str

    @property
    def promql(self) -> str:
        """As PromQL has it, the value escaped."""
        text = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.label}{self.op}"{text}"'


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series to read: a metric name and conditions on its labels.

    native: only native histograms of that name, as the classic buckets that they stand for; not
    those whose classic buckets an earlier selector has read.
    """

    metric: str
    matchers: tuple[Matcher, ...] = ()
    native: bool = False

    @property
    def promql(self) -> str:
        """As PromQL has it."""
        return f"{self.metric}{{{','.join(matcher.promql for matcher in self.matchers)}}}"


class SampleSource(Protocol):
    """Where raw samples come from: a Prometheus, or a recording of one."""

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """Every sample with start_ms < time <= end_ms of every series that any selector matches.

        A series without such a sample is left out. Raises SourceUnavailable or SourceRefused.
        """
        ...

    def metric_names(self) -> Sequence[str]:
        """The names of all metrics, also of those that nothing here reads.

        Raises SourceUnavailable or SourceRefused.
        """
        ...


class SourceUnavailable(SourceError):
    """The source can't be reached or kept failing after the retries: later may help."""


class SourceRefused(SourceError):
    """The source understood and said no (selector, rights, limits): again won't help."""


class TooMuch(SourceRefused):
    """So much was answered that less is to be asked for at once."""


def join_samples(pieces: Sequence[Samples]) -> Samples:
    """The pieces as one; a series that several of them hold becomes one series, in time's order.

    pieces: those of one selector in time's order; selectors may overlap, and a sample that was
    read twice is held once.
    """
    warnings = tuple(dict.fromkeys(w for piece in pieces for w in piece.warnings))
    notes = tuple(dict.fromkeys(note for piece in pieces for note in piece.notes))
    filled = [piece for piece in pieces if piece.labels] or list(pieces[:1])
    if len(filled) == 1:
        return in_order(replace(filled[0], warnings=warnings, notes=notes))
    index: dict[frozenset[tuple[str, str]], int] = {}
    owners = [
        np.array([index.setdefault(frozenset(one.items()), len(index)) for one in piece.labels])
        for piece in filled
    ]
    sizes = np.zeros(len(index), dtype=np.int64)
    for piece, owner in zip(filled, owners, strict=True):
        np.add.at(sizes, owner.astype(np.int64), np.diff(piece.offsets))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    ts_ms, values = np.empty(offsets[-1], np.int64), np.empty(offsets[-1], np.float64)
    free = offsets[:-1].tolist()
    for piece, owner in zip(filled, owners, strict=True):
        for series, (begin, end) in zip(
            owner.tolist(), pairwise(piece.offsets.tolist()), strict=True
        ):
            place = slice(free[series], free[series] + end - begin)
            ts_ms[place], values[place] = piece.ts_ms[begin:end], piece.values[begin:end]
            free[series] = place.stop
    labels = tuple(dict(sorted(key)) for key in index)
    return in_order(Samples(labels, offsets, ts_ms, values, warnings, notes))


def in_order(samples: Samples) -> Samples:
    """The samples in time's order within each series, no time twice."""
    falling = samples.ts_ms[1:] <= samples.ts_ms[:-1]
    inner = samples.offsets[(samples.offsets > 0) & (samples.offsets < samples.ts_ms.size)]
    falling[inner - 1] = False  # from one series to the next, time may fall
    if not falling.any():
        return samples
    order = np.lexsort((samples.ts_ms, samples.series_of_sample))
    series, ts_ms = samples.series_of_sample[order], samples.ts_ms[order]
    first = np.ones(ts_ms.size, dtype=bool)
    first[1:] = (np.diff(series) != 0) | (np.diff(ts_ms) != 0)
    return kept_samples(replace(samples, ts_ms=ts_ms, values=samples.values[order]), first)


def kept_samples(samples: Samples, keep: NDArray[np.bool_]) -> Samples:
    """The samples where keep, bool[samples], is true; a series without any is left out."""
    if keep.all() and np.diff(samples.offsets).all():
        return samples
    ends = np.concatenate([[0], np.cumsum(keep)])[samples.offsets]
    filled = np.diff(ends) > 0
    return replace(
        samples,
        labels=tuple(
            one for one, is_filled in zip(samples.labels, filled, strict=True) if is_filled
        ),
        offsets=np.concatenate([[0], ends[1:][filled]]).astype(np.int64),
        ts_ms=samples.ts_ms[keep],
        values=samples.values[keep],
    )


def finite(samples: Samples) -> Samples:
    """Instead of NaN and infinite values those before them in the series; it is said how many."""
    return _mended(samples, ~np.isfinite(samples.values), "not finite")


def countable(samples: Samples, *, largest: float = np.inf) -> Samples:
    """Instead of values that no counter has, negative or too large, those before them."""
    odd = (samples.values < 0) | (samples.values > largest)
    return _mended(samples, odd, "negative or too large to count")


def _mended(samples: Samples, odd: NDArray[np.bool_], what: str) -> Samples:
    """An odd value says nothing of the count, but that its series was there: were it left out, the
    next would look like the first of a counter that began again, and count whole.

    A note, or a warning where a series stays odd: the answer is partial then.
    """
    if not odd.any():
        return samples
    names = sorted({samples.labels[i].get("__name__", "?") for i in samples.series_of_sample[odd]})
    said = (
        f"{what}: {counted(int(odd.sum()), 'sample')} of {', '.join(names)}; "
        "the values before them are taken"
    )
    ends = samples.offsets[1:]
    sound = np.concatenate(([0], np.cumsum(~odd)))
    lasts = sound[ends] == sound[np.maximum(ends - _LASTING, 0)]
    if (lasts & (np.diff(samples.offsets) >= _LASTING)).any():
        samples = replace(samples, warnings=(*samples.warnings, f"{said}, and no count is known"))
    else:
        samples = replace(samples, notes=(*samples.notes, said))
    source = _usual(samples, odd)
    return kept_samples(replace(samples, values=samples.values[source]), ~odd[source])


def _usual(samples: Samples, odd: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64[samples]: of odd ones the sample before in the series that isn't, or else the next."""
    place = np.arange(len(odd))
    before = np.maximum.accumulate(np.where(odd, -1, place))
    after = np.minimum.accumulate(np.where(odd, len(odd), place)[::-1])[::-1]
    series = samples.series_of_sample
    source = np.where(before >= samples.offsets[series], before, after)
    return np.where(source < samples.offsets[series + 1], source, place)
