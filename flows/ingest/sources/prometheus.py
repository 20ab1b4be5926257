"""Reads raw samples from a Prometheus over prometheus-api-client's connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np

from flows.formats import apart
from flows.ingest.sources.json_samples import decode_matrix
from flows.ingest.sources.native_samples import without_twins
from flows.ingest.sources.prometheus_connection import (
    Answer,
    AskForLess,
    Patience,
    PrometheusConnection,
)
from flows.ingest.sources.remote_read import HEADERS as REMOTE_READ_HEADERS
from flows.ingest.sources.remote_read import (
    STREAMED,
    decode_answer,
    encode_request,
    external_labels,
)
from flows.ingest.sources.samples import (
    Matcher,
    Samples,
    Selector,
    SourceRefused,
    SourceUnavailable,
    TooMuch,
    join_samples,
    kept_samples,
)
from flows.ingest.sources.series_frames import Damaged, NotReadable, check_frames
from flows.spec.sources import PrometheusSource

JSON_WINDOW_MS = 2 * 3_600_000  # keeps an answer's memory and the server's sample limit in bounds
# Chunks are small, and no sample limit holds for them; each window brings all labels again.
STREAMED_WINDOW_MS = 24 * 3_600_000
_SMALLEST_WINDOW_MS = 60_000
# Of all answers that one read keeps; each one has a bound of its own.
_MOST_BYTES = 512 << 20
_MOST_IN_A_LOOK = 16 << 30
_PROBE_S = 5.0
_MOST_POINTS = 10_000  # of a query's answer: Prometheus gives 11,000
_LARGEST_VALUE = 1e100  # of a query: more stands for "no limit"
Window = tuple[int, int]


class AnswerDamaged(SourceUnavailable):
    """Answers go on arriving with wrong checksums; JSON has none, and must not stand in."""


class PrometheusSamples:
    """A Prometheus server as a source of raw samples.

    Counters are read by range selectors at the window's end: rate() and increase() extrapolate,
    and query_range repeats samples over gaps.
    """

    def __init__(self, source: PrometheusSource, patience: Patience | None = None) -> None:
        self._source = source
        self._connection = PrometheusConnection(source, patience or Patience())
        self.url = self._connection.url
        self.connection = self._connection.client
        # Used until the server shows that it has none; what it adds to labels is asked once.
        self.remote_read = True
        self._external: dict[str, str] | None = None
        self._notes: tuple[str, ...] = ()
        self._read_bytes = self._look_bytes = 0

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """Every sample with start_ms < time <= end_ms of every series that a selector matches.

        Raises SourceUnavailable if the server can't be reached or goes on failing, SourceRefused
        if it says no, TooMuch if its answers together would fill the memory; all name the server
        and give its words. A server whose remote read alone fails is asked for JSON, and a note
        says so.
        """
        pieces: list[Samples] = []
        self._read_bytes = 0
        for selector in selectors:
            if selector.native:
                # Remote read would have to decode another kind of chunk.
                found = self._read_json(selector, start_ms, end_ms)
                pieces += [without_twins(piece, pieces) for piece in found]
                continue
            chunks = self._read_chunks(selector, start_ms, end_ms)
            if chunks is not None and len(selectors) == 1:
                return chunks  # in order already
            pieces += self._read_json(selector, start_ms, end_ms) if chunks is None else [chunks]
        joined = join_samples(pieces)
        return replace(joined, notes=(*joined.notes, *self._notes))

    def read_query(self, query: str, start_ms: int, end_ms: int, step_ms: int) -> Samples:
        """What a PromQL query says, infinite or not, every step_ms from start_ms to end_ms.

        NaN is no value, nor what no scrape confirmed for two steps, where the server can be told so
        (older ones carry it for five minutes), nor what stands for "no limit". Raises as read does.
        """
        longest_ms, pieces = _MOST_POINTS * step_ms, list[Samples]()
        for begin in range(start_ms, end_ms + 1, longest_ms):
            form = [
                ("query", query),
                ("start", _seconds(begin)),
                ("end", _seconds(min(begin + longest_ms - step_ms, end_ms))),
                ("step", f"{step_ms}ms"),
                ("lookback_delta", f"{2 * step_ms}ms"),
                ("timeout", f"{self._connection.patience.server_s * 1000:.0f}ms"),
            ]
            answer = self._connection.answer("/api/v1/query_range", form)
            try:
                samples = decode_matrix(answer.body, of_query=True)
            except SourceRefused as error:
                raise SourceRefused(f"{self.url}: {error}") from error
            is_value = (np.abs(samples.values) < _LARGEST_VALUE) | np.isinf(samples.values)
            pieces.append(kept_samples(samples, is_value))
        return join_samples(pieces)

    def server_time(self) -> datetime | None:
        """The server's own clock, by which its samples are stamped; None if it doesn't tell."""
        return self._connection.server_time()

    def metric_names(self) -> list[str]:
        """All metric names that the server knows."""
        return self._connection.metric_names()

    def _read_chunks(self, selector: Selector, start_ms: int, end_ms: int) -> Samples | None:
        """The samples by remote read, or None where it has no answer, or another than JSON.

        Raises AnswerDamaged, or SourceUnavailable if JSON is not to be had either.
        """
        if not self.remote_read:
            return None
        try:
            if self._external is None:
                self._external = self._ask_external()
            external = self._external
            if self._hides_labels(selector, external, start_ms, end_ms):
                return None
            answers = self._answers(
                lambda window: self._ask_chunks(selector, window),
                (start_ms, end_ms),
                STREAMED_WINDOW_MS,
            )
            # Together: a series' labels and its chunks at the windows' edges come again and again.
            body = b"".join([answer.body for _, answer in answers])
            return decode_answer(body, external, start_ms, end_ms)
        except TooMuch:
            raise
        except (NotReadable, SourceRefused, AskForLess):
            # Not offered, not allowed, or in chunks that can't be decoded: not asked for again.
            self.remote_read = False
            return None
        except AnswerDamaged:
            raise
        except SourceUnavailable as error:
            if not self._answers_queries():
                raise
            self.remote_read = False
            self._notes = (f"remote read failed, so JSON was read instead: {error}",)
            return None

    def _answers_queries(self) -> bool:
        """Whether the server answers a trivial query at once."""
        patience = self._connection.patience
        short_s = min(_PROBE_S, patience.read_s)
        hasty = replace(patience, attempts=1, read_s=short_s, whole_s=short_s)
        try:
            PrometheusConnection(self._source, hasty).answer("/api/v1/query", [("query", "1")])
        except (SourceUnavailable, SourceRefused, AskForLess):
            return False
        return True

    def _hides_labels(
        self, selector: Selector, external: dict[str, str], start_ms: int, end_ms: int
    ) -> bool:
        """Whether remote read and JSON differ in more than that one adds external labels.

        A series' own label that equals an external one can't be told from it in the answer, and
        the server takes a condition on an external label as met.
        """
        if not external:
            return False
        if any(matcher.label in external for matcher in selector.matchers):
            return True
        own = [
            Selector(selector.metric, (*selector.matchers, Matcher(name, "=", value)))
            for name, value in external.items()
        ]
        form = [("start", _seconds(start_ms)), ("end", _seconds(end_ms))]
        form += [("match[]", one.promql) for one in own]
        return bool(self._data(self._connection.answer("/api/v1/series", form)))

    def _read_json(self, selector: Selector, start_ms: int, end_ms: int) -> list[Samples]:
        pieces = []
        for window, answer in self._answers(
            lambda window: self._ask_json(selector, window), (start_ms, end_ms), JSON_WINDOW_MS
        ):
            try:
                samples = decode_matrix(answer.body, native=selector.native)
            except SourceRefused as error:
                raise SourceRefused(f"{self.url}: {error}") from error
            # A closed selector (before Prometheus 3) also has the sample at the window's start.
            inside = (samples.ts_ms > window[0]) & (samples.ts_ms <= window[1])
            pieces.append(kept_samples(samples, inside))
        return pieces

    def _answers(
        self, ask: Callable[[Window], Answer], whole: Window, longest_ms: int
    ) -> Iterator[tuple[Window, Answer]]:
        """The windows one after the other; the next is asked for while one is being decoded.

        From where the server can't answer for so long a window on, windows are half as long.
        """
        begin, end = whole
        window = begin, min(begin + longest_ms, end)
        waiting = apart.begin(partial(ask, window)) if begin < end else None
        while waiting:
            try:
                answer = waiting.result()
            except AskForLess as error:
                length_ms = window[1] - window[0]
                if length_ms < 2 * _SMALLEST_WINDOW_MS:
                    raise SourceRefused(
                        f"{self.url}: {error}, even for {length_ms / 1000:g} s"
                    ) from error
                longest_ms = length_ms // 2
                window = window[0], window[0] + longest_ms
                waiting = apart.begin(partial(ask, window))
                continue
            self._count(len(answer.body), f"{(end - begin) / 60_000:g} minutes")
            done, window = window, (window[1], min(window[1] + longest_ms, end))
            waiting = apart.begin(partial(ask, window)) if window[0] < end else None
            yield done, answer

    def _count(self, size: int, window: str) -> None:
        """Raises TooMuch for what would fill the memory, or keep a look busy for hours."""
        self._read_bytes += size
        self._look_bytes += size
        if self._read_bytes > _MOST_BYTES:
            raise TooMuch(f"{self.url} answers {window} with more than {_MOST_BYTES >> 20} MB")
        if self._look_bytes > _MOST_IN_A_LOOK:
            told = f"{self.url} has answered with more than {_MOST_IN_A_LOOK >> 30} GB"
            raise TooMuch(f"{told}; what was read is kept, the next look goes on there")

    def _ask_json(self, selector: Selector, window: Window) -> Answer:
        form = [
            ("query", f"{selector.promql}[{window[1] - window[0]}ms]"),
            ("time", _seconds(window[1])),
            ("timeout", f"{self._connection.patience.server_s * 1000:.0f}ms"),
        ]
        return self._connection.answer("/api/v1/query", form)

    def _ask_chunks(self, selector: Selector, window: Window) -> Answer:
        """An answer whose checksums are right; one that was damaged is asked for again."""
        request, patience = encode_request(selector, *window), self._connection.patience
        pause_s, attempt = patience.first_pause_s, 0
        while True:
            attempt += 1
            answer = self._connection.answer("/api/v1/read", request, REMOTE_READ_HEADERS)
            if not answer.content_type.startswith(STREAMED):
                raise NotReadable("the server doesn't stream chunks")
            try:
                check_frames(answer.body)
            except Damaged as error:
                if attempt == patience.attempts:
                    raise AnswerDamaged(
                        f"{self.url} failed {attempt} times: {error}. "
                        "Does something between here and there change answers?"
                    ) from error
                time.sleep(min(pause_s, patience.longest_pause_s))
                pause_s *= 2
            else:
                return answer

    def _ask_external(self) -> dict[str, str]:
        """The labels that remote read adds; raises NotReadable if the server doesn't say."""
        settings = self._data(self._connection.answer("/api/v1/status/config"))
        if not isinstance(settings, dict) or not isinstance(settings.get("yaml"), str):
            raise NotReadable("the server doesn't show its configuration")
        return external_labels(settings["yaml"])

    def _data(self, answer: Answer) -> Any:
        """What a JSON answer holds; raises NotReadable if it is none."""
        try:
            return json.loads(answer.body)["data"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotReadable(f"{self.url} gave no Prometheus answer") from error


def _seconds(time_ms: int) -> str:
    return f"{time_ms / 1000:.3f}"
