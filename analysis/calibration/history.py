"""What is known of the baseline, bucket by bucket: the material that replays are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from analysis.arrays import FloatArray, IntArray
from analysis.requests.latency import Histogram, interpolated_quantile

# Columns of History.cells before those of the latency histogram.
OTHER, GOOD, FAILED, LATENCY = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class History:
    """The baseline's requests in the buckets that are known, in order of time.

    starts_ms: int64[buckets], milliseconds since the epoch.
    other, good, failed: int64[buckets]; other: neither answered nor failed (cancelled, injected).
    edges_ms: float64[edges], upper ends of the latency cells, ascending, the last one infinite;
        empty where no latency is known. latency: int64[buckets, edges], requests in each cell,
        not cumulative.
    signals: by signal that counts how requests ended otherwise than failed, int64[buckets].
    """

    starts_ms: IntArray
    other: IntArray
    good: IntArray
    failed: IntArray
    edges_ms: FloatArray
    latency: IntArray
    signals: Mapping[str, IntArray] = field(default_factory=dict)

    @property
    def cells(self) -> IntArray:
        """Every count of a bucket in one row: int64[buckets, LATENCY + edges + signals]."""
        ended = (self.other, self.good, self.failed)
        return np.column_stack([*ended, self.latency, *self.signals.values()])

    @property
    def places(self) -> dict[str, int]:
        """The cell of each signal."""
        first = LATENCY + self.edges_ms.size
        return {name: first + i for i, name in enumerate(self.signals)}

    @property
    def failed_share(self) -> float:
        """Share of the answered requests that failed."""
        answered = int(self.good.sum() + self.failed.sum())
        return int(self.failed.sum()) / answered if answered else 0.0

    @property
    def requests(self) -> int:
        """All requests, whatever became of them."""
        return int(self.other.sum() + self.good.sum() + self.failed.sum())

    @property
    def median_ms(self) -> float:
        """The median latency, interpolated within its cell; 0 where no latency is known."""
        if not self.latency.sum():
            return 0.0
        at_most = np.cumsum(self.latency.sum(axis=0)).astype(np.float64)
        return interpolated_quantile(Histogram(self.edges_ms, at_most), 0.5)

    def edge_near(self, quantile: float) -> float | None:
        """The finite edge nearest to a quantile, in odds, as a look has it; None without any."""
        cells = self.latency.sum(axis=0)
        finite = np.isfinite(self.edges_ms)
        if not cells.sum() or not finite.any():
            return None
        slow = (cells.sum() - np.cumsum(cells))[finite]
        odds = np.log((slow + 0.5) / (cells.sum() - slow + 0.5))
        wanted = np.log((1 - quantile) / quantile)
        return float(self.edges_ms[finite][np.argmin(np.abs(odds - wanted))])

    def edge_at(self, bound_ms: float) -> float | None:
        """The finite edge at the bound, or the next one above it; None without any.

        Slow requests are counted there, as production counts them.
        """
        usable = self.edges_ms[np.isfinite(self.edges_ms) & (self.edges_ms >= bound_ms)]
        return float(usable[0]) if usable.size else None
