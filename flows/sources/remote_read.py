"""Prometheus' remote read: raw samples as XOR chunks, a twentieth of the bytes of JSON.

The protocol's few messages are encoded and decoded here (prometheus/prompb, remote.proto).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cramjam
import numpy as np

from flows.sources.json_samples import without_oddities
from flows.sources.samples import Samples, Selector
from flows.sources.xor_chunks import decode_chunks

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
STREAMED = "application/x-streamed-protobuf"
_STREAMED_XOR_CHUNKS = 1
_XOR = 1
_OPS = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_STALE = 0x7FF0000000000002


class NotReadable(Exception):
    """The answer holds what only JSON can carry, or isn't an answer at all."""


@dataclass(slots=True)
class _Series:
    labels: dict[str, str]
    chunks: list[bytes]
    starts: list[int]


def encode_request(selector: Selector, start_ms: int, end_ms: int) -> bytes:
    """The body that asks for one selector's samples with start_ms <= time <= end_ms."""
    matchers = [(0, "__name__", selector.metric)]
    matchers += [(_OPS[m.op], m.label, m.value) for m in selector.matchers]
    query = _number(1, start_ms) + _number(2, end_ms)
    for op, name, value in matchers:
        query += _bytes(3, _number(1, op) + _bytes(2, name.encode()) + _bytes(3, value.encode()))
    request = _bytes(1, query) + _number(2, _STREAMED_XOR_CHUNKS)
    return bytes(cramjam.snappy.compress_raw(request))


def decode_answer(body: bytes, external: dict[str, str], start_ms: int, end_ms: int) -> Samples:
    """The samples of a streamed answer with start_ms < time <= end_ms.

    external: labels that the server adds to every series, and that are taken off again.
    Raises NotReadable for native histograms and for bodies that break off.
    """
    series = _series_of(body)
    for one in series:
        for name, value in external.items():
            if one.labels.get(name) == value:
                del one.labels[name]
    for one in series:
        by_time = sorted(range(len(one.starts)), key=one.starts.__getitem__)
        one.chunks = [one.chunks[i] for i in by_time]
    counts, ts_ms, values = decode_chunks([chunk for one in series for chunk in one.chunks])
    owner = np.repeat(np.arange(len(series)), [len(one.chunks) for one in series])
    series_of_sample = np.repeat(owner, counts)
    keep = (ts_ms > start_ms) & (ts_ms <= end_ms) & (values.view(np.uint64) != _STALE)
    series_of_sample, ts_ms, values = series_of_sample[keep], ts_ms[keep], values[keep]
    # Chunks of blocks that overlap hold the same sample twice.
    same = np.diff(series_of_sample) == 0
    if (same & (np.diff(ts_ms) <= 0)).any():
        order = np.lexsort((ts_ms, series_of_sample))
        series_of_sample, ts_ms, values = series_of_sample[order], ts_ms[order], values[order]
        first = np.ones(ts_ms.size, dtype=bool)
        first[1:] = (np.diff(series_of_sample) != 0) | (np.diff(ts_ms) != 0)
        series_of_sample, ts_ms, values = series_of_sample[first], ts_ms[first], values[first]
    sizes = np.bincount(series_of_sample, minlength=len(series))
    samples = Samples(
        labels=tuple(one.labels for one, size in zip(series, sizes, strict=True) if size),
        offsets=np.concatenate([[0], np.cumsum(sizes[sizes > 0])]).astype(np.int64),
        ts_ms=ts_ms,
        values=values,
    )
    return without_oddities(samples)


def _series_of(body: bytes) -> list[_Series]:
    """Every series; one that spans several frames is put together."""
    found: dict[tuple[tuple[str, str], ...], _Series] = {}
    known: dict[bytes, tuple[str, str]] = {}
    for frame in _frames(body):
        for number, message in _fields(frame):
            if number == 1 and isinstance(message, bytes):
                one = _read_series(message, known)
                whole = found.setdefault(tuple(one.labels.items()), one)
                if whole is not one:
                    whole.chunks += one.chunks
                    whole.starts += one.starts
    return list(found.values())


def _frames(body: bytes) -> Iterator[bytes]:
    """The stream's frames: length, CRC32C (HTTP and TCP have checked the bytes), message."""
    at = 0
    while at < len(body):
        size, at = _varint(body, at)
        if at + 4 + size > len(body):
            raise NotReadable("the answer breaks off in the middle of a frame")
        yield body[at + 4 : at + 4 + size]
        at += 4 + size


def _read_series(message: bytes, known: dict[bytes, tuple[str, str]]) -> _Series:
    """One series; known: labels read before, by their bytes, for most of them come again."""
    one = _Series({}, [], [])
    for number, part in _fields(message):
        if not isinstance(part, bytes):
            continue
        if number == 1:
            if part not in known:
                pair = {n: v.decode() for n, v in _fields(part) if isinstance(v, bytes)}
                known[part] = pair.get(1, ""), pair.get(2, "")
            name, value = known[part]
            one.labels[name] = value
        elif number == 2:
            start, data = _read_chunk(part)
            one.chunks.append(data)
            one.starts.append(start)
    return one


def _read_chunk(message: bytes) -> tuple[int, bytes]:
    """Start in milliseconds and bytes of one chunk."""
    fields = dict(_fields(message))
    start, data = fields.get(1, 0), fields.get(4)
    if fields.get(3) != _XOR or not isinstance(data, bytes) or not isinstance(start, int):
        raise NotReadable("a series has chunks of another encoding than XOR")
    return start, data


def _fields(message: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a protobuf message: varints and byte strings are all that occurs.

    A hundred thousand times called for a day of 600 series, so short varints are read in place.
    """
    found: list[tuple[int, int | bytes]] = []
    at, end = 0, len(message)
    while at < end:
        key = message[at]
        at += 1
        if key >= 0x80:
            raise NotReadable("a message has fields that remote read doesn't have")
        value, at = (message[at], at + 1) if message[at] < 0x80 else _varint(message, at)
        if key & 7 == 0:
            found.append((key >> 3, value))
        elif key & 7 == 2:
            found.append((key >> 3, message[at : at + value]))
            at += value
        else:
            raise NotReadable(f"field {key >> 3} has an unknown type")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    found = shift = 0
    try:
        while True:
            byte = data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:
                return found, at
            shift += 7
    except IndexError as error:
        raise NotReadable("the answer breaks off in the middle of a number") from error


def _to_varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _to_varint(field << 3) + _to_varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _to_varint(field << 3 | 2) + _to_varint(len(value)) + value


def external_labels(config: str) -> dict[str, str]:
    """The labels that a server with this configuration adds to every series it hands out."""
    import yaml  # noqa: PLC0415

    settings = (yaml.safe_load(config) or {}).get("global") or {}
    return {str(k): str(v) for k, v in (settings.get("external_labels") or {}).items()}
