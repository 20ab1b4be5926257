"""Raw samples as every source of request metrics yields them, before any difference is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of many series, stored series after series.

    labels: one mapping per series, `__name__` included.
    offsets: int64[series + 1]; series i owns samples offsets[i]:offsets[i + 1].
    ts_ms: int64[samples], scrape time in milliseconds since the epoch, ascending within a series,
        no time twice in a series.
    values: float64[samples], as scraped; staleness markers are removed.
    warnings: what the server said beside its answer, never empty text: the answer may be partial.
    notes: what a person should know of how it was read; the answer is whole.
    """

    labels: tuple[Mapping[str, str], ...]
    offsets: NDArray[np.int64]
    ts_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def series_of_sample(self) -> NDArray[np.int64]:
        """int64[samples], the series that each sample belongs to."""
        return np.repeat(np.arange(len(self.labels)), np.diff(self.offsets))


@dataclass(frozen=True, slots=True)
class Matcher:
    """One label condition of a selector; op is one of =, !=, =~, !~."""

    label: str
    op: str
    value: str


@dataclass(frozen=True, slots=True)
class Selector:
    """Which series to read: a metric name and conditions on its labels.

    native: only native histograms of that name, as the classic buckets that they stand for; not
    those whose classic buckets an earlier selector has read.
    """

    metric: str
    matchers: tuple[Matcher, ...] = ()
    native: bool = False


class SampleSource(Protocol):
    """Where raw samples come from: a Prometheus, or a recording of one."""

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """Every sample with start_ms < time <= end_ms of every series that any selector matches.

        A series without such a sample is left out. Raises SourceUnavailable or SourceRefused.
        """
        ...

    def metric_names(self) -> Sequence[str]:
        """The names of all metrics, also of those that nothing here reads.

        Raises SourceUnavailable or SourceRefused.
        """
        ...


class SourceUnavailable(Exception):
    """The source can't be reached or kept failing after the retries: later may help."""


class SourceRefused(Exception):
    """The source understood and said no (selector, rights, limits): again won't help."""
