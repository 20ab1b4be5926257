"""A source of samples held in memory, with the matching rules of a Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flows.ingest.sources.samples import Matcher, Samples, Selector, finite


@dataclass
class ScrapedSource:
    """Series by their labels; `add` puts samples in, `read` answers like a server.

    warnings, notes: given with every answer; reads: the selectors of every question so far.
    """

    series: dict[frozenset[tuple[str, str]], dict[int, float]] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reads: list[tuple[Selector, ...]] = field(default_factory=list)

    def add(self, labels: Mapping[str, str], samples: Mapping[int, float]) -> None:
        """More samples (milliseconds to value) of one series."""
        self.series.setdefault(frozenset(labels.items()), {}).update(samples)

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        self.reads.append(tuple(selectors))
        labels, offsets, times, values = [], [0], list[int](), list[float]()
        for key, samples in self.series.items():
            of_series = dict(key)
            inside = sorted(t for t in samples if start_ms < t <= end_ms)
            if inside and any(matches(selector, of_series) for selector in selectors):
                labels.append(of_series)
                times += inside
                values += [samples[t] for t in inside]
                offsets.append(len(times))
        found = Samples(
            tuple(labels),
            np.array(offsets, np.int64),
            np.array(times, np.int64),
            np.array(values, np.float64),
            self.warnings,
            self.notes,
        )
        return finite(found)

    def metric_names(self) -> list[str]:
        return sorted({dict(key)["__name__"] for key in self.series})


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether a series has the selector's name and meets all its conditions."""
    return labels["__name__"] == selector.metric and all(
        _meets(matcher, labels.get(matcher.label, "")) for matcher in selector.matchers
    )


def _meets(matcher: Matcher, value: str) -> bool:
    if matcher.op in ("=", "!="):
        return (value == matcher.value) == (matcher.op == "=")
    return (re.fullmatch(matcher.value, value) is not None) == (matcher.op == "=~")
