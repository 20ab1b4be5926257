"""A recording of raw samples (Parquet, one row per series): a source like a live Prometheus."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.formats.text_file import STREAM, is_stream
from flows.formats.time import instant
from flows.ingest.sources.samples import Matcher, Samples, Selector, SourceRefused

SCHEMA = pa.schema(
    [("labels", pa.string()), ("ts_ms", pa.list_(pa.int64())), ("values", pa.list_(pa.float64()))]
)

# The first instant of the year 3000.
_NO_TIME_MS = 32_503_680_000_000


class Recording:
    """The samples of one Parquet file, read once.

    Raises SourceRefused, naming the file and what is wrong, if it is no recording.
    """

    def __init__(self, path: Path) -> None:
        table = _read_table(path)
        self._labels = _read_labels(path, table["labels"])
        times, values = _lists(path, table, "ts_ms"), _lists(path, table, "values")
        self._offsets, self._ts_ms = _offsets(times), _numpy(times.flatten())
        self._values = _numpy(values.flatten())
        odd = np.flatnonzero(np.diff(self._offsets) != np.diff(_offsets(values)))
        if odd.size:
            raise SourceRefused(
                f"{path}: row {odd[0]} has {np.diff(self._offsets)[odd[0]]} times but "
                f"{np.diff(_offsets(values))[odd[0]]} values; each time needs one value"
            )
        series = np.repeat(np.arange(len(self._labels)), np.diff(self._offsets))
        late = np.flatnonzero(self._ts_ms >= _NO_TIME_MS)
        if late.size:
            raise SourceRefused(
                f"{path}: row {series[late[0]]} has the time {self._ts_ms[late[0]]}, which is "
                "after the year 2999; ts_ms must be milliseconds since 1970, not microseconds or "
                "nanoseconds"
            )
        falls = np.flatnonzero((np.diff(self._ts_ms) <= 0) & (np.diff(series) == 0))
        if falls.size:
            raise SourceRefused(
                f"{path}: the times of row {series[falls[0]]} don't rise from sample to sample"
            )

    @property
    def begin_ms(self) -> int:
        """The time of the first sample; 0 if there is none."""
        return int(self._ts_ms.min()) if self._ts_ms.size else 0

    @property
    def end_ms(self) -> int:
        """The time of the last sample; 0 if there is none."""
        return int(self._ts_ms.max(initial=0))

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """Every sample with start_ms < time <= end_ms of every series that a selector matches.

        Raises SourceRefused for a pattern that is none.
        """
        tests = [_test_of(selector) for selector in selectors]
        kept = [i for i, labels in enumerate(self._labels) if any(test(labels) for test in tests)]
        spans = [self._span(i, start_ms, end_ms) for i in kept]
        found = [(i, span) for i, span in zip(kept, spans, strict=True) if span.stop > span.start]
        lengths = [span.stop - span.start for _, span in found]
        return Samples(
            labels=tuple(self._labels[i] for i, _ in found),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            ts_ms=_joined(self._ts_ms, [span for _, span in found]),
            values=_joined(self._values, [span for _, span in found]),
        )

    def outside(self, start_ms: int, until_ms: int, *, is_planned: bool = True) -> str:
        """That nothing is recorded between the two times, and of when something is; else ''.

        is_planned: whether a person has said that the plan starts at the first of them.
        """
        if start_ms < self.end_ms and self.begin_ms < until_ms:
            return ""
        if not self._ts_ms.size:
            return "the recording has no samples"
        begin, end = (f"{instant(ms):%Y-%m-%d %H:%M:%S}" for ms in (self.begin_ms, self.end_ms))
        if not is_planned:
            look = f"{instant(until_ms):%Y-%m-%d %H:%M:%S} UTC"
            return f"the recording has samples from {begin} to {end} UTC, and the look is at {look}"
        asked = f"{instant(start_ms):%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"the recording has samples from {begin} to {end} UTC, but the plan starts at {asked}: "
            "correct `plan.start`, or name the recording of that time"
        )

    def metric_names(self) -> list[str]:
        """All metric names that are recorded."""
        return sorted({labels["__name__"] for labels in self._labels})

    def _span(self, series: int, start_ms: int, end_ms: int) -> slice:
        begin, end = self._offsets[series], self._offsets[series + 1]
        low, high = np.searchsorted(self._ts_ms[begin:end], [start_ms, end_ms], side="right")
        return slice(int(begin + low), int(begin + high))


def _read_table(path: Path) -> pa.Table:
    if is_stream(path):
        raise SourceRefused(f"{path} {STREAM}")
    try:
        with pq.ParquetFile(path) as file:  # read_table would import much for folders of files
            table = file.read()
    except FileNotFoundError as error:
        raise SourceRefused(f"{path}: no such recording") from error
    except (pa.ArrowException, OSError) as error:
        raise SourceRefused(f"{path} is not a whole Parquet file: {error}") from error
    for field in SCHEMA:
        if field.name not in table.column_names:
            raise SourceRefused(
                f"{path}: column {field.name} is missing (it has "
                f"{', '.join(table.column_names) or 'none'}); a recording has labels, ts_ms, values"
            )
    try:
        return table.select(SCHEMA.names).cast(SCHEMA)
    except pa.ArrowException as error:
        raise SourceRefused(
            f"{path}: its columns have other types than a recording: {error}"
        ) from error


def _read_labels(path: Path, column: pa.ChunkedArray) -> list[dict[str, str]]:
    found = []
    for row, text in enumerate(column.to_pylist()):
        try:
            labels = json.loads(text)
        except (TypeError, ValueError, RecursionError) as error:
            raise SourceRefused(f"{path}: row {row}: labels are no JSON: {error}") from error
        if not isinstance(labels, dict) or not all(isinstance(v, str) for v in labels.values()):
            raise SourceRefused(f"{path}: row {row}: labels must be a JSON object of texts")
        found.append(labels)
    return found


def _lists(path: Path, table: pa.Table, name: str) -> pa.ListArray:
    lists = table[name].combine_chunks()
    if lists.null_count or lists.flatten().null_count:
        raise SourceRefused(f"{path}: column {name} has gaps; each sample needs time and value")
    return lists


def _offsets(lists: pa.ListArray) -> NDArray[np.int64]:
    """int64[rows + 1], where each row's numbers begin in the flattened column."""
    lengths = _numpy(lists.value_lengths())
    offsets: NDArray[np.int64] = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return offsets


