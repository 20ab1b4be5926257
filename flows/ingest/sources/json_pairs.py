"""Finds pairs of time and value in the bytes of a JSON answer, and reads the usual ones at once.

Usual is `1700000015,"6"` or `1700000015.123,"6"`: a whole number of at most 12 digits, as counters
of requests have it. The 16 bytes from such a pair's begin on hold its time, the 16 around its end
its value. Eight digits are one word, and become a number by three multiplications (Lemire 2022,
https://lemire.me/blog/2022/01/21/swar-explained-parsing-eight-digits/).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

I64 = NDArray[np.int64]
U64 = NDArray[np.uint64]
Numbers = tuple[I64, NDArray[np.float64]]

# Inside a JSON string each quote is escaped, so no label can hold this text.
_VALUES = b'"values":[['
_WORDS = 16
_MOST_DIGITS = 12
# So many pairs' words stay in the processor's cache.
_AT_ONCE = 1 << 15
_ZEROS = np.uint64(0x3030303030303030)
# Of each whole second and each with three decimals: which bytes after the eighth digit are digits,
# which are marks, and what these are (`,"` or `.` and `,"`).
_DIGITS = np.array([0x000000000000FFFF, 0x0000FFFFFF00FFFF], np.uint64)
_MARKED = np.array([0x00000000FFFF0000, 0xFFFF000000FF0000], np.uint64)
_MARKS = np.array([0x00000000222C0000, 0x222C0000002E0000], np.uint64)
_POINT, _POINT_MARK = np.uint64(0xFF0000), np.uint64(0x2E0000)
# Of values by how many digits they have: which of the bytes that hold the last 12 are theirs.
_OWN = [((1 << 8 * _MOST_DIGITS) - 1) & ~((1 << 8 * (_MOST_DIGITS - n)) - 1) for n in range(13)]
_OWN_LOW = np.array([own & (1 << 64) - 1 for own in _OWN], np.uint64)
_OWN_HIGH = np.array([own >> 64 for own in _OWN], np.uint64)
# What follows a value, `"],[`, and three bytes of it a series' last one, `"]]`.
_NEXT, _LAST, _LAST_BYTES = np.uint64(0x5B2C5D22), np.uint64(0x5D5D22), np.uint64(0xFFFFFF)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Where the pairs of an answer are, series after series.

    begins, ends: int64[series], of all pairs of a series, without the outer brackets. counts:
    int64[series]. closes: int64[pairs], the bracket that ends each.
    """

    begins: I64
    ends: I64
    counts: I64
    closes: I64


def pairs_apart(body: bytes) -> tuple[Pairs, bytes]:
    """The pairs of each series, and the answer with how many they are in their place."""
    closes = np.flatnonzero(np.frombuffer(body, np.uint8) == ord("]"))
    doubles = closes[:-1][np.diff(closes) == 1].tolist()
    begins, ends, after, double = list[int](), list[int](), 0, 0
    while (begin := body.find(_VALUES, after)) >= 0:
        begins.append(begin + len(_VALUES))
        # Times and values hold no bracket, so the first two in a row end the series.
        double = bisect_left(doubles, begins[-1], double)
        ends.append(doubles[double] if double < len(doubles) else len(body))
        after = ends[-1] + 2
    first, last = closes.searchsorted(begins), closes.searchsorted(ends)
    counts = (last - first + 1).astype(np.int64)
    edges = zip([0, *(end + 2 for end in ends)], [*(b - 1 for b in begins), len(body)], strict=True)
    between = [body[begin:end] for begin, end in edges]
    told = [b"%d]" % count for count in counts.tolist()]
    rest = b"".join([part for two in zip(between, told, strict=False) for part in two])
    # Brackets of labels and those of pairs take turns.
    turns = np.stack((first, np.minimum(last + 1, len(closes))), axis=1).ravel()
    is_pair = np.resize([False, True], len(turns) + 1)
    own = closes[np.repeat(is_pair, np.diff(turns, prepend=0, append=len(closes)))]
    pairs = Pairs(np.array(begins, np.int64), np.array(ends, np.int64), counts, own)
    return pairs, rest + between[-1]


