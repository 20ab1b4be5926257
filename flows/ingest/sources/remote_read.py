"""Prometheus' remote read: raw samples as XOR chunks, a twentieth of the bytes of JSON.

The protocol's few messages are encoded and decoded here (prometheus/prompb, remote.proto).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import cramjam
import numpy as np

from analysis.counting.timelines import Timelines
from flows.ingest.sources.samples import Samples, Selector, finite, in_order, kept_samples
from flows.ingest.sources.series_frames import NotReadable, find_series
from flows.ingest.sources.xor_chunks import decode_chunks

__all__ = [
    "HEADERS",
    "STREAMED",
    "NotReadable",
    "decode_answer",
    "encode_request",
    "external_labels",
]

HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Read-Version": "0.1.0",
}
STREAMED = "application/x-streamed-protobuf"
_STREAMED_XOR_CHUNKS = 1
_OPS = {"=": 0, "!=": 1, "=~": 2, "!~": 3}
_STALE = np.uint64(0x7FF0000000000002)  # only the bits tell a staleness marker from another NaN


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
        found = find_series(body)
        counts, ts_ms, values = decode_chunks(body, found.starts, found.ends)
    except ValueError as error:  # no UTF-8, or chunks that end too early
        raise NotReadable(str(error)) from error
    chunks = np.concatenate([[0], np.cumsum(found.per_series)])
    samples = Samples(
        labels=tuple(_without(labels, external) for labels in found.labels),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)[chunks],
        ts_ms=ts_ms,
        values=values,
    )
    if not _is_in_order(samples):
        return in_order(_proper(samples, start_ms, end_ms))
    return _proper(_trimmed(samples, start_ms, end_ms), start_ms, end_ms)


def _trimmed(samples: Samples, start_ms: int, end_ms: int) -> Samples:
    """The samples inside the window, moved together where they lie: chunks reach over its edges.

    Fresh memory for what is kept would cost as much time as decoding.
    """
    times, row = Timelines(samples.offsets, samples.ts_ms), np.arange(len(samples.labels))
    first = times.first_at(row, np.full(len(row), start_ms + 1))
    sizes = times.first_at(row, np.full(len(row), end_ms + 1)) - first
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
    ts_ms, values = samples.ts_ms, samples.values
    for at, begin, size in zip(offsets.tolist(), first.tolist(), sizes.tolist(), strict=False):
        if at != begin:
            ts_ms[at : at + size] = ts_ms[begin : begin + size]
            values[at : at + size] = values[begin : begin + size]
    total = offsets[-1]
    return replace(samples, offsets=offsets, ts_ms=ts_ms[:total], values=values[:total])


def _proper(samples: Samples, start_ms: int, end_ms: int) -> Samples:
    """The samples inside the window without staleness markers and values that no counter has."""
    ts_ms, values = samples.ts_ms, samples.values
    is_finite = bool(np.isfinite(values).all())
    is_inside = ts_ms.size > 0 and start_ms < ts_ms.min() and ts_ms.max() <= end_ms
    if is_finite and is_inside and np.diff(samples.offsets).all():
        return samples
    inside = (ts_ms > start_ms) & (ts_ms <= end_ms)
    if not is_finite:
        inside &= values.view(np.uint64) != _STALE
    return finite(kept_samples(samples, inside))


def _is_in_order(samples: Samples) -> bool:
    """Whether time falls only from one series to the next."""
    falls = np.flatnonzero(samples.ts_ms[1:] <= samples.ts_ms[:-1]) + 1
    return bool(np.isin(falls, samples.offsets).all())


def _without(labels: Mapping[str, str], external: Mapping[str, str]) -> Mapping[str, str]:
    if not external:
        return labels
    return {name: value for name, value in labels.items() if external.get(name) != value}


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
    """The labels that a server with this configuration adds to every series it hands out.

    Raises NotReadable where it reads from other stores: of those that fail only JSON warns.
    """
    import yaml  # noqa: PLC0415

    # A configuration may have thousands of lines; the parser in Python takes 10 times as long.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    settings = yaml.load(config, loader) or {}  # both are safe
    if settings.get("remote_read"):
        raise NotReadable("the server reads from other stores")
    found = (settings.get("global") or {}).get("external_labels") or {}
    return {str(k): str(v) for k, v in found.items()}
