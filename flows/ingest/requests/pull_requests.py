"""Pulls an experiment's request counts into the warehouse: exact, idempotent, all or nothing."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from analysis.counting.lost_exposure import Cause
from analysis.requests.outcomes import RequestOutcome
from flows.formats.freed_memory import keep_freed_memory
from flows.formats.text import counted
from flows.ingest.coverage import BLIND
from flows.ingest.requests.count_spans import SpanCounts, counted_spans
from flows.ingest.requests.diagnosis import check_not_in_future, missing_variants, nothing_to_count
from flows.ingest.requests.load_requests import LoadedSpan, load_span
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.mesh.family import UNATTRIBUTED, Family, SeriesRole
from flows.ingest.requests.windows import Window, known_and_pending, selection_of
from flows.ingest.sources.samples import SampleSource
from flows.spec.experiment import Experiment


@dataclass(frozen=True, slots=True)
class RequestPull:
    """What one pull of requests did.

    windows: those written; samples: raw samples in them; requests: by variant, in them;
    lost: estimated requests by cause; unattributed: failures that reached no version;
    foreign_series: series read that belong to no variant; findings: what is odd in the data;
    server_warnings: what the source said beside its answers.
    """

    experiment: str
    windows: tuple[Window, ...]
    samples: int
    requests: dict[str, int]
    lost: dict[Cause, float]
    unattributed: int
    foreign_series: int
    findings: tuple[str, ...]
    server_warnings: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that a person should know about the data."""
        return self.server_warnings + self.findings

    @property
    def summary(self) -> str:
        """One sentence."""
        counts = ", ".join(f"{name} {count:,}" for name, count in self.requests.items())
        return (
            f"{counted(self.samples, 'sample')} in {counted(len(self.windows), 'window')}"
            + (f"; requests: {counts}" if counts else "")
            + (f"; unattributed failures: {self.unattributed:,}" if self.unattributed else "")
        )


def pull_requests(
    spec: Experiment,
    source: SampleSource,
    warehouse: Path,
    *,
    until_ms: int,
    now_ms: int | None = None,
) -> RequestPull:
    """Brings the request counts up to until_ms, floored to a bucket; again changes nothing.

    Windows that aren't loaded or complete are read, and the last two again for late samples.
    now_ms: the clock, for tests.
    Raises SourceUnavailable or SourceRefused (NoSuchMetric, NoSeries, NoVersionLabel,
    NoSuchVersion, WindowInFuture, VariantsOverlap), WarehouseBusy or WarehouseUnusable.
    """
    keep_freed_memory()
    if spec.mesh is None:
        raise ValueError(f"{spec.experiment}: mesh is needed for request metrics")
    check_not_in_future(spec, until_ms, now_ms or time.time_ns() // 1_000_000)
    family = FAMILIES[spec.mesh]
    selection = selection_of(spec)
    loaded, pending = known_and_pending(warehouse, spec, "requests", until_ms, selection=selection)
    is_known = bool(loaded)
    of_another_spec = any(
        (old := loaded.get(window.start_ms)) and old.row_count and old.selection != selection
        for window in pending
    )
    largest = max((window.row_count for window in loaded.values()), default=0)
    # Windows before the first request are written with it: a spec that matches nothing at all
    # leaves no trace.
    waiting: list[SpanCounts] = []
    reports: list[_SpanReport] = []
    for span in counted_spans(family, spec, source, pending, largest=largest):
        is_known = is_known or bool(span.variants)
        waiting.append(span)
        while is_known and waiting:
            reports.append(_reported(waiting[0], load_span(spec, waiting.pop(0), warehouse)))
    is_lost = of_another_spec and not any(report.variants for report in reports)
    if not waiting and not is_lost:
        return _combined(family, spec, reports)
    why = nothing_to_count(
        family, spec, source, start_ms=pending[0].start_ms, until_ms=pending[-1].end_ms
    )
    if waiting:
        raise why
    pulled = _combined(family, spec, reports)
    return replace(pulled, findings=(*pulled.findings, str(why)))


@dataclass(frozen=True, slots=True)
class _SpanReport:
    """What is kept of a span when its samples are gone."""

    windows: tuple[Window, ...]
    samples: int
    variants: set[str]
    requests: Counter[str]
    unattributed: int
    lost: dict[Cause, float]
    foreign: int
    foreign_versions: frozenset[str]
    is_blind: bool
    warnings: tuple[str, ...]


def _reported(span: SpanCounts, loaded: LoadedSpan) -> _SpanReport:
    per_series = np.zeros(len(span.series.rows))
    for window in loaded.windows:
        filled = np.diff(window.offsets) > 0
        per_series[filled] += np.add.reduceat(window.delta, window.offsets[:-1][filled])
    requests, unattributed = Counter[str](), 0
    for row, count in zip(span.series.rows, per_series.astype(int).tolist(), strict=True):
        if row.role is SeriesRole.REQUESTS and row.variant != UNATTRIBUTED:
            requests[row.variant] += count
        elif row.outcome == RequestOutcome.FAILURE:
            unattributed += count
    return _SpanReport(
        windows=tuple(window.window for window in loaded.windows),
        samples=sum(len(window.ts_ms) for window in loaded.windows),
        variants=span.variants,
        requests=requests,
        unattributed=unattributed,
        lost={
            cause: math.fsum(row.requests for row in loaded.lost if row.cause is cause)
            for cause in Cause
        },
        foreign=span.series.foreign,
        foreign_versions=span.series.foreign_versions,
        is_blind=any(len(window.ts_ms) and not window.targets_up for window in span.windows),
        warnings=(
            *span.warnings,
            *span.notes,
            *(note for window in loaded.windows for note in window.notes),
            *loaded.kept,
        ),
    )


def _combined(family: Family, spec: Experiment, reports: Sequence[_SpanReport]) -> RequestPull:
    requests = sum((report.requests for report in reports), Counter[str]())
    seen = {name for report in reports for name in report.variants}
    others = {version for report in reports for version in report.foreign_versions}
    findings = list(missing_variants(family, spec, seen, others)) if reports else []
    if any(report.is_blind for report in reports):
        findings.append(BLIND)
    return RequestPull(
        experiment=spec.experiment,
        windows=tuple(window for report in reports for window in report.windows),
        samples=sum(report.samples for report in reports),
        requests={name: requests[name] for name in spec.variants if name in seen},
        lost={cause: math.fsum(report.lost[cause] for report in reports) for cause in Cause},
        unattributed=sum(report.unattributed for report in reports),
        foreign_series=max((report.foreign for report in reports), default=0),
        findings=tuple(findings),
        server_warnings=tuple(dict.fromkeys(w for report in reports for w in report.warnings)),
    )