def read_usual(body: bytes, pairs: Pairs) -> Numbers | None:
    """Times in milliseconds and values of all pairs; None if any is not a usual one."""
    total, closes = int(pairs.counts.sum()), pairs.closes
    if not total or len(closes) != total:
        return None
    ends = np.cumsum(pairs.counts)
    starts = np.empty(total, np.int64)
    starts[1:] = closes[:-1] + 3
    starts[ends - pairs.counts] = pairs.begins
    is_last = np.zeros(total, np.bool_)
    is_last[ends - 1] = True
    if closes[0] < _WORDS or max(starts[-1] + _WORDS, closes[-1] + 3) > len(body):
        return None
    # Sixteen bytes from every byte on.
    words = np.ndarray((len(body) - _WORDS + 1,), f"V{_WORDS}", body, strides=(1,))
    ts_ms, values = np.empty(total, np.int64), np.empty(total, np.float64)
    for begin in range(0, total, _AT_ONCE):
        block = slice(begin, begin + _AT_ONCE)
        start, close = starts[block], closes[block]
        time, is_decimal, is_time = _times(*_two_words(words, start))
        length = close - start - np.where(is_decimal, 17, 13)
        tail = _two_words(words, close - (_MOST_DIGITS + 1))
        if not is_time or length.min() < 1 or length.max() > _MOST_DIGITS:
            return None
        value, is_whole = _values(*tail, length, is_last[block])
        if not is_whole:
            return None
        ts_ms[block], values[block] = time, value
    return ts_ms, values


def _two_words(words: NDArray[np.void], at: I64) -> tuple[U64, U64]:
    both = words[at].view("<u8").reshape(-1, 2)
    return both[:, 0].copy(), both[:, 1].copy()


def _times(first: U64, second: U64) -> tuple[U64, NDArray[np.bool_], bool]:
    """Milliseconds of the pairs' first 16 bytes, which have decimals, and whether all are times."""
    is_decimal = second & _POINT == _POINT_MARK
    # Of one kind in most answers, where whole columns need no masks of their own.
    kind = is_decimal.view(np.uint8)
    same = kind[:1] if kind.min() == kind.max() else kind
    is_time = bool((second & _MARKED.take(same) == _MARKS.take(same)).all())
    first ^= _ZEROS
    second ^= _ZEROS
    second &= _DIGITS.take(same)
    is_time &= _are_digits(first) and _are_digits(second)
    byte = np.uint64(0xFF)
    seconds = _number(first) * 100 + (second & byte) * 10 + (second >> 8 & byte)
    decimals = (second >> 24 & byte) * 100 + (second >> 32 & byte) * 10 + (second >> 40)
    return seconds * 1000 + decimals, is_decimal, is_time


def _values(low: U64, high: U64, length: I64, is_last: NDArray[np.bool_]) -> tuple[U64, bool]:
    """Values of the bytes around the pairs' ends, and whether all are whole numbers.

    length: digits of each value; is_last: of its series.
    """
    after = high >> 32
    is_whole = bool(((after == _NEXT) ^ is_last).all())
    is_whole &= bool((after[is_last] & _LAST_BYTES == _LAST).all())
    low ^= _ZEROS
    low &= _OWN_LOW.take(length)
    high ^= _ZEROS
    high &= _OWN_HIGH.take(length)
    is_whole &= _are_digits(low) and _are_digits(high)
    high <<= 32
    return _number(low) * 10_000 + _number(high), is_whole


def _are_digits(word: U64) -> bool:
    """Whether every byte of every word is one of 0 to 9."""
    found = (word + np.uint64(0x0606060606060606)) | word
    return not np.bitwise_or.reduce(found) & np.uint64(0xF0F0F0F0F0F0F0F0)


def _number(digits: U64) -> U64:
    """The number that each word's eight digits are, the first digit in the lowest byte."""
    digits *= np.uint64(10 * (1 << 8) + 1)
    digits >>= 8
    digits &= np.uint64(0x00FF00FF00FF00FF)
    digits *= np.uint64(100 * (1 << 16) + 1)
    digits >>= 16
    digits &= np.uint64(0x0000FFFF0000FFFF)
    digits *= np.uint64(10_000 * (1 << 32) + 1)
    digits >>= 32
    return digits
