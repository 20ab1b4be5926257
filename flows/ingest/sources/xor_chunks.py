"""Decodes Prometheus' XOR chunks, many at once.

A chunk is one series' samples of up to two hours: times as differences of differences, values
as XOR with the value before (Pelkonen et al. 2015, Gorilla). Its samples can only be read one
after the other, so chunks are read side by side: the first sample of each, then the second.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]

# By the four bits ahead: the prefix's length, and how many bits of difference follow it.
_PREFIX_BITS = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4, 4], dtype=np.int64)
_DELTA_BITS = np.array([0] * 8 + [14] * 4 + [17] * 2 + [20, 64], dtype=np.int64)
_PADDING = b"\0" * 32
# A sample's state of so many chunks stays in the processor's cache from step to step.
_SIDE_BY_SIDE = 8192
# A word starts at an even byte, so shifted to its bit it has at least 49. One goes to the time,
# two say what the value does, 11 may tell where its new bits are: so many are left for these.
_SURE_BITS = 35

_ONE, _TWO = np.uint64(1), np.uint64(2)
_WORD, _ALL = np.uint64(64), np.uint64(0xFFFFFFFFFFFFFFFF)
_RENEWED = np.uint64(0b11 << 62)  # a value whose first two bits are set brings a new place


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
    firsts = np.cumsum(counts) - counts
    total = int(counts.sum())
    ts_ms, values = np.empty(total, np.int64), np.empty(total, np.uint64)
    reader = _Reader(min(len(starts), _SIDE_BY_SIDE), int(counts.max(initial=0)))
    in_body = np.argsort(starts, kind="stable")
    for begin in range(0, len(starts), _SIDE_BY_SIDE):
        block = in_body[begin : begin + _SIDE_BY_SIDE]
        # The longest chunks first: those that still have samples are always the first ones.
        block = block[np.argsort(-counts[block], kind="stable")]
        reader.read(body, starts[block], ends[block], counts[block])
        _put_in_place(reader.times, firsts[block], counts[block], ts_ms)
        _put_in_place(reader.values, firsts[block], counts[block], values)
    return counts, ts_ms, values.view(np.float64)


def _put_in_place(read: NDArray[Any], firsts: I64, counts: I64, out: NDArray[Any]) -> None:
    """Copies [sample, chunk] to each chunk's place in out, which begins at its first sample's."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(counts)) + 1, [len(counts)]]).tolist()
    for begin, end in pairwise(edges):
        if length := int(counts[begin]):
            # All stretches of out that are as long as these chunks, wherever they begin.
            stretches = np.ndarray((out.size - length + 1, length), out.dtype, out, strides=(8, 8))
            stretches[firsts[begin:end]] = read[:length, begin:end].T


