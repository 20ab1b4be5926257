"""Pulls the counters and queries that metrics name into the warehouse: exact and idempotent."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from analysis.counting.counters import Reason
from analysis.counting.lost_exposure import Cause
from analysis.strategies.declaration import PAIR
from flows.formats.freed_memory import keep_freed_memory
from flows.formats.text import counted
from flows.formats.time import milliseconds
from flows.ingest.measured.asked_series import AskedSeries, asked_of, pulled_as
from flows.ingest.requests.counts import WindowCounts, range_of
from flows.ingest.requests.mesh.family import VariantsOverlap
from flows.ingest.requests.plain_counters import (
    BucketRows,
    CountedWindow,
    count_plain,
    joined_rows,
    load_buckets,
    summed,
)
from flows.ingest.requests.replicas import without_replicas
from flows.ingest.requests.windows import (
    NewWindow,
    Window,
    bucket_ms,
    known_and_pending,
    spans_of,
)
from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.samples import (
    Matcher,
    Samples,
    SampleSource,
    Selector,
    SourceRefused,
    countable,
)
from flows.spec.experiment import Experiment
from flows.spec.measured import Gauge, parse_selector

# Labels of the scraped target: the rest says what a series counts, whoever scraped it.
_OF_TARGETS = frozenset(
    [
        "job",
        "instance",
        "endpoint",
        "container",
        "pod",
        "pod_name",
        "kubernetes_pod_name",
        "namespace",
        "kubernetes_namespace",
        "node",
    ]
)

# Windows, what makes the answer partial, and what else is to be known of it.
_Answer = tuple[list[CountedWindow], tuple[str, ...], tuple[str, ...]]
Read = Callable[[Sequence[Window]], _Answer]


@dataclass(frozen=True, slots=True)
class MeasuredPull:
    """What one pull of the spec's own counters and queries did."""

    metrics: int
    windows: int
    warnings: tuple[str, ...]

    @property
    def summary(self) -> str:
        """One sentence."""
        return f"{counted(self.windows, 'window')} of {counted(self.metrics, 'measured metric')}"


def pull_measured(
    spec: Experiment, source: SampleSource, warehouse: Path, *, until_ms: int
) -> MeasuredPull:
    """Brings every such metric up to until_ms, floored to a bucket; again changes nothing.

    A metric without any series is written down as that: nothing is known of it.
    Raises SourceUnavailable, SourceRefused, WarehouseBusy or WarehouseUnusable.
    """
    keep_freed_memory()
    written, warnings = 0, dict[str, None]()
    for name in spec.pulled_series:
        asked = asked_of(spec, name)
        _, pending = known_and_pending(
            warehouse, spec, pulled_as(name), until_ms, selection=asked.selection
        )
        read = _reader(spec, source, asked)
        for windows in spans_of(pending):
            found, said, of_answer = read(windows)
            done = load_buckets(
                warehouse,
                spec,
                pulled_as(name),
                found,
                metric=name,
                selection=asked.selection,
                warnings=said,
            )
            written += len(done.windows)
            notes = (note for each in found for note in each.new.notes)
            warnings |= dict.fromkeys(
                f"{name}: {one}" for one in (*said, *of_answer, *done.kept, *notes)
            )
    return MeasuredPull(len(spec.pulled_series), written, tuple(warnings))


def _reader(spec: Experiment, source: SampleSource, asked: AskedSeries) -> Read:
    if isinstance(spec.pulled_series[asked.metric], Gauge):
        if not isinstance(source, PrometheusSamples):
            raise SourceRefused(
                f"{asked.metric}: a recording answers no query; name a server in sources.metrics"
            )
        return lambda windows: _query(spec, source, asked, windows)
    return lambda windows: _count(spec, source, asked, windows)


def _query(
    spec: Experiment, source: PrometheusSamples, asked: AskedSeries, windows: Sequence[Window]
) -> _Answer:
    """The value of each bucket is what the query says at its end."""
    width = bucket_ms(spec)
    rows = defaultdict[int, list[tuple[int, int, float]]](list)
    owners = tuple(asked.texts)
    notes = defaultdict[int, dict[str, None]](dict)
    said, of_answer = dict[str, None](), dict[str, None]()
    starts = np.array([window.start_ms for window in windows])
    for owner, ((variant, _), text) in enumerate(asked.texts.items()):
        begin, end = windows[0].start_ms + width, windows[-1].end_ms
        try:
            samples = source.read_query(text, begin, end, width)
        except SourceRefused as error:
            raise SourceRefused(f"{asked.metric}: {error}; the query is {text}") from error
        said |= dict.fromkeys(samples.warnings)
        of_answer |= dict.fromkeys(samples.notes)
        times, how_many = np.unique(samples.ts_ms, return_counts=True)
        values = samples.values[np.argsort(samples.ts_ms, kind="stable")]
        single = values[np.cumsum(how_many) - 1]
        for at, several, value in zip(times.tolist(), how_many > 1, single, strict=True):
            window = int(starts[np.searchsorted(starts, at - 1, side="right") - 1])
            if several:
                notes[window][
                    f"the query has several series for {variant}, so none is its value: sum or "
                    "average them"
                ] = None
                continue
            rows[window].append((owner, at - width, float(value)))
    return (
        [
            CountedWindow(
                NewWindow(
                    w,
                    len(found),
                    len(found),
                    0,
                    tuple(notes[w.start_ms]),
                    np.array([one[1] + width for one in found], np.int64),
                    np.zeros(0, np.int64),
                ),
                BucketRows(
                    owners,
                    np.array([one[0] for one in found], np.int64),
                    np.array([one[1] for one in found], np.int64),
                    np.array([one[2] for one in found], np.float64),
                ),
            )
            for w in windows
            for found in (rows[w.start_ms],)
        ],
        tuple(said),
        tuple(of_answer),
    )


