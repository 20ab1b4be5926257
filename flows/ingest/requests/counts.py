"""Reads a stretch of samples and counts it, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries, difference
from analysis.counting.lost_exposure import Losses, lost_exposure
from analysis.counting.scrape_evidence import ScrapeEvidence
from flows.ingest.requests.mesh.family import Family, selectors
from flows.ingest.requests.scrapes import evidence_of, read_evidence
from flows.ingest.requests.series import RequestSeries, experiment_series
from flows.ingest.requests.windows import Window
from flows.ingest.sources.samples import SampleSource
from flows.spec.experiment import Experiment

_LEAST_MARGIN_MS = 300_000
_MARGIN_SCRAPES = 20


@dataclass(frozen=True, slots=True)
class WindowCounts:
    """The samples of one window with their differences.

    series: int64[samples], index into the rows of the span; ts_ms, value, delta, reason: per
    sample. targets_up: good scrapes of the targets in the window.
    """

    window: Window
    series: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    value: NDArray[np.float64]
    delta: NDArray[np.float64]
    reason: NDArray[np.uint8]
    losses: tuple[Losses, ...]
    targets_up: int


@dataclass(frozen=True, slots=True)
class SpanCounts:
    """Consecutive windows that were read at once; warnings are the server's,
    notes ours on how it was read."""

    series: RequestSeries
    windows: tuple[WindowCounts, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """How many samples the windows have."""
        return sum(len(window.ts_ms) for window in self.windows)


def scrape_interval_ms(spec: Experiment) -> int:
    """What the spec says of the source; targets with enough scrapes tell it themselves."""
    source = spec.sources.requests
    return round(source.scrape_interval.total_seconds() * 1000) if source else 15_000


def margin_ms(spec: Experiment) -> int:
    """How long before a window its samples still find their predecessor."""
    return max(_LEAST_MARGIN_MS, _MARGIN_SCRAPES * scrape_interval_ms(spec))


def count_span(
    family: Family, spec: Experiment, source: SampleSource, windows: Sequence[Window]
) -> SpanCounts:
    """Reads the windows at once, and counts each from its own range only.

    So a window's counts don't depend on which others were read with it. Raises SourceUnavailable
    or SourceRefused (VariantsOverlap among them).
    """
    start_ms, end_ms = windows[0].start_ms - margin_ms(spec), windows[-1].end_ms
    samples = source.read(selectors(family, spec), start_ms, end_ms)
    series = experiment_series(family, spec, samples)
    if not series.rows:
        empty = tuple(_no_counts(window) for window in windows)
        return SpanCounts(series, empty, samples.warnings, samples.notes)
    scraped = read_evidence(family, series.target_labels, source, start_ms, end_ms)
    evidence = evidence_of(
        family,
        series.targets,
        scraped,
        start_ms=start_ms,
        interval_ms=scrape_interval_ms(spec),
    )
    counts = tuple(_count(window, series.counters, evidence, margin_ms(spec)) for window in windows)
    warnings = dict.fromkeys((*samples.warnings, *scraped.warnings))
    return SpanCounts(series, counts, tuple(warnings), samples.notes)


def _no_counts(window: Window) -> WindowCounts:
    ints, floats = np.zeros(0, np.int64), np.zeros(0)
    return WindowCounts(window, ints, ints, floats, floats, np.zeros(0, np.uint8), (), 0)


def _count(
    window: Window, series: CounterSeries, evidence: ScrapeEvidence, margin: int
) -> WindowCounts:
    part = series.cut(window.start_ms - margin, window.end_ms)
    known = evidence.cut(window.start_ms - margin, window.end_ms)
    differences = difference(part, known)
    losses = lost_exposure(part, differences, known, until_ms=window.end_ms)
    counted = part.ts_ms > window.start_ms
    row = np.repeat(np.arange(len(part.target)), np.diff(part.offsets))
    return WindowCounts(
        window,
        series=row[counted],
        ts_ms=part.ts_ms[counted],
        value=part.values[counted],
        delta=differences.delta[counted],
        reason=differences.reason[counted],
        losses=tuple(loss.after(window.start_ms) for loss in losses),
        targets_up=_good_scrapes(part, known, window),
    )


def _good_scrapes(part: CounterSeries, evidence: ScrapeEvidence, window: Window) -> int:
    """Good scrapes inside the window of the targets that have samples around it."""
    present = np.unique(part.target[np.diff(part.offsets) > 0])
    good = evidence.good_scrapes
    after = np.full(len(present), window.start_ms)
    until = np.full(len(present), window.end_ms + 1)
    return int(good.count_between(present, after, until).sum())
