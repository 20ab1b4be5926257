"""Reads a stretch of an experiment's request series and counts it, window by window."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from flows.formats.time import milliseconds, shown_duration
from flows.ingest.requests.counts import WindowCounts, count_windows, range_of
from flows.ingest.requests.mesh.family import UNATTRIBUTED, Family, SeriesRole, selectors
from flows.ingest.requests.series import (
    RequestSeries,
    SeriesLabels,
    SeriesRow,
    experiment_series,
)
from flows.ingest.requests.windows import Window, bucket_ms, next_span
from flows.ingest.sources.samples import SampleSource, TooMuch, countable
from flows.spec.experiment import Experiment

# Read at most about so many samples at once: bounds the memory.
_MOST_SAMPLES = 2_000_000
# Beyond, a double is no exact count, and a sum of several none that a whole number holds.
_LARGEST_COUNT = 2.0**53
# Where the spec names no source of requests.
_USUAL_INTERVAL_MS = 15_000
# Scrapes jitter; several that come late are no hole in the data.
_RARER = 1.2
_SEVERAL = 5


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

    @property
    def variants(self) -> set[str]:
        """The variants that have a request series in the span."""
        found = {row.variant for row in self.series.rows if row.role is SeriesRole.REQUESTS}
        return found - {UNATTRIBUTED}


def counted_spans(
    family: Family,
    spec: Experiment,
    source: SampleSource,
    pending: Sequence[Window],
    *,
    largest: int = 0,
) -> Iterator[SpanCounts]:
    """All pending windows, so many at once as fit; at first one, if its size is unknown.

    largest: samples of the largest window that was read before, 0 if none was.
    Raises SourceUnavailable or SourceRefused (VariantsOverlap among them).
    """
    known = SeriesLabels(family, spec)
    most, done = _next_most(1, _MOST_SAMPLES // largest) if largest else 1, 0
    while done < len(pending):
        windows = next_span(pending[done:], most)
        try:
            span = _count_span(family, spec, source, windows, known)
        except TooMuch:
            if len(windows) == 1:
                raise
            most = len(windows) // 2
            continue
        yield span
        done += len(windows)
        most = _next_most(most, _MOST_SAMPLES * len(windows) // max(span.samples, 1))


def _next_most(most: int, fitting: int) -> int:
    return max(1, min(16 * most, fitting))


def _count_span(
    family: Family,
    spec: Experiment,
    source: SampleSource,
    windows: Sequence[Window],
    known: SeriesLabels,
) -> SpanCounts:
    given = spec.sources.requests
    interval_ms = milliseconds(given.scrape_interval) if given else _USUAL_INTERVAL_MS
    read = source.read(selectors(family, spec), *range_of(windows, interval_ms))
    samples = countable(read, largest=_LARGEST_COUNT)
    series = experiment_series(known, samples)
    counts, said = count_windows(
        family,
        source,
        series.counters,
        series.targets,
        windows,
        labels_of=lambda row: json.loads(series.rows[row].labels),
        counted=[_counted_by(row) for row in series.rows],
        interval_ms=interval_ms,
    )
    counts = tuple(
        replace(each, notes=(*each.notes, *_rare_scrapes(spec, each))) for each in counts
    )
    warnings = tuple(dict.fromkeys((*samples.warnings, *said)))
    return SpanCounts(series, counts, warnings, samples.notes)


def _rare_scrapes(spec: Experiment, counts: WindowCounts) -> Iterator[str]:
    """A sentence where most of a window's time lies between scrapes that are rarer than buckets."""
    longest = int(np.diff(counts.offsets).argmax()) if len(counts.offsets) > 1 else 0
    steps = np.sort(np.diff(counts.ts_ms[slice(*counts.offsets[longest : longest + 2])]))
    if not len(steps):
        return
    step = int(steps[np.searchsorted(steps.cumsum(), steps.sum() / 2)])
    if step > _RARER * bucket_ms(spec) and (steps >= step / _RARER).sum() >= _SEVERAL:
        seen, bucket = shown_duration(timedelta(seconds=round(step / 1000))), spec.plan.bucket
        yield (
            f"pods are scraped every {seen}, and plan.bucket is {shown_duration(bucket)}, so that "
            "hardly any bucket has requests of all versions to compare: set plan.bucket and "
            f"sources.requests.scrape_interval to {seen}"
        )


def _counted_by(row: SeriesRow) -> tuple[object, ...]:
    """What a series counts, whoever scraped it."""
    outcome = (row.outcome, row.response_code, row.grpc_status, row.response_flags)
    return (row.metric, row.variant, row.cohort, row.route, *outcome, row.le_ms)
