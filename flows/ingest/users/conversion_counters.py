"""Conversions that a service counts itself: exact differences of Prometheus counters."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flows.formats.time import milliseconds, milliseconds_of
from flows.ingest.requests.counts import WindowCounts, range_of
from flows.ingest.requests.plain_counters import (
    CountedWindow,
    count_plain,
    joined_rows,
    load_buckets,
    summed,
)
from flows.ingest.requests.replicas import without_replicas
from flows.ingest.requests.windows import (
    NewWindow,
    bucket_ms,
    known_and_pending,
    selection_of,
    spans_of,
)
from flows.ingest.sources.samples import (
    Matcher,
    Samples,
    SampleSource,
    Selector,
    SourceRefused,
    countable,
    take,
)
from flows.ingest.users.pull_report import ConversionPull
from flows.spec.experiment import Experiment
from flows.spec.sources import CounterSource


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
    selection = _selection(spec, counters)
    loaded, pending = known_and_pending(
        warehouse, spec, "conversions", until_ms, selection=selection
    )
    has_series = bool(loaded)
    selector = Selector(counters.metric, (Matcher("experiment", "=", spec.experiment),))
    users, warnings = Counter[tuple[str, str]](), dict[str, None]()
    foreign = written = 0
    for windows in spans_of(pending):
        read = source.read([selector], *range_of(windows, interval_ms))
        samples = without_replicas(countable(read))
        ours = _ours(spec, samples)
        has_series |= bool(ours.labels)
        foreign = max(foreign, len(samples.labels) - len(ours.labels))
        counts, said = count_plain(
            source,
            ours,
            windows,
            counted=[_key_of(labels) for labels in ours.labels],
            interval_ms=interval_ms,
        )
        counted = [_users_of(spec, ours, one) for one in counts]
        said = tuple(dict.fromkeys((*samples.warnings, *said)))
        warnings |= dict.fromkeys((*said, *samples.notes))
        # Windows before the first series hold nothing; without any the metric may be misspelt.
        if has_series:
            done = load_buckets(
                warehouse,
                spec,
                "conversions",
                counted,
                metric="",
                selection=selection,
                warnings=said,
            )
            warnings |= dict.fromkeys(done.kept)
            warnings |= dict.fromkeys(n for each in done.windows for n in each.new.notes)
            written += len(done.windows)
            for owner, amount in joined_rows([each.rows for each in done.windows]).totals().items():
                users[owner] += round(amount)
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
    own = counts.ts_ms > _first_bucket_ms(spec)
    keys = [_key_of(labels) for labels in samples.labels]
    kept = own & (counts.delta > 0)
    users = np.round(counts.delta[kept])
    rows = summed(spec, keys, counts.series[kept], counts.ts_ms[kept], users)
    new = NewWindow(
        counts.window,
        len(own),
        int(own.sum()),
        counts.targets_up,
        counts.notes,
        counts.ts_ms[own],
        counts.good_ms,
    )
    return CountedWindow(new, rows)


def _key_of(labels: Mapping[str, str]) -> tuple[str, str]:
    return labels["variant"], labels.get("outcome", "")


def _first_bucket_ms(spec: Experiment) -> int:
    """Where the plan's first whole bucket begins; 0 while its start isn't configured."""
    if spec.plan.start is None:
        return 0
    width = bucket_ms(spec)
    return -(-milliseconds_of(spec.plan.start) // width) * width


def _selection(spec: Experiment, counters: CounterSource) -> str:
    """Identity of what is counted; another start counts other users of the same window."""
    first = _first_bucket_ms(spec)
    text = f"{selection_of(spec)} {counters.metric} {counters.exposed} {first}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
