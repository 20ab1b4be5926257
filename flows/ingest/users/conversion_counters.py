"""Conversions that a service counts itself: exact differences of Prometheus counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.counting.counters import CounterSeries, difference
from analysis.counting.scrape_evidence import ScrapeEvidence
from flows.formats.text import counted
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.scrapes import evidence_of, read_evidence
from flows.ingest.requests.series import target_of
from flows.ingest.requests.windows import Window, bucket_ms, next_span, pending_windows
from flows.ingest.sources.samples import (
    Matcher,
    Samples,
    SampleSource,
    Selector,
    SourceRefused,
    take,
    without_replicas,
)
from flows.ingest.users.conversion_load import (
    CountedWindow,
    Key,
    first_bucket_ms,
    load_conversions,
    loaded_conversions,
)
from flows.spec.experiment import Experiment, Mesh
from flows.spec.sources import CounterSource
from flows.warehouse.connection import open_writer

# Read at once: few series, so a day fits.
_MOST_WINDOWS = 24


_LEAST_MARGIN_MS = 300_000


_MARGIN_SCRAPES = 20


# Of a family only the start metrics matter here: plain client libraries export that of Linkerd's.
_PLAIN = FAMILIES[Mesh.LINKERD]


def pull_conversions(
    spec: Experiment, source: SampleSource, warehouse: Path, *, until_ms: int
) -> ConversionPull:
    """Brings the conversion counts up to until_ms, floored to a bucket; again changes nothing.

    Raises SourceUnavailable or SourceRefused (a metric without series among them), WarehouseBusy
    or WarehouseUnusable.
    """
    counters = spec.sources.conversions
    if counters is None:
        raise ValueError(f"{spec.experiment}: the spec has no sources.conversions")
    with open_writer(warehouse) as con:
        loaded = loaded_conversions(con, spec, counters)
    pending = pending_windows(spec, loaded, until_ms)
    users, warnings = Counter[tuple[str, str]](), dict[str, None]()
    foreign = written = 0
    has_series, done = bool(loaded), 0
    while done < len(pending):
        windows = next_span(pending[done:], _MOST_WINDOWS)
        samples = _read(spec, counters, source, windows)
        ours = _ours(spec, samples)
        has_series |= bool(ours.labels)
        foreign = max(foreign, len(samples.labels) - len(ours.labels))
        counted, said = _count(spec, counters, source, ours, windows)
        said = tuple(dict.fromkeys((*samples.warnings, *said)))
        warnings |= dict.fromkeys((*said, *samples.notes))
        # Windows before the first series hold nothing; without any the metric may be misspelt.
        if has_series:
            for each in load_conversions(
                warehouse, spec, counters, counted, (*samples.warnings, *said)
            ):
                written += 1
                for (variant, outcome, _), count in each.users.items():
                    users[variant, outcome] += count
        done += len(windows)
    if pending and not has_series:
        raise _nothing(spec, counters, foreign)
    return ConversionPull(written, users, foreign, tuple(warnings))


def _margin_ms(counters: CounterSource) -> int:
    """How long before a window its samples still find their predecessor."""
    return max(_LEAST_MARGIN_MS, _MARGIN_SCRAPES * _interval_ms(counters))


def _interval_ms(counters: CounterSource) -> int:
    return round(counters.prometheus.scrape_interval.total_seconds() * 1000)


def _read(
    spec: Experiment, counters: CounterSource, source: SampleSource, windows: Sequence[Window]
) -> Samples:
    selector = Selector(counters.metric, (Matcher("experiment", "=", spec.experiment),))
    start_ms = windows[0].start_ms - _margin_ms(counters)
    return without_replicas(source.read([selector], start_ms, windows[-1].end_ms))


def _ours(spec: Experiment, samples: Samples) -> Samples:
    """The series that name a variant of the spec."""
    return take(
        samples,
        [i for i, labels in enumerate(samples.labels) if labels.get("variant") in spec.variants],
    )


def _count(
    spec: Experiment,
    counters: CounterSource,
    source: SampleSource,
    samples: Samples,
    windows: Sequence[Window],
) -> tuple[list[CountedWindow], tuple[str, ...]]:
    """Every window from its own range only, and what the source said beside its answer."""
    if not samples.labels:
        return [CountedWindow(window, {}, 0, 0) for window in windows], ()
    margin = _margin_ms(counters)
    start_ms, end_ms = windows[0].start_ms - margin, windows[-1].end_ms
    scraped = read_evidence(_PLAIN, samples.labels, source, start_ms, end_ms)
    of_series = [target_of(labels) for labels in samples.labels]
    targets = sorted(set(of_series))
    evidence = evidence_of(
        _PLAIN, targets, scraped, start_ms=start_ms, interval_ms=_interval_ms(counters)
    )
    target = np.searchsorted(targets, of_series).astype(np.int64)
    series = CounterSeries(samples.offsets, samples.ts_ms, samples.values, target)
    counted = [_count_window(spec, samples, series, evidence, w, margin) for w in windows]
    return counted, scraped.warnings


def _count_window(
    spec: Experiment,
    samples: Samples,
    series: CounterSeries,
    evidence: ScrapeEvidence,
    window: Window,
    margin: int,
) -> CountedWindow:
    part = series.cut(window.start_ms - margin, window.end_ms)
    known = evidence.cut(window.start_ms - margin, window.end_ms)
    delta = difference(part, known).delta
    row = np.repeat(np.arange(len(part.target)), np.diff(part.offsets))
    # A window begins on the hour, the experiment within it: users before that aren't its own.
    inside = part.ts_ms > max(window.start_ms, first_bucket_ms(spec))
    width = bucket_ms(spec)
    bucket = (part.ts_ms - 1) // width * width
    users = Counter[Key]()
    for index in np.flatnonzero(inside & (delta > 0)).tolist():
        labels = samples.labels[row[index]]
        key = (labels["variant"], labels.get("outcome", ""), int(bucket[index]))
        users[key] += round(float(delta[index]))
    rows = np.arange(len(known.scrapes.offsets) - 1)
    after, until = np.full(len(rows), window.start_ms), np.full(len(rows), window.end_ms + 1)
    good = int(known.good_scrapes.count_between(rows, after, until).sum())
    return CountedWindow(window, users, int(inside.sum()), good)


def _nothing(spec: Experiment, counters: CounterSource, foreign: int) -> SourceRefused:
    wanted = f'{counters.metric}{{experiment="{spec.experiment}"}}'
    if foreign:
        return SourceRefused(
            f"{wanted}: none of its {foreign} series has a `variant` that is one of "
            f"{', '.join(spec.variants)}"
        )
    return SourceRefused(
        f"{wanted}: no such series; conversions are counted in a metric with the labels "
        "experiment, variant and outcome"
    )


@dataclass(frozen=True, slots=True)
class ConversionPull:
    """What one pull of conversion counters did.

    windows: how many were written; users: by variant and outcome, in them; foreign_series: series
    of the metric that name no variant of the spec; server_warnings: what the source said.
    """

    windows: int
    users: Mapping[tuple[str, str], int]
    foreign_series: int = 0
    server_warnings: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """A part of a sentence."""
        counts = ", ".join(f"{v} {o} {n:,}" for (v, o), n in sorted(self.users.items()))
        windows = counted(self.windows, "window")
        return f"conversion counters in {windows}" + (f": {counts}" if counts else "")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know about the data."""
        if not self.foreign_series:
            return self.server_warnings
        foreign = f"{self.foreign_series} conversion series name no variant of the spec"
        return (*self.server_warnings, foreign)