def _numpy(array: pa.Array) -> NDArray[Any]:
    """The array's numbers; to_numpy would import pandas, which takes longer than the reading."""
    found: NDArray[Any] = np.from_dlpack(array)
    return found


def _joined(values: NDArray[Any], spans: list[slice]) -> NDArray[Any]:
    parts = [values[span] for span in spans]
    return np.concatenate(parts) if parts else values[:0]


def _test_of(selector: Selector) -> Callable[[Mapping[str, str]], bool]:
    """Whether a series is meant; a label that is absent is empty, a pattern matches the whole."""
    tests = [_label_test(Matcher("__name__", "=", selector.metric))]
    tests += [_label_test(matcher) for matcher in selector.matchers]
    return lambda labels: all(test(labels) for test in tests)


def _label_test(matcher: Matcher) -> Callable[[Mapping[str, str]], bool]:
    name, wanted = matcher.label, matcher.op in ("=", "=~")
    if matcher.op in ("=~", "!~"):
        try:
            pattern = re.compile(matcher.value)
        except re.error as error:
            raise SourceRefused(f"{name}{matcher.op}{matcher.value!r}: {error}") from error
        return lambda labels: (pattern.fullmatch(labels.get(name, "")) is not None) == wanted
    return lambda labels: (labels.get(name, "") == matcher.value) == wanted
