"""Prometheus' remote read: raw samples as XOR chunks, a twentieth of the bytes of JSON.

The protocol's few messages are encoded and decoded here (prometheus/prompb, remote.proto).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import cramjam
import numpy as np

from flows.sources.joined_samples import in_order, kept_samples, without_oddities
from flows.sources.samples import Samples, Selector
from flows.sources.xor_chunks import decode_chunks

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
STREAMED = "application/x-streamed-protobuf"
_STREAMED_XOR_CHUNKS = 1
_OPS = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_STALE = np.uint64(0x7FF0000000000002)  # only the bits tell a staleness marker from another NaN

_VARINT = rb"[\x80-\xff]{0,9}[\x00-\x7f]"
# A chunk up to its data: its length, first and last time, XOR as its type, the data's length.
# Millions of chunks are read, so one match replaces a walk through the fields.
_CHUNK = re.compile(
    rb"\x12%(v)b(?:\x08%(v)b)?(?:\x10%(v)b)?\x18\x01\x22(%(v)b)" % {b"v": _VARINT}, re.DOTALL
)
_SERIES, _LABEL, _NAME, _VALUE = 0x0A, 0x0A, 0x0A, 0x12
_QUERY_INDEX = 0x10


class NotReadable(Exception):
    """The answer holds what only JSON can carry, or isn't an answer at all."""


@dataclass(slots=True)
class _Series:
    """A series and where in the body its chunks begin and end."""

    labels: dict[str, str]
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


def encode_request(selector: Selector, start_ms: int, end_ms: int) -> bytes:
    """The body that asks for one selector's samples with start_ms <= time <= end_ms."""
    matchers = [(0, "__name__", selector.metric)]
    matchers += [(_OPS[m.op], m.label, m.value) for m in selector.matchers]
    query = _number(1, start_ms) + _number(2, end_ms)
    for op, name, value in matchers:
        query += _bytes(3, _number(1, op) + _bytes(2, name.encode()) + _bytes(3, value.encode()))
    request = _bytes(1, query) + _number(2, _STREAMED_XOR_CHUNKS)
    return bytes(cramjam.snappy.compress_raw(request))


def decode_answer(body: bytes, external: Mapping[str, str], start_ms: int, end_ms: int) -> Samples:
    """The samples of a streamed answer with start_ms < time <= end_ms.

    body: one answer, or those for adjacent windows one after the other.
    external: labels that the server adds to every series, and that are taken off again.
    Raises NotReadable for native histograms and for bodies that break off.
    """
    try:
        series = _read_series(body)
        starts = np.array([at for one in series for at in one.starts], dtype=np.int64)
        ends = np.array([at for one in series for at in one.ends], dtype=np.int64)
        counts, ts_ms, values = decode_chunks(body, starts, ends)
    except ValueError as error:  # no UTF-8, or chunks that end too early
        raise NotReadable(str(error)) from error
    chunks = np.concatenate([[0], np.cumsum([len(one.starts) for one in series])]).astype(np.int64)
    samples = Samples(
        labels=tuple(_without(one.labels, external) for one in series),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)[chunks],
        ts_ms=ts_ms,
        values=values,
    )
    # Chunks reach over the window's edges; those of blocks that overlap hold a sample twice.
    inside = (ts_ms > start_ms) & (ts_ms <= end_ms) & (values.view(np.uint64) != _STALE)
    return without_oddities(in_order(kept_samples(samples, inside)))


def _without(labels: dict[str, str], external: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if external.get(name) != value}


def _read_series(body: bytes) -> list[_Series]:
    """Every series; one that spans several frames is put together."""
    found: dict[bytes, _Series] = {}
    known: dict[bytes, tuple[str, str]] = {}
    for begin, end in _frames(body):
        at = begin
        while at < end and body[at] == _SERIES:
            size, labels = _varint(body, at + 1)
            chunks, at = _end_of_labels(body, labels, end), labels + size
            if at > end:
                raise NotReadable("a series is longer than its frame")
            key = body[labels:chunks]
            if (one := found.get(key)) is None:
                one = found[key] = _Series(_read_labels(key, known))
            _read_chunks(body, chunks, at, one)
        if at < end and body[at] != _QUERY_INDEX:
            raise NotReadable("a frame holds more than series")
    return list(found.values())


def _end_of_labels(body: bytes, at: int, end: int) -> int:
    while at < end and body[at] == _LABEL:
        size, at = _varint(body, at + 1)
        at += size
    return at


def _frames(body: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the messages in a stream of frames: length, CRC32C, message.

    The CRC32C is not compared: HTTP and TCP have checked the bytes, and no package here has it.
    """
    at = 0
    while at < len(body):
        size, at = _varint(body, at)
        if at + 4 + size > len(body):
            raise NotReadable("the answer breaks off in the middle of a frame")
        yield at + 4, at + 4 + size
        at += 4 + size


def _read_labels(fields: bytes, known: dict[bytes, tuple[str, str]]) -> dict[str, str]:
    """The labels of one series; known: those of others by their bytes, for most come again."""
    labels, at = {}, 0
    while at < len(fields):
        size, at = _varint(fields, at + 1)
        pair = fields[at : at + size]
        if pair not in known:
            known[pair] = _read_label(pair)
        name, value = known[pair]
        labels[name] = value
        at += size
    return labels


def _read_label(message: bytes) -> tuple[str, str]:
    texts, at = {_NAME: "", _VALUE: ""}, 0
    while at < len(message):
        tag = message[at]
        size, at = _varint(message, at + 1)
        if tag not in texts or at + size > len(message):
            raise NotReadable("a label is more than a name and a value")
        texts[tag] = message[at : at + size].decode()
        at += size
    return texts[_NAME], texts[_VALUE]


def _read_chunks(body: bytes, at: int, end: int, series: _Series) -> None:
    """Notes where the chunks between two places are; one that comes twice in a row counts once."""
    while at < end:
        found = _CHUNK.match(body, at, end)
        if not found:
            raise NotReadable("a series has chunks of another encoding than XOR")
        size, begin = _varint(body, found.start(1))
        at = begin + size
        if not series.ends or body[begin:at] != body[series.starts[-1] : series.ends[-1]]:
            series.starts.append(begin)
            series.ends.append(at)
    if at > end:
        raise NotReadable("a chunk is longer than its series")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number and the place after it."""
    found = shift = 0
    try:
        while (byte := data[at]) >= 0x80:
            found |= (byte & 0x7F) << shift
            shift += 7
            at += 1
    except IndexError as error:
        raise NotReadable("the answer breaks off in the middle of a number") from error
    return found | byte << shift, at + 1


def _to_varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(number: int, value: int) -> bytes:
    return _to_varint(number << 3) + _to_varint(value)


def _bytes(number: int, value: bytes) -> bytes:
    return _to_varint(number << 3 | 2) + _to_varint(len(value)) + value


def external_labels(config: str) -> dict[str, str]:
    """The labels that a server with this configuration adds to every series it hands out."""
    import yaml  # noqa: PLC0415

    settings = (yaml.safe_load(config) or {}).get("global") or {}
    return {str(k): str(v) for k, v in (settings.get("external_labels") or {}).items()}