class _Reader:
    """Where each chunk's reading stands: its bit, and the state that the encoding carries on.

    One reader serves block after block, for fresh memory costs as much time as the decoding.
    times, values: [sample, chunk], what was read; values are the numbers' bits.
    """

    def __init__(self, chunks: int, most: int) -> None:
        # Rows a cache line longer than pages: a chunk's samples don't drive each other out.
        columns = -(-chunks // 512) * 512 + 8
        self.times = np.empty((most, columns), dtype=np.int64)
        self.values = np.empty((most, columns), dtype=np.uint64)
        self.words, self.bytes = np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.uint8)
        self.position, self.delta, self.width, self._bit_space = np.empty((4, chunks), np.int64)
        self.leading, self.mask, self._word_space = np.empty((3, chunks), np.uint64)
        self.widest = 0

    def read(self, body: bytes, starts: I64, ends: I64, counts: I64) -> None:
        """Reads all samples of some chunks, the longest first, to the columns' first places."""
        low, chunks = int(starts.min()), len(starts)
        self._look_at(body[low : int(ends.max())] + _PADDING)
        self.position[:chunks] = (starts - low + 2) * 8  # the count stands before the samples
        # Where a value's changed bits are: zero bits ahead of them, their mask, and how many
        # they are with the bit that says: as before.
        self.leading.fill(63)
        self.mask.fill(1)
        self.width.fill(2)
        self.widest = 2
        # How many chunks have a first sample, a second, and so on.
        active = chunks - np.cumsum(np.bincount(counts))[: counts[0]]
        for sample, n in enumerate(active.tolist()):
            self.step(n, sample)
        if (self.position[:chunks] > (ends - low) * 8).any():
            raise ValueError("a chunk's bytes end before its samples")

    def _look_at(self, data: bytes) -> None:
        """Makes a word of each even byte and the seven after it: one look-up, not many shifts."""
        self.bytes = np.frombuffer(data, dtype=np.uint8)
        words = np.ndarray((len(data) // 2 - 4,), ">u8", data, strides=(2,))
        if words.size > self.words.size:
            self.words = np.empty(words.size * 5 // 4, dtype=np.uint64)
        self.words[: words.size] = words

    def step(self, active: int, sample: int) -> None:
        """Reads the next sample of the first `active` chunks."""
        n = slice(0, active)
        if sample == 0:
            raw = self._varint(n)
            self.times[0, n] = (raw >> _ONE).astype(np.int64) ^ -((raw & _ONE).astype(np.int64))
            self.values[0, n] = self._whole_word(self.position[n])
            self.position[n] += 64
            return
        if sample == 1:
            self.delta[n] = self._varint(n).astype(np.int64)
            self.position[n] -= 1  # as if a bit for the time stood here, too
            word = self._words_ahead(n)
        else:
            word = self._words_ahead(n)
            if np.bitwise_or.reduce(word) >> np.uint64(63):  # 0: all come as regularly as before
                self._change_deltas(word)
        np.add(self.times[sample - 1, n], self.delta[n], out=self.times[sample, n])
        word <<= _ONE
        self._next_value(n, sample, word)

    def _words_ahead(self, n: slice) -> U64:
        """At least 49 bits from each position on, at the word's top; valid until the next call."""
        position, bit, word = self.position[n], self._bit_space[n], self._word_space[n]
        np.right_shift(position, 4, out=bit)
        self.words.take(bit, out=word, mode="clip")
        np.bitwise_and(position, 15, out=bit)
        word <<= bit.view(np.uint64)
        return word

    def _whole_word(self, position: I64) -> U64:
        """The 64 bits from each position on."""
        shift = (position & 15).view(np.uint64)
        found = self.words.take(position >> 4, mode="clip") << shift
        after = self.words.take((position >> 4) + 4, mode="clip")
        found |= after >> _ONE >> (np.uint64(63) - shift)
        return found

    def _varint(self, n: slice) -> U64:
        """Little-endian groups of seven bits, the high bit set on all but the last."""
        found = np.zeros(self.position[n].shape, dtype=np.uint64)
        going = np.ones(found.shape, dtype=bool)
        for group in range(10):
            byte = self.bytes.take(self.position[n] >> 3, mode="clip").astype(np.uint64)
            part = (byte & np.uint64(0x7F)) << np.uint64(7 * group)
            found |= np.where(going, part, np.uint64(0))
            self.position[n] += 8 * going
            going &= byte >= 0x80
            if not going.any():
                break
        return found

    def _change_deltas(self, word: U64) -> None:
        """Brings deltas up to date where the first bit is set, and moves to the last time bit."""
        changed = np.flatnonzero(word.view(np.int64) < 0)
        ahead, position = word[changed], self.position[changed]
        kind = (ahead >> np.uint64(60)).view(np.int64)
        prefix, size = _PREFIX_BITS.take(kind), _DELTA_BITS.take(kind)
        short = np.minimum(size, 20)
        raw = (ahead << prefix.view(np.uint64) >> (64 - short).view(np.uint64)).view(np.int64)
        limit = np.int64(1) << (short - 1)
        raw -= (raw > limit) * (limit << 1)
        if (long := np.flatnonzero(size == 64)).size:
            raw[long] = self._whole_word(position[long] + 4).view(np.int64)
        self.delta[changed] += raw
        position += prefix + size - 1
        self.position[changed] = position
        word[changed] = self._whole_word(position)

    def _next_value(self, n: slice, sample: int, word: U64) -> None:
        """XORs each value with the bits that changed; word: the bits after the time's."""
        # All bits where the value changed, else none: 0, the first bit, says that it didn't.
        changed = word.view(np.int64) >> 63
        if (renewed := np.flatnonzero(word >= _RENEWED)).size:
            self._renew(renewed, word[renewed])
            word[renewed] <<= np.uint64(11)
        word <<= _TWO
        if self.widest > _SURE_BITS:
            far = np.flatnonzero(changed & (self.width[n] > _SURE_BITS))
            word[far] = self._whole_word(self.position[far] + 3)
        word >>= self.leading[n]
        word &= self.mask[n]
        word &= changed.view(np.uint64)
        np.bitwise_xor(self.values[sample - 1, n], word, out=self.values[sample, n])
        # A bit for the time and one for the value; if that changed, one more and the new bits.
        changed &= self.width[n]
        changed += 2
        self.position[n] += changed

    def _renew(self, renewed: I64, word: U64) -> None:
        """Takes over where the changed bits are now, and skips the bits that tell it."""
        leading = word >> np.uint64(57) & np.uint64(31)
        size = word >> np.uint64(51) & np.uint64(63)
        size[size == 0] = 64
        if (leading + size > _WORD).any():
            raise ValueError("a value has more bits than a number")
        self.leading[renewed] = leading
        self.mask[renewed] = _ALL >> (_WORD - size) << (_WORD - leading - size)
        self.width[renewed] = size.view(np.int64) + 1
        self.widest = max(self.widest, int(size.max()) + 1)
        self.position[renewed] += 11
