"""Ascending times of many rows in one array, and where a given time falls in a given row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Bool = NDArray[np.bool_]
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True)
class Timelines:
    """Times per row.

    offsets: int64[rows + 1]; row r owns ms[offsets[r]:offsets[r + 1]].
    ms: int64[times], ascending within a row.
    """

    offsets: Int
    ms: Int

    def first_at(self, row: Int, t: Int) -> Int:
        """int64[queries]: index of the row's first time >= t; the row's end if there is none.

        row, t: int64[queries]. Bisects all queries at once.
        """
        low, high = self.offsets[row], self.offsets[row + 1]
        while (is_open := low < high).any():
            middle = (low + high) >> 1
            is_before = is_open & (self.ms[np.where(is_open, middle, 0)] < t)
            low = np.where(is_before, middle + 1, low)
            high = np.where(is_open & ~is_before, middle, high)
        return low

    def has(self, row: Int, t: Int) -> Bool:
        """bool[queries]: is t one of the row's times?"""
        index = self.first_at(row, t)
        found: Bool = index < self.offsets[row + 1]
        found[found] = self.ms[index[found]] == t[found]
        return found

    def count_between(self, row: Int, after: Int, before: Int) -> Int:
        """int64[queries]: how many times lie strictly between the two."""
        count: Int = self.first_at(row, before) - self.first_at(row, after + 1)
        return np.maximum(count, 0)

    def last_before(self, row: Int, t: Int) -> tuple[Bool, Int]:
        """Whether the row has a time < t (bool[queries]), and the last one (0 if not)."""
        index = self.first_at(row, t) - 1
        found = index >= self.offsets[row]
        last = np.zeros(len(row), np.int64)
        last[found] = self.ms[index[found]]
        return found, last

    def keep(self, mask: Bool) -> Timelines:
        """The same rows with only the times where mask (bool[times]) holds."""
        kept_before = np.concatenate(([0], np.cumsum(mask)))
        return Timelines(kept_before[self.offsets], self.ms[mask])

    def within(self, after: int, until: int) -> tuple[Int, Int]:
        """int64[rows], where the times after < time <= until of each row begin and end."""
        rows = np.arange(len(self.offsets) - 1)
        begins = self.first_at(rows, np.full(len(rows), after + 1))
        return begins, self.first_at(rows, np.full(len(rows), until + 1))

    def part(self, begins: Int, ends: Int) -> Timelines:
        """The same rows with only the times from begin to end, as `within` says them."""
        offsets = np.concatenate((np.zeros(1, np.int64), np.cumsum(ends - begins)))
        return Timelines(offsets, stretches(self.ms, begins, ends))

    def median_step(self, default: int) -> Int:
        """int64[rows]: median distance of neighbouring times; default where a row has < 2."""
        counts = np.diff(self.offsets)
        steps = np.diff(self.ms)
        row = np.repeat(np.arange(len(counts)), np.maximum(counts - 1, 0))
        steps = steps[is_within(self.offsets, len(self.ms))[1:]]
        if not len(steps):
            return np.full(len(counts), default, np.int64)
        span = int(steps.max()) + 1
        ordered = np.sort(row * span + steps)
        ends = np.cumsum(np.maximum(counts - 1, 0))
        middle = np.clip(ends - 1 - (np.maximum(counts - 2, 0) >> 1), 0, len(ordered) - 1)
        return np.where(counts >= 2, ordered[middle] % span, default)


def stretches(entries: NDArray[Scalar], begins: Int, ends: Int) -> NDArray[Scalar]:
    """Of each row the entries from begin to end, one row after the other.

    By slices: an index of each entry costs twice as much where rows are long.
    """
    rows = [entries[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
    return np.concatenate([entries[:0], *rows])


def is_within(offsets: Int, total: int) -> Bool:
    """bool[entries]: False at the first entry of each row, True where the row has one before."""
    within = np.ones(total, np.bool_)
    within[offsets[:-1][np.diff(offsets) > 0]] = False
    return within


def expand(offsets: Int, rows: Int) -> tuple[Int, Int]:
    """All entries of the given rows: (query index, entry index), both int64[entries]."""
    counts = offsets[rows + 1] - offsets[rows]
    query = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    return query, offsets[rows][query] + within
