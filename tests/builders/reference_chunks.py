"""XOR chunks and remote read answers, encoded bit by bit as the formats' descriptions say."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

Sample = tuple[int, float]


def encode_chunk(samples: Sequence[Sample]) -> bytes:
    """One chunk: count, first time and value, first difference, then differences of them."""
    bits, leading, trailing = "", -1, 0
    time = delta = value = 0
    for index, (ts_ms, number) in enumerate(samples):
        word = struct.unpack(">Q", struct.pack(">d", number))[0]
        if index == 0:
            bits += _bits_of(_uvarint(ts_ms << 1 ^ ts_ms >> 63)) + f"{word:064b}"
        else:
            if index == 1:
                bits += _bits_of(_uvarint(ts_ms - time))
            else:
                bits += _difference(ts_ms - time - delta)
            text, leading, trailing = _xor(word ^ value, leading, trailing)
            bits += text
            delta = ts_ms - time
        time, value = ts_ms, word
    bits += "0" * (-len(bits) % 8)
    body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return len(samples).to_bytes(2, "big") + body


def _difference(value: int) -> str:
    if value == 0:
        return "0"
    for prefix, size in (("10", 14), ("110", 17), ("1110", 20)):
        if -(1 << (size - 1)) + 1 <= value <= 1 << (size - 1):
            return prefix + f"{value & (1 << size) - 1:0{size}b}"
    return "1111" + f"{value & (1 << 64) - 1:064b}"


def _xor(changed: int, leading: int, trailing: int) -> tuple[str, int, int]:
    """The bits of one value, and the zero bits before and after that the next may take over."""
    if changed == 0:
        return "0", leading, trailing
    text = f"{changed:064b}"
    before, after = min(text.index("1"), 31), 64 - len(text.rstrip("0"))
    if leading >= 0 and before >= leading and after >= trailing:
        return "10" + text[leading : 64 - trailing], leading, trailing
    size = 64 - before - after
    return f"11{before:05b}{size % 64:06b}" + text[before : 64 - after], before, after


def _uvarint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _bits_of(data: bytes) -> str:
    return "".join(f"{byte:08b}" for byte in data)


def encode_frame(labels: Mapping[str, str], chunks: Sequence[Sequence[Sample]]) -> bytes:
    """One frame of a streamed answer: a series with some of its chunks."""
    pairs = [(name.encode(), value.encode()) for name, value in labels.items()]
    series = b"".join(_field(1, _field(1, name) + _field(2, value)) for name, value in pairs)
    series += b"".join(_field(2, encode_chunk_message(chunk)) for chunk in chunks)
    message = _field(1, series)
    return _uvarint(len(message)) + b"\0\0\0\0" + message


def encode_chunk_message(samples: Sequence[Sample], encoding: int = 1) -> bytes:
    """A chunk with its times and encoding (1: XOR)."""
    first, last = samples[0][0], samples[-1][0]
    head = b"\x08" + _uvarint(first) + b"\x10" + _uvarint(last) + b"\x18" + bytes([encoding])
    return head + _field(4, encode_chunk(samples))


def encode_histogram_frame(labels: Mapping[str, str]) -> bytes:
    """A frame whose chunk has the encoding of native histograms."""
    chunk = _field(2, encode_chunk_message([(1, 1.0)], encoding=2))
    series = b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in labels.items()
    )
    message = _field(1, series + chunk)
    return _uvarint(len(message)) + b"\0\0\0\0" + message


def _field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _uvarint(len(value)) + value
