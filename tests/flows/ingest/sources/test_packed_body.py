"""Answers are bounded while they are read, packed or not, and unpacked only as was agreed."""

from __future__ import annotations

import gc
import gzip
import tracemalloc
import zlib

import pytest

from flows.ingest.sources.prometheus import PrometheusSamples
from flows.ingest.sources.prometheus_connection import Patience
from flows.ingest.sources.samples import SourceRefused
from flows.spec.sources import PrometheusSource
from tests.flows.ingest.sources.test_prometheus_connection import HOUR, UP
from tests.servers.scripted_server import MATRIX, ONE_SERIES, Reply, scripted

ANSWER = MATRIX % (ONE_SERIES, b"")
ONCE = Patience(attempts=1)


def read(reply: Reply) -> int:
    """How many samples there are in the answer."""
    with scripted(reply) as server:
        source = PrometheusSource(url=server.url)
        return PrometheusSamples(source, ONCE).read(UP, 0, HOUR).ts_ms.size


def packed(body: bytes, encoding: str) -> Reply:
    return Reply(200, body, {"Content-Encoding": encoding})


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, ANSWER),
        packed(ANSWER, "identity"),
        packed(gzip.compress(ANSWER), "gzip"),
        packed(gzip.compress(ANSWER), "x-gzip"),
        packed(zlib.compress(ANSWER), "deflate"),
    ],
)
def test_a_packed_answer_is_the_same(reply: Reply) -> None:
    assert read(reply) == 1


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (packed(ANSWER, "br"), "is packed by 'br', which was not requested"),
        (packed(ANSWER, "gzip"), "can't be unpacked"),
        (packed(gzip.compress(ANSWER)[:-20], "gzip"), "no Prometheus answer"),
        (packed(gzip.compress(b"[" * (32 << 20)), "gzip"), "over 400 times as large unpacked"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(reply: Reply, words: str) -> None:
    with pytest.raises(SourceRefused, match=words):
        read(reply)


@pytest.mark.parametrize(
    "reply",
    [Reply(200, b" " * (3 << 20)), packed(gzip.compress(b" " * (64 << 20)), "gzip")],
    ids=["plain", "packed"],
)
def test_an_answer_without_end_is_given_up(reply: Reply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.ingest.sources.prometheus_connection._LARGEST", 1 << 20)
    with pytest.raises(SourceRefused, match="an answer of more than 1 MB"):
        read(reply)


def test_what_was_given_up_is_kept_by_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ever shorter windows are asked for; of seven answers without end one is held at a time."""
    monkeypatch.setattr("flows.ingest.sources.prometheus_connection._LARGEST", 4 << 20)
    reply = Reply(200, b" " * (8 << 20))
    gc.disable()
    tracemalloc.start()
    try:
        with pytest.raises(SourceRefused, match="an answer of more than 4 MB, even for"):
            read(reply)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
        gc.enable()