def _count(
    spec: Experiment, source: SampleSource, asked: AskedSeries, windows: Sequence[Window]
) -> _Answer:
    """Every window's differences by variant and part, in the bucket in which they were scraped."""
    server = spec.metrics_server
    interval_ms = milliseconds(server.scrape_interval) if server else 0
    owners: list[tuple[str, str]] = []
    pieces: list[Samples] = []
    for (variant, part), text in asked.texts.items():
        parsed = parse_selector(text)
        selector = Selector(parsed.metric, tuple(Matcher(*one) for one in parsed.matchers))
        read = source.read([selector], *range_of(windows, interval_ms))
        found = without_replicas(countable(read))
        pieces.append(found)
        label = asked.by.get(part)
        owners += [
            (variant, part if label is None else f"{part}:{_values_of(one, label)}")
            for one in found.labels
        ]
    samples = _joined(pieces)
    _check_apart(asked.metric, samples.labels, owners)
    counted_by = [
        (*owner, frozenset((k, v) for k, v in labels.items() if k not in _OF_TARGETS))
        for owner, labels in zip(owners, samples.labels, strict=True)
    ]
    counts, said = count_plain(
        source, samples, windows, counted=counted_by, interval_ms=interval_ms
    )
    said = tuple(dict.fromkeys((*samples.warnings, *said)))
    return [_of_window(spec, owners, one) for one in counts], said, samples.notes


def _values_of(labels: Mapping[str, str], by: str) -> str:
    """The values of one label, or of several with a comma between."""
    return PAIR.join(labels.get(one, "") for one in by.split(","))


def _joined(pieces: Sequence[Samples]) -> Samples:
    """All series one after the other, also those that two parts count."""
    if len(pieces) == 1:
        return pieces[0]
    ends = np.cumsum([0, *(int(piece.offsets[-1]) for piece in pieces)])
    return Samples(
        labels=tuple(labels for piece in pieces for labels in piece.labels),
        offsets=np.concatenate(
            [np.zeros(1, np.int64)]
            + [piece.offsets[1:] + end for piece, end in zip(pieces, ends, strict=False)]
        ),
        ts_ms=np.concatenate([piece.ts_ms for piece in pieces]),
        values=np.concatenate([piece.values for piece in pieces]),
        warnings=tuple(dict.fromkeys(w for piece in pieces for w in piece.warnings)),
        notes=tuple(dict.fromkeys(n for piece in pieces for n in piece.notes)),
    )


def _check_apart(
    metric: str, labels: Sequence[Mapping[str, str]], owners: Sequence[tuple[str, str]]
) -> None:
    """One series of two variants would make them look alike."""
    first: dict[tuple[str, frozenset[tuple[str, str]]], str] = {}
    for one, (variant, part) in zip(labels, owners, strict=True):
        other = first.setdefault((part, frozenset(one.items())), variant)
        if other != variant:
            raise VariantsOverlap(
                f"{metric}: a series of {one.get('__name__', '?')} is counted for {other} and for "
                f"{variant}; its selector must tell them apart"
            )


def _of_window(
    spec: Experiment, owners: Sequence[tuple[str, str]], counts: WindowCounts
) -> CountedWindow:
    """Sums by variant, part and bucket; of what no scrape saw too, as a part of its own."""
    known = counts.reason != Reason.BASELINE
    rows = [summed(spec, owners, counts.series[known], counts.ts_ms[known], counts.delta[known])]
    whole = "of" if any(part == "of" for _, part in owners) else "part"
    lost = [(variant, "lost" if part == whole else "") for variant, part in owners]
    for loss in counts.losses:
        if loss.cause is not Cause.GAP:  # counted, at an uncertain time
            found = summed(spec, lost, loss.series, loss.ts_ms, loss.requests)
            is_whole = np.array([bool(part) for _, part in found.owners], np.bool_)
            rows.append(found.where(is_whole[found.owner] & (found.amount > 0)))
    samples = len(counts.ts_ms)
    new = NewWindow(
        counts.window,
        samples,
        samples,
        counts.targets_up,
        counts.notes,
        counts.ts_ms,
        counts.good_ms,
    )
    return CountedWindow(new, joined_rows(rows))
