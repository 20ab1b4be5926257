"""Reads raw samples from a Prometheus over prometheus-api-client's connection."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import requests
from prometheus_api_client import PrometheusConnect
from requests.adapters import HTTPAdapter

from flows.sources.json_samples import decode_matrix
from flows.sources.prometheus_errors import Remedy, classify_failure
from flows.sources.remote_read import HEADERS as REMOTE_READ_HEADERS
from flows.sources.remote_read import (
    STREAMED,
    NotReadable,
    decode_answer,
    encode_request,
    external_labels,
)
from flows.sources.samples import Matcher, Samples, Selector, SourceRefused, SourceUnavailable
from flows.spec import PrometheusSource

_WINDOW_MS = 2 * 3_600_000  # keeps an answer's memory and the server's sample limit in bounds
_STREAMED_WINDOW_MS = 12 * 3_600_000  # chunks are small, and no sample limit holds for them
_SMALLEST_WINDOW_MS = 60_000
_CONNECT_TIMEOUT_S = 5.0
_READ_TIMEOUT_S = 60.0
_SERVER_TIMEOUT_S = 50  # below ours, so that the server says what was wrong before we give up
_ATTEMPTS = 4
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0


class _AskForLess(Exception):
    """The server can't answer for so long a window."""


class PrometheusSamples:
    """A Prometheus server as a source of raw samples.

    Counters are read by range selectors at the window's end: rate() and increase() extrapolate,
    and query_range repeats samples over gaps.
    """

    def __init__(self, source: PrometheusSource) -> None:
        self.url = source.url.rstrip("/")
        session = requests.Session()
        session.verify = source.ca_file or True
        # Prometheus compresses slower than a network carries: 7 times the time, measured.
        session.headers["Accept-Encoding"] = "identity"
        if source.token_env is not None:
            session.headers["Authorization"] = f"Bearer {_token(source.token_env)}"
        self.connection = PrometheusConnect(
            url=self.url, session=session, timeout=int(_READ_TIMEOUT_S)
        )
        # Used until the server shows that it has none; what it adds to labels is asked once.
        self.remote_read = True
        self._external: dict[str, str] | None = None
        # The client mounts an adapter that repeats requests by itself and loses the reason.
        session.mount(self.url, HTTPAdapter(max_retries=0))

    def read(self, selectors: Sequence[Selector], start_ms: int, end_ms: int) -> Samples:
        """Every sample with start_ms < time <= end_ms of every series that a selector matches.

        Raises SourceUnavailable if the server can't be reached or goes on failing, SourceRefused
        if it says no; both name the server and give its words.
        """
        pieces: list[Samples] = []
        for selector in selectors:
            pieces += self._read_chunks(selector, start_ms, end_ms)
            if not self.remote_read:
                for begin, end in _windows(start_ms, end_ms, _WINDOW_MS):
                    pieces += self._read_window(selector, begin, end)
        return join_samples(pieces)

    def metric_names(self) -> list[str]:
        """All metric names that the server knows."""
        return [str(name) for name in self.connection.all_metrics()]

    def label_values(self, label: str) -> list[str]:
        """All values of a label that the server knows."""
        return [str(value) for value in self.connection.get_label_values(label)]

    def _read_chunks(self, selector: Selector, start_ms: int, end_ms: int) -> list[Samples]:
        """The samples by remote read; empty where the server doesn't answer it: JSON does."""
        if not self.remote_read:
            return []
        try:
            if self._external is None:
                config = json.loads(self._get("/api/v1/status/config"))["data"]["yaml"]
                self._external = external_labels(config)
            return [
                self._read_streamed(selector, begin, end)
                for begin, end in _windows(start_ms, end_ms, _STREAMED_WINDOW_MS)
            ]
        except (NotReadable, SourceRefused, _AskForLess, KeyError, ValueError):
            # Not offered, not allowed, or in chunks that can't be decoded: not asked for again.
            self.remote_read = False
            return []

    def _read_streamed(self, selector: Selector, start_ms: int, end_ms: int) -> Samples:
        response = self._answer(
            "POST",
            "/api/v1/read",
            data=encode_request(selector, start_ms, end_ms),
            headers=REMOTE_READ_HEADERS,
        )
        if not response.headers.get("Content-Type", "").startswith(STREAMED):
            raise NotReadable("the server doesn't stream chunks")
        return decode_answer(response.content, self._external or {}, start_ms, end_ms)

    def _read_window(self, selector: Selector, start_ms: int, end_ms: int) -> Iterator[Samples]:
        """The window in one answer, or in halves where the server can't answer for the whole."""
        length_ms = end_ms - start_ms
        query = {
            "query": f"{promql(selector)}[{length_ms}ms]",
            "time": f"{end_ms / 1000:.3f}",
            "timeout": f"{_SERVER_TIMEOUT_S}s",
        }
        try:
            yield _inside(decode_matrix(self._post("/api/v1/query", query)), start_ms, end_ms)
        except _AskForLess as error:
            if length_ms < 2 * _SMALLEST_WINDOW_MS:
                raise SourceRefused(f"{self.url}: {error}, even for {length_ms} ms") from error
            middle = start_ms + length_ms // 2
            yield from self._read_window(selector, start_ms, middle)
            yield from self._read_window(selector, middle, end_ms)
        except SourceRefused as error:
            raise SourceRefused(f"{self.url}: {error}") from error

    def _post(self, path: str, form: dict[str, str]) -> bytes:
        return bytes(self._answer("POST", path, data=form).content)

    def _get(self, path: str) -> bytes:
        return bytes(self._answer("GET", path).content)

    def _answer(
        self,
        method: str,
        path: str,
        *,
        data: dict[str, str] | bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        """A successful answer, after as many attempts as make sense."""
        pause_s, trouble = _FIRST_PAUSE_S, ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                time.sleep(pause_s)
            try:
                response = self._session.request(
                    method,
                    self.url + path,
                    data=data,
                    headers=headers,
                    timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S),
                )
                body = response.content
            except requests.RequestException as error:
                if isinstance(error, requests.ReadTimeout):
                    raise SourceUnavailable(
                        f"{self.url} did not answer within {_READ_TIMEOUT_S:g} s"
                    ) from error
                trouble = f"{type(error).__name__}: {error}"
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
                continue
            if response.status_code == requests.codes.ok and b'"status":"error"' not in body[:100]:
                return response
            remedy, words = classify_failure(response.status_code, body)
            if remedy is Remedy.HALVE:
                raise _AskForLess(words)
            if remedy is Remedy.REFUSE:
                raise SourceRefused(f"the server refused ({response.status_code}): {words}")
            trouble = f"{response.status_code} {words}"
            pause_s = _pause(response, pause_s)
        raise SourceUnavailable(
            f"{self.url} failed {_ATTEMPTS} times: {trouble}. Is the URL right, and the server up?"
        )

    @property
    def _session(self) -> requests.Session:
        session: requests.Session = self.connection._session
        return session


