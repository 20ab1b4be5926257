"""prometheus-api-client's connection, with errors told apart and every wait bounded."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path

import requests
import urllib3
from prometheus_api_client import PrometheusConnect
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from flows.formats.bounded_http import bound
from flows.formats.network_words import network_words
from flows.formats.text import counted
from flows.formats.text_file import STREAM, is_stream
from flows.formats.urls import endpoint_of
from flows.ingest.sources.login import OtherHost, SpecSession, login_hint, login_of
from flows.ingest.sources.packed_body import unpacking
from flows.ingest.sources.samples import SourceRefused, SourceUnavailable
from flows.spec.sources import PrometheusSource

_BLOCK = 1 << 20
# Of one answer of several at once, unpacked; who sends more is asked for less.
_LARGEST = 128 << 20
_WAIT = re.compile(r"[0-9]{1,6}")

Form = list[tuple[str, str]]


class _Names(TypedDict):
    data: list[str]


_NAMES = TypeAdapter(_Names)


class AskForLess(Exception):
    """The server can't answer for so long a window."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds, and how often to ask.

    read_s: between two parts of an answer; whole_s: for one answer; budget_s: after which no
    further attempt begins.
    """

    connect_s: float = 5.0
    read_s: float = 60.0
    whole_s: float = 120.0
    budget_s: float = 90.0
    attempts: int = 4
    first_pause_s: float = 0.5
    longest_pause_s: float = 10.0

    @property
    def server_s(self) -> float:
        """The time that the server gets: it is to say what was wrong before we give up."""
        return self.read_s * 5 / 6


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer."""

    content_type: str
    body: bytes


