"""Decodes Prometheus' XOR chunks, many at once.

A chunk is one series' samples of up to two hours: times as differences of differences, values
as XOR with the value before (Pelkonen et al. 2015, Gorilla). Its samples can only be read one
after the other, so chunks are read side by side: the first sample of each, then the second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

# By the four bits ahead: the prefix's length, and how many bits of difference follow it.
_PREFIX_BITS = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4, 4], dtype=np.int64)
_DELTA_BITS = np.array([0] * 8 + [14] * 4 + [17] * 2 + [20, 64], dtype=np.int64)
_PADDING = b"\0" * 16
# A sample's state of so many chunks stays in the processor's cache from step to step.
_SIDE_BY_SIDE = 8192
# A word that starts at a byte and is shifted to a bit within it has at least so many bits left.
_SURE_BITS = 57

_ONE, _TWO, _THREE = np.uint64(1), np.uint64(2), np.uint64(3)
_WORD = np.uint64(64)


def decode_chunks(body: bytes, starts: I64, ends: I64) -> tuple[I64, I64, NDArray[np.float64]]:
    """Samples of all chunks, one chunk after the other.

    starts, ends: int64[chunks], which bytes of body are a chunk, in any order.
    Returns (counts int64[chunks], ts_ms int64[samples], values float64[samples]).
    Raises ValueError if a chunk's bytes end before its samples.
    """
    if (ends - starts < 2).any():
        raise ValueError("a chunk's bytes end before its samples")
    data = np.frombuffer(body or _PADDING, dtype=np.uint8)
    counts = data[starts].astype(np.int64) << 8 | data[starts + 1]
    total = int(counts.sum())
    ts_ms, values = np.empty(total, np.int64), np.empty(total, np.uint64)
    firsts = np.concatenate([[0], np.cumsum(counts)])[:-1]
    for begin in range(0, len(starts), _SIDE_BY_SIDE):
        block = slice(begin, begin + _SIDE_BY_SIDE)
        _decode_block(body, starts[block], ends[block], counts[block], firsts[block], ts_ms, values)
    return counts, ts_ms, values.view(np.float64)


def _decode_block(
    body: bytes, starts: I64, ends: I64, counts: I64, firsts: I64, ts_ms: I64, values: U64
) -> None:
    """Writes the samples of some chunks to their places, which begin at firsts[0]."""
    # The longest chunks first: those that still have samples are always the first ones.
    order = np.argsort(-counts, kind="stable")
    sorted_counts, most = counts[order], int(counts.max())
    low = int(starts.min())
    reader = _Reader(body[low : int(ends.max())] + _PADDING, starts[order] - low)
    times = np.empty((most, len(counts)), dtype=np.int64)
    words = np.empty((most, len(counts)), dtype=np.uint64)
    for sample in range(most):
        active = int(np.searchsorted(-sorted_counts, -sample, side="left"))
        reader.step(active, sample, times[sample], words[sample])
    if (reader.position > (ends[order] - low) * 8).any():
        raise ValueError("a chunk's bytes end before its samples")
    back = np.argsort(order)
    filled = np.arange(most) < counts[:, None]
    place = slice(int(firsts[0]), int(firsts[0] + counts.sum()))
    ts_ms[place] = times.T[back][filled]
    values[place] = words.T[back][filled]


class _Reader:
    """Where each chunk's reading stands: its bit, and the state that the encoding carries on."""

    def __init__(self, data: bytes, starts: I64) -> None:
        chunks = len(starts)
        # A big-endian word at each byte: one look-up instead of several shifts and masks.
        self.words = np.ndarray((len(data) - 8,), ">u8", data, strides=(1,)).astype(np.uint64)
        self.bytes = np.frombuffer(data, dtype=np.uint8)
        self.position = (starts + 2) * 8  # the count stands before the first sample
        self.delta = np.zeros(chunks, dtype=np.int64)
        self.time = np.zeros(chunks, dtype=np.int64)
        self.value = np.zeros(chunks, dtype=np.uint64)
        self.width = np.ones(chunks, dtype=np.uint64)  # significant bits of the XOR
        self.trailing = np.zeros(chunks, dtype=np.uint64)  # zero bits after them

    def step(self, active: int, sample: int, times: I64, values: U64) -> None:
        """Reads the next sample of the first `active` chunks."""
        n = slice(0, active)
        if sample == 0:
            raw = self._varint(n)
            sign = -((raw & _ONE).astype(np.int64))
            self.time[n] = (raw >> _ONE).astype(np.int64) ^ sign
            self.value[n] = self._whole_word(self.position[n])
            self.position[n] += 64
        else:
            if sample == 1:
                self.delta[n] = self._varint(n).astype(np.int64)
                word, sure = self._word(self.position[n]), _SURE_BITS
            else:
                word, sure = self._delta_of_delta(n)
            self.time[n] += self.delta[n]
            self._next_value(n, word, sure)
        times[n], values[n] = self.time[n], self.value[n]

    def _word(self, position: I64) -> U64:
        """At least 57 bits from each position on, at the word's top."""
        word = self.words.take(position >> 3, mode="clip")
        word <<= (position & 7).view(np.uint64)
        return word

    def _whole_word(self, position: I64) -> U64:
        """The 64 bits from each position on."""
        shift = (position & 7).view(np.uint64)
        tail = self.bytes.take((position >> 3) + 8, mode="clip").astype(np.uint64)
        word: U64 = self._word(position) | tail >> (np.uint64(8) - shift)
        return word

    def _varint(self, n: slice) -> U64:
        """Little-endian groups of seven bits, the high bit set on all but the last."""
        found = np.zeros(self.position[n].shape, dtype=np.uint64)
        going = np.ones(found.shape, dtype=bool)
        for group in range(10):
            byte = self._word(self.position[n]) >> np.uint64(56)
            part = (byte & np.uint64(0x7F)) << np.uint64(7 * group)
            found |= np.where(going, part, np.uint64(0))
            self.position[n] += 8 * going
            going &= byte >= 0x80
            if not going.any():
                break
        return found

    def _delta_of_delta(self, n: slice) -> tuple[U64, int]:
        """Brings the deltas up to date; returns the bits after them and how many are sure."""
        word = self._word(self.position[n])
        if not (word.view(np.int64) < 0).any():  # a first bit of 0: all came as regularly as before
            self.position[n] += 1
            word <<= _ONE
            return word, _SURE_BITS - 1
        ahead = (word >> np.uint64(60)).view(np.int64)
        prefix, size = _PREFIX_BITS.take(ahead), _DELTA_BITS.take(ahead)
        short = np.clip(size, 1, 20)
        raw = (word << prefix.view(np.uint64) >> (64 - short).view(np.uint64)).view(np.int64)
        limit = np.int64(1) << (short - 1)
        raw -= (raw > limit) * (limit << 1)
        raw *= size > 0
        if (long := np.flatnonzero(size == 64)).size:
            raw[long] = self._whole_word(self.position[n][long] + 4).view(np.int64)
        self.delta[n] += raw
        prefix += size
        self.position[n] += prefix
        return self._word(self.position[n]), _SURE_BITS

    def _next_value(self, n: slice, word: U64, sure: int) -> None:
        """XORs each value with the bits that changed."""
        width, trailing = self.width[n], self.trailing[n]
        used = np.full(word.shape, _TWO)
        if (renewed := np.flatnonzero(word >> np.uint64(62) == _THREE)).size:
            header = word[renewed]
            lead = header >> np.uint64(57) & np.uint64(31)
            size = header >> np.uint64(51) & np.uint64(63)
            size[size == 0] = 64
            if (lead + size > _WORD).any():
                raise ValueError("a value has more bits than a number")
            width[renewed], trailing[renewed], used[renewed] = size, _WORD - lead - size, 13
        xor = word << used
        xor >>= _WORD - width
        used += width
        # All bits where the value changed, else none: 0, the first bit, says that it didn't.
        changed = (word.view(np.int64) >> 63).view(np.uint64)
        if (far := np.flatnonzero((used > sure) & (changed > 0))).size:
            begin = self.position[n][far] + (used[far] - width[far]).view(np.int64)
            xor[far] = self._whole_word(begin) >> _WORD - width[far]
        xor <<= trailing
        xor &= changed
        self.value[n] ^= xor
        used -= _ONE
        used &= changed
        used += _ONE
        self.position[n] += used.view(np.int64)