def promql(selector: Selector) -> str:
    """The selector as PromQL, its label values escaped."""
    matchers = ",".join(f"{m.label}{m.op}{_quoted(m)}" for m in selector.matchers)
    return f"{selector.metric}{{{matchers}}}"


def join_samples(pieces: Sequence[Samples]) -> Samples:
    """The pieces as one; a series that several of them hold becomes one series, in time's order."""
    by_labels: dict[tuple[tuple[str, str], ...], list[tuple[Samples, int]]] = {}
    for piece in pieces:
        for index, labels in enumerate(piece.labels):
            by_labels.setdefault(tuple(sorted(labels.items())), []).append((piece, index))
    spans = [[_span(piece, i) for piece, i in found] for found in by_labels.values()]
    lengths = [sum(ts.size for ts, _ in series) for series in spans]
    nothing: list[Any] = [np.empty(0)]
    return Samples(
        labels=tuple(dict(key) for key in by_labels),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        ts_ms=np.concatenate(
            [ts for series in spans for ts, _ in series] or nothing,
            dtype=np.int64,
            casting="unsafe",
        ),
        values=np.concatenate([values for series in spans for _, values in series] or nothing),
        warnings=tuple(dict.fromkeys(w for piece in pieces for w in piece.warnings)),
    )


def _span(samples: Samples, index: int) -> tuple[Any, Any]:
    part = slice(samples.offsets[index], samples.offsets[index + 1])
    return samples.ts_ms[part], samples.values[part]


def _inside(samples: Samples, start_ms: int, end_ms: int) -> Samples:
    """Without samples at or before start_ms: a closed selector (before Prometheus 3) has them."""
    keep = (samples.ts_ms > start_ms) & (samples.ts_ms <= end_ms)
    if keep.all():
        return samples
    kept = np.concatenate([[0], np.cumsum(keep)])[samples.offsets]
    filled = np.diff(kept) > 0
    return Samples(
        tuple(
            labels for labels, is_filled in zip(samples.labels, filled, strict=True) if is_filled
        ),
        np.concatenate([[0], kept[1:][filled]]).astype(np.int64),
        samples.ts_ms[keep],
        samples.values[keep],
        samples.warnings,
    )


def _windows(start_ms: int, end_ms: int, length_ms: int) -> Iterator[tuple[int, int]]:
    for begin in range(start_ms, end_ms, length_ms):
        yield begin, min(begin + length_ms, end_ms)


def _quoted(matcher: Matcher) -> str:
    text = matcher.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def _pause(response: requests.Response, pause_s: float) -> float:
    """What the server asks for, else twice the last pause; never very long."""
    asked = response.headers.get("Retry-After", "")
    return min(float(asked) if asked.isdigit() else 2 * pause_s, _LONGEST_PAUSE_S)


def _token(name: str) -> str:
    token = os.environ.get(name)
    if not token:
        raise SourceRefused(f"token_env: environment variable {name} is not set")
    return token
