"""Counts what a service's own counters say: those of no mesh."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from analysis.counting.counters import CounterSeries
from flows.ingest.requests.counts import WindowCounts, count_windows
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.series_labels import target_of
from flows.ingest.requests.windows import Window
from flows.ingest.sources.samples import Samples, SampleSource
from flows.spec.experiment import Mesh

# Of a family only the start metrics matter here: plain client libraries export that of Linkerd's.
_PLAIN = FAMILIES[Mesh.LINKERD]


def count_plain(
    source: SampleSource,
    samples: Samples,
    windows: Sequence[Window],
    *,
    counted: Sequence[Hashable],
    interval_ms: int,
) -> tuple[tuple[WindowCounts, ...], tuple[str, ...]]:
    """Every window from its own range only, and what the source said beside its answer.

    samples: of range_of; counted: by series, what it counts, whatever target has it.
    """
    target_of_series = [target_of(labels) for labels in samples.labels]
    targets = dict(
        sorted(zip(target_of_series, samples.labels, strict=True), key=lambda pair: pair[0])
    )
    row = np.searchsorted(list(targets), target_of_series).astype(np.int64)
    return count_windows(
        _PLAIN,
        source,
        CounterSeries(samples.offsets, samples.ts_ms, samples.values, row),
        targets,
        windows,
        counted=counted,
        interval_ms=interval_ms,
    )
