"""Counts what happened in each window: differences of counters, from the window's range only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, difference
from analysis.counting.lost_exposure import Losses, lost_exposure
from analysis.counting.scrape_evidence import ScrapeEvidence
from flows.ingest.requests.mesh.family import Family, Labels
from flows.ingest.requests.processes import Processes, processes_of
from flows.ingest.requests.scrapes import evidence_of, labels_apart, read_targets
from flows.ingest.requests.windows import Window
from flows.ingest.sources.samples import SampleSource

_LEAST_MARGIN_MS = 300_000
_MARGIN_SCRAPES = 20
# Between a target's name and what tells it from another of that name.
_APART = " of "


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The samples of one window with their differences.

    offsets: int64[series + 1]; row i of the span owns samples offsets[i]:offsets[i + 1]. ts_ms,
    value, delta, reason: per sample. targets_up: good scrapes of the targets in the window. notes:
    how it was counted, where a person should know. started: by target, when its process started, as
    last seen.
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
    return WindowCounts(
        window,
        offsets=np.searchsorted(inside, part.offsets).astype(np.int64),
        ts_ms=part.ts_ms.take(inside),
        value=part.values.take(inside),
        delta=differences.delta.take(inside),
        reason=differences.reason.take(inside),
        losses=tuple(loss.after(window.start_ms).without(counted_elsewhere) for loss in losses),
        targets_up=_good_scrapes(part, known, window),
        notes=processes.describe(repeats),
        started=dict(_starts(processes.targets, known)),
    )


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


def _good_scrapes(part: CounterSeries, evidence: ScrapeEvidence, window: Window) -> int:
    """Good scrapes inside the window of the targets that have samples around it."""
    present = np.unique(part.target[np.diff(part.offsets) > 0])
    good = evidence.good_scrapes
    after = np.full(len(present), window.start_ms)
    until = np.full(len(present), window.end_ms + 1)
    return int(good.count_between(present, after, until).sum())
