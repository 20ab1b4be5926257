"""Samples as the warehouse keeps them: those of a series that follow one another are one row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.counting.timelines import expand
from flows.formats.time import instant
from flows.ingest.requests.counts import WindowCounts
from flows.ingest.requests.series import SeriesRow
from flows.warehouse.arrow_columns import instants, lists, numbers, table
from flows.warehouse.statements import Connection, columns_of

Int = NDArray[np.int64]
# Of an int32.
_LEAST, _LARGEST = -(2**31), 2**31 - 1


@dataclass(frozen=True, slots=True)
class SampleRuns:
    """Samples of one window that follow one another, run after run.

    Of all but the first of a run, the difference is that of the values, and the reason 0.
    offsets: int64[runs + 1], of samples. step_ms: int64[runs], between two samples; 0 for one
    sample, -1 where they come unevenly.
    """

    offsets: Int
    step_ms: Int

    @classmethod
    def of(cls, counts: WindowCounts) -> SampleRuns:
        """Those of all series."""
        is_first = counts.reason != 0
        is_first[1:] |= np.diff(counts.value) != counts.delta[1:]
        is_first[counts.offsets[:-1][np.diff(counts.offsets) > 0]] = True
        offsets = np.append(np.flatnonzero(is_first), len(counts.ts_ms))
        steps = np.diff(counts.ts_ms)
        step_ms = np.zeros(len(offsets) - 1, np.int64)
        several = np.flatnonzero(np.diff(offsets) > 1)
        step_ms[several] = steps[offsets[several]]
        bends = np.flatnonzero(steps[1:] != steps[:-1])
        run = np.searchsorted(offsets, bends, side="right") - 1
        step_ms[run[bends + 2 < offsets[run + 1]]] = -1
        return cls(offsets, step_ms)


def runs_table(rows: Sequence[SeriesRow], written: Sequence[WindowCounts]) -> Any:
    """Rows of `sample_runs`: all samples of the windows."""
    ids = np.array([row.series_id for row in rows], np.uint64)
    found = [(counts, SampleRuns.of(counts)) for counts in written]
    starts = np.array([counts.window.start_ms for counts in written], np.int64)
    series = [np.searchsorted(c.offsets, r.offsets[:-1], side="right") - 1 for c, r in found]
    step_ms = np.concatenate([runs.step_ms for _, runs in found])
    sizes = np.concatenate([np.diff(runs.offsets) for _, runs in found])
    is_even = step_ms >= 0
    uneven = [counts.ts_ms[_uneven(runs)] for counts, runs in found]
    return table(
        {
            "window_start": instants(np.repeat(starts, [len(r.step_ms) for _, r in found])),
            "series_id": numbers(ids[np.concatenate(series)]),
            "first_ts": instants(np.concatenate([c.ts_ms[r.offsets[:-1]] for c, r in found])),
            "last_ts": instants(np.concatenate([c.ts_ms[r.offsets[1:] - 1] for c, r in found])),
            "step_ms": numbers(step_ms, is_even),
            "ts": lists(instants(np.concatenate(uneven)), sizes * ~is_even, ~is_even),
            "first_delta": numbers(np.concatenate([c.delta[r.offsets[:-1]] for c, r in found])),
            "reason": numbers(np.concatenate([c.reason[r.offsets[:-1]] for c, r in found])),
            **_values([counts.value for counts in written], sizes),
        }
    )


def _values(of_window: Sequence[NDArray[np.float64]], sizes: Int) -> dict[str, Any]:
    """As whole numbers of half the size where all are."""
    is_whole = all(_are_whole(values) for values in of_window)
    kind, other = (np.int32, np.float64) if is_whole else (np.float64, np.int32)
    values = np.concatenate(of_window, dtype=kind, casting="unsafe")
    found = lists(numbers(values), sizes)
    none = lists(numbers(np.zeros(0, other)), np.zeros_like(sizes), np.zeros(len(sizes), np.bool_))
    return {"whole": found, "value": none} if is_whole else {"whole": none, "value": found}


def _are_whole(values: NDArray[np.float64]) -> bool:
    if len(values) and not (values.min() >= _LEAST and values.max() <= _LARGEST):
        return False
    return bool((values.astype(np.int32) == values).all())


def _uneven(runs: SampleRuns) -> Int:
    """int64[samples], those of runs that come unevenly."""
    return expand(runs.offsets, np.flatnonzero(runs.step_ms < 0))[1]


@dataclass(frozen=True, slots=True)
class SeriesSamples:
    """Samples of several series, as counter_samples has them.

    series_id: uint64[samples]; ts_ms: int64[samples]; delta: float64[samples].
    """

    series_id: NDArray[np.uint64]
    ts_ms: Int
    delta: NDArray[np.float64]


def read_samples(
    con: Connection,
    experiment: str,
    span_ms: tuple[int, int],
    series: NDArray[np.uint64],
    *,
    without_ms: tuple[int, int] | None = None,
) -> SeriesSamples:
    """The samples of some series in a span, but for a span within it; begins are excluded.

    For a few minutes of them DuckDB takes four times as long to plan how it lays out runs.
    """
    since_ms, until_ms = span_ms
    from_ms, to_ms = (since_ms, since_ms) if without_ms is None else without_ms
    runs = columns_of(
        con,
        "aggregate/sample_runs",
        experiment=experiment,
        series=series.tolist(),
        since=instant(since_ms),
        until=instant(until_ms),
        without_since=instant(from_ms),
        without_until=instant(to_ms),
    )
    values = list(runs["value"])
    offsets = np.cumsum([0, *map(len, values)])
    of_run = np.repeat(np.arange(len(values)), np.diff(offsets))
    value = np.concatenate([np.zeros(0), *values])
    delta = np.diff(value, prepend=0.0)
    delta[offsets[:-1]] = runs["first_delta"]
    place = np.arange(len(value)) - offsets[of_run]
    ts_ms = runs["first_ms"][of_run] + place * runs["step_ms"][of_run]
    for run in np.flatnonzero(runs["step_ms"] < 0):
        ts_ms[offsets[run] : offsets[run + 1]] = runs["ts"][run].astype("datetime64[ms]")
    keep = (ts_ms > since_ms) & (ts_ms <= until_ms) & ~((ts_ms > from_ms) & (ts_ms <= to_ms))
    return SeriesSamples(runs["series_id"][of_run[keep]], ts_ms[keep], delta[keep])
