"""Decodes Prometheus' XOR chunks, many at once.

A chunk is one series' samples of up to two hours: times as differences of differences, values
as XOR with the value before (Pelkonen et al. 2015, Gorilla). Its samples can only be read one
after the other, so all chunks are read side by side: the first sample of each, then the second.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

# By the four bits ahead: the prefix's length, and how many bits of difference follow it.
_PREFIX_BITS = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4, 4], dtype=np.int64)
_DELTA_BITS = np.array([0] * 8 + [14] * 4 + [17] * 2 + [20, 64], dtype=np.int64)
_PADDING = b"\0" * 16


def decode_chunks(chunks: Sequence[bytes]) -> tuple[I64, I64, NDArray[np.float64]]:
    """Samples of all chunks, one chunk after the other.

    Returns (counts int64[chunks], ts_ms int64[samples], values float64[samples]).
    """
    counts = np.array([int.from_bytes(chunk[:2], "big") for chunk in chunks], dtype=np.int64)
    if not counts.sum():
        return counts, np.empty(0, np.int64), np.empty(0)
    # The longest chunks first: those that still have samples are always the first ones.
    order = np.argsort(-counts, kind="stable")
    sorted_counts = counts[order]
    bits = _Bits([chunks[i] for i in order])
    times = np.empty((len(chunks), sorted_counts[0]), dtype=np.int64)
    values = np.empty((len(chunks), sorted_counts[0]), dtype=np.uint64)
    state = _Cursor(bits, len(chunks))
    for sample in range(int(sorted_counts[0])):
        active = int(np.searchsorted(-sorted_counts, -sample, side="left"))
        times[:active, sample], values[:active, sample] = state.step(active, sample)
    back = np.argsort(order)
    filled = np.arange(times.shape[1]) < counts[:, None]
    return counts, times[back][filled], values[back][filled].view(np.float64)


class _Bits:
    """The chunks' bytes, read at any bit."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        data = b"".join(chunks) + _PADDING
        starts = np.concatenate([[0], np.cumsum([len(chunk) for chunk in chunks])])[:-1]
        self.first = (starts + 2) * 8  # the count stands before the first sample
        self._bytes = np.frombuffer(data, dtype=np.uint8)
        # A big-endian word at each byte: a view, nothing is copied.
        self._words = np.ndarray((len(data) - 7,), dtype=">u8", buffer=data, strides=(1,))

    def word(self, position: I64) -> U64:
        """The 64 bits at each position."""
        byte, shift = position >> 3, (position & 7).astype(np.uint64)
        head = self._words[byte].astype(np.uint64) << shift
        tail = self._bytes[byte + 8].astype(np.uint64) >> (np.uint64(8) - shift)
        found: U64 = head | tail
        return found


class _Cursor:
    """Where each chunk's reading stands: its bit, and the state that the encoding carries on."""

    def __init__(self, bits: _Bits, chunks: int) -> None:
        self.bits, self.position = bits, bits.first.astype(np.int64)
        self.time = np.zeros(chunks, dtype=np.int64)
        self.delta = np.zeros(chunks, dtype=np.int64)
        self.value = np.zeros(chunks, dtype=np.uint64)
        self.leading = np.zeros(chunks, dtype=np.int64)
        self.significant = np.zeros(chunks, dtype=np.int64)

    def step(self, active: int, sample: int) -> tuple[I64, U64]:
        """Reads the next sample of the first `active` chunks; returns their times and values."""
        n = slice(0, active)
        if sample == 0:
            raw = self._varint(n)
            self.time[n] = (raw >> np.uint64(1)).astype(np.int64) ^ -(
                (raw & np.uint64(1)).astype(np.int64)
            )
            self.value[n] = self.bits.word(self.position[n])
            self.position[n] += 64
        else:
            if sample == 1:
                self.delta[n] = self._varint(n).astype(np.int64)
            else:
                self.delta[n] += self._delta_of_delta(n)
            self.time[n] += self.delta[n]
            self._next_value(n)
        return self.time[n], self.value[n]

    def _varint(self, n: slice) -> U64:
        """Little-endian groups of seven bits, the high bit set on all but the last."""
        found = np.zeros(self.position[n].shape, dtype=np.uint64)
        going = np.ones(found.shape, dtype=bool)
        for group in range(10):
            byte = self.bits.word(self.position[n]) >> np.uint64(56)
            part = (byte & np.uint64(0x7F)) << np.uint64(7 * group)
            found = np.where(going, found | part, found)
            self.position[n] += 8 * going
            going &= byte >= 0x80
            if not going.any():
                break
        return found

    def _delta_of_delta(self, n: slice) -> I64:
        word = self.bits.word(self.position[n])
        ahead = (word >> np.uint64(60)).astype(np.int64)
        prefix, size = _PREFIX_BITS[ahead], _DELTA_BITS[ahead]
        short = np.clip(size, 1, 20).astype(np.uint64)
        raw = ((word << prefix.astype(np.uint64)) >> (np.uint64(64) - short)).astype(np.int64)
        limit = np.int64(1) << (short.astype(np.int64) - 1)
        found = np.where(raw > limit, raw - 2 * limit, raw)
        found[size == 0] = 0
        long = size == 64
        if long.any():
            found[long] = self.bits.word(self.position[n][long] + 4).view(np.int64)
        self.position[n] += prefix + size
        return found

    def _next_value(self, n: slice) -> None:
        word = self.bits.word(self.position[n])
        top = (word >> np.uint64(62)).astype(np.int64)
        changed, renewed = top >= 2, top == 3
        lead = ((word >> np.uint64(57)) & np.uint64(31)).astype(np.int64)
        size = ((word >> np.uint64(51)) & np.uint64(63)).astype(np.int64)
        self.leading[n] = np.where(renewed, lead, self.leading[n])
        self.significant[n] = np.where(renewed, np.where(size == 0, 64, size), self.significant[n])
        header = np.where(renewed, 13, np.where(changed, 2, 1))
        significant = np.where(changed, self.significant[n], 0)
        xor = self.bits.word(self.position[n] + header)
        width = np.maximum(significant, 1)
        trailing = np.maximum(64 - self.leading[n] - width, 0).astype(np.uint64)
        xor = (xor >> (64 - width).astype(np.uint64)) << trailing
        self.value[n] ^= np.where(changed, xor, np.uint64(0))
        self.position[n] += header + significant