class PrometheusConnection:
    """Asks one server; raises SourceRefused, SourceUnavailable or AskForLess, all with its URL."""

    def __init__(self, source: PrometheusSource, patience: Patience) -> None:
        # Nothing that is said of the server holds its secrets: they are sent beside the URL.
        server = endpoint_of(source.url)
        self._base, self.url = server.url, server.shown
        self.patience = patience
        session = SpecSession(patience.whole_s)
        session.auth = login_of(source, server.credentials)
        self._hints = dict.fromkeys((401, 403), login_hint(source, server.credentials))
        self._hints[404] = f"; is {self.url} the address to which /api/v1 is added?"
        session.params = dict(server.parameters)
        if source.ca_file and is_stream(Path(source.ca_file)):
            raise SourceRefused(f"{self.url}: ca_file {source.ca_file} {STREAM}")
        session.verify = source.ca_file or True
        # Prometheus compresses slower than a network carries: 7 times the time, measured.
        session.headers["Accept-Encoding"] = "identity"
        self.client = PrometheusConnect(
            url=self._base, session=session, timeout=(patience.connect_s, patience.read_s)
        )
        # The client mounts an adapter that repeats requests by itself and loses the reason.
        bound(session, patience.whole_s)
        self._session = session

    def answer(
        self,
        path: str,
        data: Form | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A successful answer to a POST of data, or to a GET, after as many attempts as help."""
        patience, began = self.patience, time.monotonic()
        pause_s, attempt = patience.first_pause_s, 0
        while True:
            attempt += 1
            try:
                return self._ask(path, data, headers)
            except _AskLater as error:
                spent_s = time.monotonic() - began
                if attempt == patience.attempts or spent_s + pause_s > patience.budget_s:
                    raise SourceUnavailable(
                        f"{self.url} failed {counted(attempt, 'time')}: {error}. "
                        "Is the URL right, and the server up?"
                    ) from error
                time.sleep(min(error.wait_s or pause_s, patience.longest_pause_s))
                pause_s *= 2

    def metric_names(self) -> list[str]:
        """All metric names that the server knows; bounded as every answer is."""
        try:
            answer = self.answer("/api/v1/label/__name__/values")
            names: _Names = _NAMES.validate_json(answer.body, strict=True)
            return names["data"]
        except ValidationError as error:
            wrong = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, wrong["loc"])) or "the answer"
            raise SourceRefused(
                f"{self.url} does not list its metrics: {field}: {wrong['msg']}"
            ) from error
        except AskForLess as error:
            raise SourceRefused(f"{self.url} does not list its metrics: {error}") from error

    def server_time(self) -> datetime | None:
        """The server's own clock, by which its samples are stamped; None if it doesn't tell."""
        try:
            with self._session.get(
                f"{self._base}/api/v1/status/buildinfo",
                timeout=self.patience.connect_s,
                verify=self._session.verify,
                stream=True,
            ) as response:
                return parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (requests.RequestException, urllib3.exceptions.HTTPError, KeyError, ValueError):
            return None

    def _ask(
        self, path: str, data: Form | bytes | None, headers: Mapping[str, str] | None
    ) -> Answer:
        """The answer to one attempt."""
        began = time.monotonic()
        try:
            with self._session.request(
                "GET" if data is None else "POST",
                self._base + path,
                data=data,
                headers=headers,
                timeout=(self.patience.connect_s, self.patience.read_s),
                # Said here, for an environment variable would overrule what the session says.
                verify=self._session.verify,
                stream=True,
            ) as response:
                body = self._body(response, began + self.patience.whole_s)
        except (requests.ReadTimeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise self._too_late(path, began) from error
        except requests.exceptions.SSLError as error:
            raise SourceRefused(
                f"{self.url}: no trusted connection (are https and ca_file right?): "
                f"{network_words(error)}"
            ) from error
        except (OtherHost, requests.exceptions.InvalidProxyURL) as error:
            raise SourceRefused(f"{self.url}: {error}") from error
        except requests.exceptions.InvalidURL as error:
            # Without what requests says: it may repeat a part of the password.
            raise SourceRefused(
                f"{self.url}: not a URL that can be asked; a / or @ in user or password is "
                "written %2F or %40"
            ) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            if time.monotonic() > began + self.patience.whole_s:
                raise self._too_late(path, began) from error
            raise _AskLater(f"{type(error).__name__}: {network_words(error)}") from error
        return self._judged(response, body)

    def _too_late(self, path: str, began: float) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self.url} did not answer {path} within {time.monotonic() - began:.0f} s; "
            "is it overloaded, or something between here and there?"
        )

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        """All of the answer, unpacked; what comes drop by drop or has no end is given up."""
        parts, size = list[bytes](), 0
        unpack = unpacking(response.headers.get("Content-Encoding", ""))
        part = b"."
        while part:
            part = response.raw.read1(_BLOCK, decode_content=False)
            for piece in unpack(part, _BLOCK):
                size += len(piece)
                if size > _LARGEST:
                    # The error keeps this frame while less and less is asked for.
                    del parts, part, piece
                    raise AskForLess(f"an answer of more than {_LARGEST >> 20} MB")
                parts.append(piece)
            # After the end, too: one that was cut off then is no whole answer.
            if time.monotonic() > deadline:
                raise requests.ReadTimeout
        return b"".join(parts)

    def _judged(self, response: requests.Response, body: bytes) -> Answer:
        """The answer if it is a success."""
        is_error = body.startswith(b"{") and b'"status":"error"' in body[:100]
        if response.status_code == requests.codes.ok and not is_error:
            return Answer(response.headers.get("Content-Type", ""), body)
        remedy, words = classify_failure(response.status_code, body)
        if remedy is Remedy.HALVE:
            raise AskForLess(words)
        if remedy is Remedy.REFUSE:
            hint = self._hints.get(response.status_code, "")
            raise SourceRefused(f"{self.url} refused ({response.status_code}): {words}{hint}")
        asked = response.headers.get("Retry-After", "")
        raise _AskLater(
            f"{response.status_code} {words}",
            wait_s=float(asked) if _WAIT.fullmatch(asked) else 0.0,
        )


class _AskLater(Exception):
    """An attempt failed that may succeed later; wait_s: what the server asks for, or 0."""

    def __init__(self, trouble: str, wait_s: float = 0.0) -> None:
        super().__init__(trouble)
        self.wait_s = wait_s


class Remedy(StrEnum):
    """halve: ask for a shorter window; retry: ask again later; refuse: asking again won't help."""

    HALVE = "halve"
    RETRY = "retry"
    REFUSE = "refuse"


_RETRIABLE = frozenset((408, 429, 502, 503, 504))


_TOO_MUCH = (
    "query processing would load too many samples",
    "exceeded sample limit",
    "exceeded maximum resolution",
    "context deadline exceeded",
    "query timed out in expression evaluation",
    "response size",
)


def classify_failure(status: int, body: bytes) -> tuple[Remedy, str]:
    """What helps against an answer that is no success, and the server's own words.

    status: HTTP status, also 200 with status=error in the body. The text decides before the
    status: 422 is a timeout when series are read too slowly, and a limit otherwise.
    """
    words = server_words(body)
    if any(text in words for text in _TOO_MUCH):
        return Remedy.HALVE, words
    if status in _RETRIABLE:
        return Remedy.RETRY, words
    return Remedy.REFUSE, words


def server_words(body: bytes) -> str:
    """The error type and text of a Prometheus answer, else the start of what was sent instead."""
    try:
        answer = json.loads(body)
        return f"{answer['errorType']}: {answer['error']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        start = " ".join(body[:200].decode(errors="replace").split())
        return start or "an empty answer"
