"""Conversions that a service counts itself: exact differences of Prometheus counters."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np

from flows.formats.time import milliseconds
from flows.ingest.requests.counts import WindowCounts, range_of
from flows.ingest.requests.plain_counters import count_plain
from flows.ingest.requests.windows import (
    NewWindow,
    bucket_ms,
    loaded_windows,
    next_span,
    pending_windows,
)
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
    conversion_selection,
    first_bucket_ms,
    load_conversions,
)
from flows.ingest.users.pull_report import ConversionPull
from flows.spec.experiment import Experiment
from flows.spec.sources import CounterSource
from flows.warehouse.connection import open_writer

# Read at once: few series, so a day fits.
_MOST_WINDOWS = 24


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
    interval_ms = milliseconds(counters.prometheus.scrape_interval)
    with open_writer(warehouse) as con:
        loaded = loaded_windows(con, spec, "conversions")
    selection = conversion_selection(spec, counters)
    pending = pending_windows(spec, loaded, until_ms, selection=selection)
    selector = Selector(counters.metric, (Matcher("experiment", "=", spec.experiment),))
    users, warnings = Counter[tuple[str, str]](), dict[str, None]()
    foreign = written = 0
    has_series, done = bool(loaded), 0
    while done < len(pending):
        windows = next_span(pending[done:], _MOST_WINDOWS)
        samples = without_replicas(source.read([selector], *range_of(windows, interval_ms)))
        ours = _ours(spec, samples)
        has_series |= bool(ours.labels)
        foreign = max(foreign, len(samples.labels) - len(ours.labels))
        counts, said = count_plain(
            source,
            ours,
            windows,
            counted=[(labels["variant"], labels.get("outcome", "")) for labels in ours.labels],
            interval_ms=interval_ms,
        )
        counted = [_users_of(spec, ours, one) for one in counts]
        said = tuple(dict.fromkeys((*samples.warnings, *said)))
        warnings |= dict.fromkeys((*said, *samples.notes))
        # Windows before the first series hold nothing; without any the metric may be misspelt.
        if has_series:
            done_now = load_conversions(warehouse, spec, counters, counted, said)
            warnings |= dict.fromkeys(done_now.kept)
            warnings |= dict.fromkeys(n for each in done_now.windows for n in each.new.notes)
            written += len(done_now.windows)
            for each in done_now.windows:
                for (variant, outcome, _), count in each.users.items():
                    users[variant, outcome] += count
        done += len(windows)
    if pending and not has_series:
        raise _nothing(spec, counters, foreign)
    return ConversionPull(written, users, foreign, tuple(warnings))


def _ours(spec: Experiment, samples: Samples) -> Samples:
    """The series that name a variant of the spec."""
    return take(
        samples,
        [i for i, labels in enumerate(samples.labels) if labels.get("variant") in spec.variants],
    )


def _users_of(spec: Experiment, samples: Samples, counts: WindowCounts) -> CountedWindow:
    # A window begins on the hour, the experiment within it: users before that aren't its own.
    own = counts.ts_ms > first_bucket_ms(spec)
    width = bucket_ms(spec)
    bucket = (counts.ts_ms - 1) // width * width
    users = Counter[Key]()
    for index in np.flatnonzero(own & (counts.delta > 0)).tolist():
        labels = samples.labels[counts.series[index]]
        key = (labels["variant"], labels.get("outcome", ""), int(bucket[index]))
        users[key] += round(float(counts.delta[index]))
    new = NewWindow(counts.window, len(own), int(own.sum()), counts.targets_up, counts.notes)
    return CountedWindow(new, users)


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
