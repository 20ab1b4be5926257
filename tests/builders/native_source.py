"""A source in memory that also keeps native histograms, and answers them as Prometheus does."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flows.ingest.sources.json_samples import decode_matrix
from flows.ingest.sources.native_samples import without_twins
from flows.ingest.sources.samples import Samples, Selector, join_samples
from tests.builders.scraped_source import ScrapedSource, matches


@dataclass
class NativeSource(ScrapedSource):
    """Counters, and by labels the histograms of each scrape as buckets of the JSON answer."""

    histograms: dict[frozenset[tuple[str, str]], dict[int, list[Any]]] = field(default_factory=dict)

    def add_histograms(
        self,
        labels: Mapping[str, str],
        edges: NDArray[np.float64],
        counts: Mapping[int, NDArray[np.float64]],
        *,
        own_bounds: bool,
    ) -> None:
        """Histograms by time; counts: in each bucket that ends at an edge, not cumulated."""
        left = np.concatenate([[-np.inf if own_bounds else 0.0], edges[:-1]])
        scrapes = self.histograms.setdefault(frozenset(labels.items()), {})
        for ts_ms, of_scrape in counts.items():
            scrapes[ts_ms] = [
                [0, _number(left[i]), _number(edges[i]), _number(of_scrape[i])]
                for i in np.flatnonzero(of_scrape)
            ]

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        classic = super().read([s for s in selectors if not s.native], start_ms, end_ms)
        asked = [s for s in selectors if s.native]
        result = list(self._answer(asked, start_ms, end_ms)) if asked else []
        if not result:
            return classic
        body = {"status": "success", "data": {"resultType": "matrix", "result": result}}
        found = decode_matrix(json.dumps(body, separators=(",", ":")).encode(), native=True)
        return join_samples([classic, without_twins(found, [classic])])

    def metric_names(self) -> list[str]:
        return sorted({*super().metric_names(), *(dict(k)["__name__"] for k in self.histograms)})

    def _answer(
        self, asked: Sequence[Selector], start_ms: int, end_ms: int
    ) -> Iterator[dict[str, Any]]:
        for key, scrapes in self.histograms.items():
            inside = [t for t in sorted(scrapes) if start_ms < t <= end_ms]
            if inside and any(matches(selector, dict(key)) for selector in asked):
                yield {
                    "metric": dict(key),
                    "histograms": [[t / 1000, {"buckets": scrapes[t]}] for t in inside],
                }


def _number(value: float) -> str:
    return {np.inf: "+Inf", -np.inf: "-Inf"}.get(value, repr(float(value)))
