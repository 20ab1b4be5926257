"""Pods that count events and are scraped: what a Prometheus would have seen of a known truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.counting.counters import CounterSeries
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Timelines

SCRAPE_MS = 15_000
Int = NDArray[np.int64]


@dataclass(frozen=True)
class Pod:
    """One target.

    scrapes: int64, all attempts; failed: bool, which of them failed.
    lives: int64, start of each process; a process ends when the next one starts, or at `dead`.
    events: per series, int64 times at which it is counted; exported after its first event only.
    hidden_before, hidden_after: per series, when its labels come and go (a relabel); empty: never.
    """

    scrapes: Int
    failed: NDArray[np.bool_]
    lives: Int
    events: tuple[Int, ...]
    dead: int = 2**60
    hidden_before: tuple[int, ...] = ()
    hidden_after: tuple[int, ...] = ()

    @property
    def good(self) -> Int:
        """Scrapes that worked: not failed, and the pod was there."""
        works = ~self.failed & (self.scrapes >= self.lives[0]) & (self.scrapes < self.dead)
        good: Int = self.scrapes[works]
        return good

    def life_start(self, t: Int) -> Int:
        """Start of the process that answers at t."""
        return self.lives[np.searchsorted(self.lives, t, side="right") - 1]

    def samples(self, index: int) -> tuple[Int, NDArray[np.float64]]:
        """Times and values of one series as scraped."""
        events, good = self.events[index], self.good
        since = np.searchsorted(events, self.life_start(good))
        values = np.searchsorted(events, good, side="right") - since
        seen = values > 0
        if self.hidden_before:
            seen &= (good >= self.hidden_before[index]) & (good < self.hidden_after[index])
        return good[seen], values[seen].astype(np.float64)

    def visible(self, index: int) -> int:
        """Events that some scrape saw: per process, those up to its last good scrape."""
        good, events = self.good, self.events[index]
        start = self.life_start(good)
        is_last = np.append(start[1:] != start[:-1], True)
        seen = np.searchsorted(events, good, side="right") - np.searchsorted(events, start)
        return int(seen[is_last].sum())


def scrape_times(start_ms: int, end_ms: int, offset: int = 0) -> Int:
    """Regular attempts."""
    return np.arange(start_ms + offset, end_ms + 1, SCRAPE_MS, dtype=np.int64)


def pod(events: list[Int], *, start_ms: int, end_ms: int) -> Pod:
    """A pod that is scraped without failure."""
    scrapes = scrape_times(start_ms, end_ms)
    started = np.array([start_ms - 86_400_000], np.int64)
    return Pod(scrapes, np.zeros(len(scrapes), np.bool_), started, tuple(events))


def scraped(
    pods: list[Pod], range_start_ms: int, *, with_up: bool = True, with_start: bool = True
) -> tuple[CounterSeries, ScrapeEvidence]:
    """All series of all pods, and the evidence of their scrapes."""
    parts = [(t, *one.samples(i)) for t, one in enumerate(pods) for i in range(len(one.events))]
    series = CounterSeries(
        offsets=_offsets([len(ts) for _, ts, _ in parts]),
        ts_ms=np.concatenate([ts for _, ts, _ in parts]),
        values=np.concatenate([values for *_, values in parts]),
        target=np.array([t for t, *_ in parts], np.int64),
    )
    none = np.zeros(0, np.int64)
    no_times = Timelines(np.zeros(len(pods) + 1, np.int64), none)
    attempts = [one.scrapes for one in pods]
    good = [one.good for one in pods]
    return series, ScrapeEvidence(
        scrapes=_timelines(attempts) if with_up else no_times,
        is_good=np.concatenate([np.isin(a, g) for a, g in zip(attempts, good, strict=True)])
        if with_up
        else np.zeros(0, np.bool_),
        starts=_timelines(good) if with_start else no_times,
        started_ms=np.concatenate([one.life_start(one.good) for one in pods])
        if with_start
        else none,
        range_start_ms=range_start_ms,
        interval_ms=SCRAPE_MS,
    )


def _timelines(rows: list[Int]) -> Timelines:
    return Timelines(_offsets([len(row) for row in rows]), np.concatenate(rows))


def _offsets(lengths: list[int]) -> Int:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
