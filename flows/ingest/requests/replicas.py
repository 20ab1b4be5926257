"""Several Prometheus servers that scrape the same targets: what one of them read counts once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from flows.ingest.requests.series_labels import REPLICA_LABELS, target_of
from flows.ingest.sources.samples import Samples, kept_samples


def without_replicas(samples: Samples, labels: Sequence[str] = REPLICA_LABELS) -> Samples:
    """Of each target what its fullest replica has, as scrape times differ between replicas.

    Of the others only what is before or after all that: shards scrape other targets, and a server
    that was replaced goes on under a new name. labels: those that tell replicas; what names a
    counter of its own must not be among them.
    """
    for label in labels:
        if len({each.get(label, "") for each in samples.labels}) > 1:
            samples = kept_samples(samples, _chosen(samples, label))
    return samples


def _chosen(samples: Samples, label: str) -> NDArray[np.bool_]:
    """bool[samples], those that stay."""
    series = defaultdict[str, defaultdict[str, list[int]]](lambda: defaultdict(list))
    for index, labels in enumerate(samples.labels):
        series[target_of(labels)][labels.get(label, "")].append(index)
    # A target's longest series tells best how often it was scraped: others are born later.
    counts = np.diff(samples.offsets)
    chosen = np.ones(len(samples.ts_ms), np.bool_)
    for of_replica in series.values():
        fullest = sorted(of_replica, key=lambda name: (-counts[of_replica[name]].max(), name))
        first, last = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        for name in fullest if len(fullest) > 1 else ():
            owned = [slice(*samples.offsets[i : i + 2]) for i in of_replica[name]]
            for span in owned if first <= last else ():
                chosen[span] = (samples.ts_ms[span] < first) | (samples.ts_ms[span] > last)
            first = min(first, *(int(samples.ts_ms[span][0]) for span in owned))
            last = max(last, *(int(samples.ts_ms[span][-1]) for span in owned))
    return chosen
