"""Counts what happened in each window: differences of counters, from the window's range only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, Differences, Reason, difference
from analysis.counting.lost_exposure import Losses, lost_exposure
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import stretches
from flows.ingest.requests.mesh.family import Family, Labels
from flows.ingest.requests.processes import Processes, processes_of
from flows.ingest.requests.scrapes import evidence_of, labels_apart, read_targets
from flows.ingest.requests.windows import Window
from flows.ingest.sources.samples import SampleSource

_LEAST_MARGIN_MS = 300_000
_MARGIN_SCRAPES = 20
# Between a target's name and what tells it from another of that name.
_APART = " of "


def _none() -> NDArray[np.int64]:
    return np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The samples of one window with their differences.

    offsets: int64[series + 1]; row i of the span owns samples offsets[i]:offsets[i + 1]. ts_ms,
    value, delta, reason: per sample. targets_up: good scrapes of the targets in the window. notes:
    how it was counted, where a person should know. started: by target, when its process started, as
    last seen. good_ms: int64, times of the good scrapes. unseen: int64, samples with which a target
    is first seen, of counters whose past isn't known; began_ms: int64, when its process started by
    then, 0 where nothing tells it.
    """

    window: Window
    offsets: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    delta: NDArray[np.float64]
    reason: NDArray[np.uint8]
    losses: tuple[Losses, ...]
    targets_up: int
    notes: tuple[str, ...] = ()
    started: Mapping[str, int] = field(default_factory=dict)
    good_ms: NDArray[np.int64] = field(default_factory=_none)
    unseen: NDArray[np.int64] = field(default_factory=_none)
    began_ms: NDArray[np.int64] = field(default_factory=_none)

    def since(self, start_ms: int) -> WindowCounts:
        """The same window without what was before a time in it."""
        if start_ms == self.window.start_ms:
            return self
        late, good_ms = self.ts_ms > start_ms, self.good_ms[self.good_ms > start_ms]
        place, is_kept = np.concatenate([[0], np.cumsum(late)]), late[self.unseen]
        return replace(
            self,
            window=Window(start_ms, self.window.end_ms),
            offsets=place[self.offsets],
            ts_ms=self.ts_ms[late],
            value=self.value[late],
            delta=self.delta[late],
            reason=self.reason[late],
            losses=tuple(loss.after(start_ms) for loss in self.losses),
            targets_up=len(good_ms),
            good_ms=good_ms,
            unseen=place[self.unseen[is_kept]],
            began_ms=self.began_ms[is_kept],
        )

    @property
    def series(self) -> NDArray[np.int64]:
        """int64[samples], the row of the span that each sample belongs to."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def range_of(windows: Sequence[Window], interval_ms: int) -> tuple[int, int]:
    """What is to be read for consecutive windows: their first samples need a predecessor."""
    return windows[0].start_ms - _margin_ms(interval_ms), windows[-1].end_ms


def count_windows(
    family: Family,
    source: SampleSource,
    counters: CounterSeries,
    targets: Mapping[str, Labels],
    windows: Sequence[Window],
    *,
    labels_of: Callable[[int], Labels],
    counted: Sequence[Hashable],
    interval_ms: int,
) -> tuple[tuple[WindowCounts, ...], tuple[str, ...]]:
    """Consecutive windows that were read at once, and what the source said of their scrapes.

    counters: samples of range_of; targets: labels of one series of each, in the order of
    counters.target; labels_of: those of each series. counted: by series, what it counts, whatever
    target has it: a pod that several jobs scrape is counted once. interval_ms: as the spec says it;
    targets with enough scrapes tell it themselves. Raises SourceUnavailable or SourceRefused.
    """
    if not targets:
        return tuple(_no_counts(window) for window in windows), ()
    start_ms, end_ms = range_of(windows, interval_ms)
    found = read_targets(family, targets, source, start_ms=start_ms, end_ms=end_ms)
    if apart := labels_apart(found, targets):
        counters, targets = _told_apart(counters, targets, labels_of, apart)
    scrapes = evidence_of(family, targets, found, start_ms=start_ms, interval_ms=interval_ms)
    margin_ms = _margin_ms(interval_ms)
    processes = processes_of(tuple(targets), tuple(targets.values()), counted)
    return (
        tuple(count_window(w, counters, scrapes, margin_ms, processes) for w in windows),
        found.warnings,
    )


def _told_apart(
    counters: CounterSeries,
    targets: Mapping[str, Labels],
    labels_of: Callable[[int], Labels],
    apart: Mapping[str, set[str]],
) -> tuple[CounterSeries, dict[str, Labels]]:
    """Pods of two clusters with one address, or one that two servers scrape, as two targets."""
    names, found = list(targets), dict[str, Labels]()
    for series, target in enumerate(counters.target.tolist()):
        labels = labels_of(series)
        told = [f"{each}={labels[each]}" for each in apart.get(names[target], ()) if each in labels]
        names.append(f"{names[target]}{_APART}{', '.join(sorted(told))}" if told else names[target])
        found[names[-1]] = labels
    ordered = dict(sorted(found.items()))
    target = np.searchsorted(list(ordered), names[len(targets) :]).astype(np.int64)
    return replace(counters, target=target), ordered


def count_window(
    window: Window,
    counters: CounterSeries,
    scrapes: ScrapeEvidence,
    margin_ms: int,
    processes: Processes,
) -> WindowCounts:
    """One window from its own range, so that its counts don't depend on what was read with it."""
    part = counters.cut(window.start_ms - margin_ms, window.end_ms)
    known = scrapes.cut(window.start_ms - margin_ms, window.end_ms)
    differences = difference(part, processes.without_known_starts(part, known))
    losses = lost_exposure(part, differences, known, until_ms=window.end_ms)
    repeats = processes.repeated(part)
    inside = np.flatnonzero((part.ts_ms > window.start_ms) & ~repeats.repeated)
    counted_elsewhere = part.of_sample(np.flatnonzero(repeats.repeated))
    good_ms = _good_scrapes(part, known, window)
    unseen, began_ms = _first_seen(part, known, differences)
    place = np.searchsorted(inside, unseen)
    is_inside = np.isin(unseen, inside)
    return WindowCounts(
        window,
        offsets=np.searchsorted(inside, part.offsets).astype(np.int64),
        ts_ms=part.ts_ms.take(inside),
        value=part.values.take(inside),
        delta=differences.delta.take(inside),
        reason=differences.reason.take(inside),
        losses=tuple(loss.after(window.start_ms).without(counted_elsewhere) for loss in losses),
        targets_up=len(good_ms),
        notes=processes.describe(repeats),
        started=dict(_starts(processes.targets, known)),
        good_ms=good_ms,
        unseen=place[is_inside],
        began_ms=began_ms[is_inside],
    )


