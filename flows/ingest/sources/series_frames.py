"""Finds series and their chunks in remote read's stream of frames, all frames side by side.

A frame is a length, a CRC32C and a message, which holds series (prometheus/prompb, remote.proto
and types.proto). A series is its labels, then its chunks; one that is long spans several frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import google_crc32c
import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]

_SERIES, _LABEL, _NAME, _VALUE = 0x0A, 0x0A, 0x0A, 0x12
_QUERY_INDEX = 0x10
_CHUNK, _FIRST_TIME, _LAST_TIME, _ENCODING, _DATA = 0x12, 0x08, 0x10, 0x18, 0x22
_XOR = 1
_ENDLESS = np.int64(1 << 56)
_NO_XOR = "a series has chunks of another encoding than XOR"


class NotReadable(Exception):
    """The answer holds what only JSON can carry, or isn't an answer at all."""


class Damaged(Exception):
    """The answer's bytes are not those that the server sent: asking again may help."""


@dataclass(frozen=True, slots=True)
class SeriesChunks:
    """Every series of an answer and where in it the data of its chunks is.

    labels: one mapping per series; per_series: int64[series], how many chunks each has.
    starts, ends: int64[chunks], bytes of the answer, series after series.
    """

    labels: tuple[Mapping[str, str], ...]
    per_series: I64
    starts: I64
    ends: I64


def check_frames(body: bytes) -> None:
    """Raises Damaged if a frame's checksum is wrong, NotReadable if the body breaks off."""
    for begin, end in _frames(body):
        told = int.from_bytes(body[begin - 4 : begin], "big")
        if google_crc32c.value(body[begin:end]) != told:
            raise Damaged("an answer to remote read has a wrong checksum (CRC32C)")


def find_series(body: bytes) -> SeriesChunks:
    """Every series; one that spans several frames is put together.

    Raises NotReadable for chunks of native histograms and for bodies that break off.
    """
    places = [place for begin, end in _frames(body) for place in _series(body, begin, end)]
    if not places:
        none = np.zeros(0, np.int64)
        return SeriesChunks((), none, none, none)
    data = np.frombuffer(body, np.uint8)
    begins, ends = np.array(places, np.int64).T
    chunks, _, _ = _fields(data, _LABEL, begins, ends)
    after, owner, messages = _fields(data, _CHUNK, chunks, ends)
    if (after != ends).any():
        raise NotReadable(_NO_XOR)
    keys = [body[a:b] for a, b in zip(begins.tolist(), chunks.tolist(), strict=True)]
    index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    series = np.array([index[key] for key in keys], np.int64)[owner]
    order = np.argsort(series, kind="stable")
    series, messages = series[order], messages[:, order]
    starts, ends = _chunk_data(data, *messages)
    fresh = _first_of_twins(body, series, starts, ends)
    return SeriesChunks(
        labels=tuple(map(_read_labels, index)),
        per_series=np.bincount(series[fresh], minlength=len(index)).astype(np.int64),
        starts=starts[fresh],
        ends=ends[fresh],
    )


def _frames(body: bytes) -> Iterator[tuple[int, int]]:
    """Begin and end of the messages in a stream of frames."""
    at = 0
    while at < len(body):
        size, at = _varint(body, at)
        if at + 4 + size > len(body):
            raise NotReadable("the answer breaks off in the middle of a frame")
        yield at + 4, at + 4 + size
        at += 4 + size


def _series(body: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    """Begin and end of the series in a frame."""
    while at < end and body[at] == _SERIES:
        size, begin = _varint(body, at + 1)
        at = begin + size
        if at > end:
            raise NotReadable("a series is longer than its frame")
        yield begin, at
    if at < end and body[at] != _QUERY_INDEX:
        raise NotReadable("a frame holds more than series")


def _fields(data: U8, tag: int, begins: I64, ends: I64) -> tuple[I64, I64, I64]:
    """The fields with a tag that follow one another from each place on.

    Returns the places after them, and by field in order of places: which place it is from
    (int64[fields]), its begin and end (int64[2, fields]).
    """
    at, live = begins.copy(), np.arange(begins.size)
    owners, places = [], []
    while (live := live[(at[live] < ends[live]) & (data.take(at[live], mode="clip") == tag)]).size:
        size, begin = _varints(data, at[live] + 1)
        at[live] = begin + size
        if (at[live] > ends[live]).any():
            raise NotReadable("a label or a chunk is longer than its series")
        owners.append(live)
        places.append((begin, at[live]))
    if not owners:
        return at, np.zeros(0, np.int64), np.zeros((2, 0), np.int64)
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    return at, owner[order], np.concatenate(places, axis=1)[:, order]


def _chunk_data(data: U8, at: I64, ends: I64) -> tuple[I64, I64]:
    """Begin and end of the data in each chunk's message."""
    for tag in (_FIRST_TIME, _LAST_TIME):
        _, after = _varints(data, at + 1)
        at = np.where(data.take(at, mode="clip") == tag, after, at)
    head = data.take(at + np.arange(3)[:, None], mode="clip")
    if (head != np.array([[_ENCODING], [_XOR], [_DATA]])).any():
        raise NotReadable(_NO_XOR)
    size, begin = _varints(data, at + 3)
    if (begin + size != ends).any():
        raise NotReadable("a chunk holds more or less than its data")
    return begin, ends


def _first_of_twins(body: bytes, series: I64, starts: I64, ends: I64) -> NDArray[np.bool_]:
    """bool[chunks], false for a chunk that is the one before over again, as at windows' edges."""
    fresh = np.ones(series.size, np.bool_)
    sizes = ends - starts
    alike = (series[1:] == series[:-1]) & (sizes[1:] == sizes[:-1])
    for chunk in (np.flatnonzero(alike) + 1).tolist():
        one, other = slice(starts[chunk - 1], ends[chunk - 1]), slice(starts[chunk], ends[chunk])
        fresh[chunk] = body[one] != body[other]
    return fresh


@lru_cache(maxsize=1 << 12)
def _read_labels(fields: bytes) -> Mapping[str, str]:
    """The labels of a series by its bytes; a pull reads most series several times."""
    labels, at = {}, 0
    while at < len(fields):
        size, begin = fields[at + 1], at + 2
        if size >= 0x80:
            size, begin = _varint(fields, at + 1)
        at = begin + size
        name, value = _read_label(fields[begin:at])
        labels[name] = value
    return labels


@lru_cache(maxsize=1 << 14)
def _read_label(message: bytes) -> tuple[str, str]:
    """A label's name and value; most come again and again, in all series of a pod."""
    texts, at = {_NAME: "", _VALUE: ""}, 0
    while at < len(message):
        tag = message[at]
        size, at = _varint(message, at + 1)
        if tag not in texts or at + size > len(message):
            raise NotReadable("a label is more than a name and a value")
        texts[tag] = message[at : at + size].decode()
        at += size
    return texts[_NAME], texts[_VALUE]


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


def _varints(data: U8, at: I64) -> tuple[I64, I64]:
    """The number at each place, and the places after them."""
    found, going, at = np.zeros(at.size, np.int64), np.ones(at.size, np.bool_), at.copy()
    for group in range(10):
        byte = data.take(at, mode="clip").astype(np.int64)
        found |= np.where(going, byte & 0x7F, 0) << min(7 * group, 62)
        at += going
        going &= byte >= 0x80
        if not going.any():
            break
    # What is longer than any answer is noise, and must not wrap around when it is added up.
    return np.where((found < 0) | (found > _ENDLESS), _ENDLESS, found), at