def _first_seen(
    part: CounterSeries, known: ScrapeEvidence, differences: Differences
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First samples of unknown past, of targets that weren't seen before, and their start times."""
    sample = np.flatnonzero(differences.reason == Reason.BASELINE)
    row = part.of_sample(sample)
    target, now = part.target[row], part.ts_ms[sample]
    filled = np.flatnonzero(np.diff(part.offsets))
    first = np.full(len(known.scrapes.offsets) - 1, np.iinfo(np.int64).max)
    np.minimum.at(first, part.target[filled], part.ts_ms[part.offsets[filled]])
    is_first = (sample == part.offsets[row]) & (first[target] == now)
    is_first &= ~known.good_scrapes.last_before(target, now)[0]
    sample, target, now = sample[is_first], target[is_first], now[is_first]
    start = known.starts.first_at(target, now + 1) - 1
    is_told = start >= known.starts.offsets[target]
    began_ms = np.zeros(len(sample), np.int64)
    began_ms[is_told] = known.started_ms[start[is_told]]
    return sample, began_ms


def _starts(targets: Sequence[str], known: ScrapeEvidence) -> Iterator[tuple[str, int]]:
    """Of each target whose start time was seen: the latest."""
    for name, begin, end in zip(
        targets, known.starts.offsets[:-1], known.starts.offsets[1:], strict=True
    ):
        if end > begin:
            yield name.partition(_APART)[0], int(known.started_ms[end - 1])


def _margin_ms(interval_ms: int) -> int:
    """How long before a window its samples still find their predecessor."""
    return max(_LEAST_MARGIN_MS, _MARGIN_SCRAPES * interval_ms)


def _no_counts(window: Window) -> WindowCounts:
    ints, floats = np.zeros(0, np.int64), np.zeros(0)
    return WindowCounts(
        window, np.zeros(1, np.int64), ints, floats, floats, np.zeros(0, np.uint8), (), 0
    )


def _good_scrapes(
    part: CounterSeries, evidence: ScrapeEvidence, window: Window
) -> NDArray[np.int64]:
    """Times of good scrapes inside the window of the targets that have samples around it."""
    present = np.unique(part.target[np.diff(part.offsets) > 0])
    good = evidence.good_scrapes
    begins, ends = good.within(window.start_ms, window.end_ms)
    return stretches(good.ms, begins[present], ends[present])
