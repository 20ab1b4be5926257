"""What is known of the scraped targets themselves: their scrapes, and their processes' starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from analysis.counting.timelines import Bool, Int, Timelines, is_within, stretches

# Start times that differ by less are the same process: boot time drifts by a second.
_START_TOLERANCE_MS = 2_000
# How far the clocks of a pod and of the scraper may be apart.
_CLOCK_SKEW_MS = 60_000


@dataclass(frozen=True, slots=True)
class ScrapeEvidence:
    """What is known of every target, whether its series were there or not.

    scrapes: times of its scrapes, a row per target; is_good: bool[scrapes], whether `up` was 1.
    starts: times at which its process start time was seen, a row per target; started_ms:
        int64[starts], that start time.
    range_start_ms: samples were read from after this time on.
    interval_ms: scrape interval where a target has too few scrapes to tell.
    """

    scrapes: Timelines
    is_good: Bool
    starts: Timelines
    started_ms: Int
    range_start_ms: int
    interval_ms: int

    def cut(self, after_ms: int, until_ms: int) -> Self:
        """What was known of after_ms < time <= until_ms only."""
        scrape = self.scrapes.within(after_ms, until_ms)
        start = self.starts.within(after_ms, until_ms)
        scrapes, starts = self.scrapes.part(*scrape), self.starts.part(*start)
        good, started = stretches(self.is_good, *scrape), stretches(self.started_ms, *start)
        return type(self)(scrapes, good, starts, started, after_ms, self.interval_ms)

    @property
    def good_scrapes(self) -> Timelines:
        """Times of the scrapes that worked, a row per target."""
        return self.scrapes.keep(self.is_good)

    @property
    def interval_of_target_ms(self) -> Int:
        """int64[targets], the usual time between two scrapes."""
        return self.scrapes.median_step(self.interval_ms)

    def is_same_process(self, one: int, other: int) -> bool:
        """Whether the last start of one target is the first of the other."""
        last, first = (
            self.started_ms[slice(*self.starts.offsets[t : t + 2])] for t in (one, other)
        )
        known = len(last) > 0 and len(first) > 0
        return known and abs(int(last[-1]) - int(first[0])) <= _START_TOLERANCE_MS

    def without_begins(self, begins: Mapping[int, int]) -> Self:
        """The same without scrapes and starts of some targets until a time, by target."""
        scrape, start = (np.ones(len(each.ms), np.bool_) for each in (self.scrapes, self.starts))
        for target, until in begins.items():
            for times, keep, least in (
                (self.scrapes, scrape, until),
                (self.starts, start, until + 1),
            ):
                span = slice(*times.offsets[target : target + 2])
                keep[span] = times.ms[span] >= least
        return type(self)(
            self.scrapes.keep(scrape),
            self.is_good[scrape],
            self.starts.keep(start),
            self.started_ms[start],
            self.range_start_ms,
            self.interval_ms,
        )

    def is_known_from(self, target: Int, before: Int, now: Int) -> Bool:
        """bool[queries]: was a start time seen up to `before`, and again after it, up to `now`?"""
        until, again = (self.starts.first_at(target, t + 1) for t in (before, now))
        known: Bool = (until > self.starts.offsets[target]) & (again > until)
        return known

    def has_started_in_range(self, target: Int, now: Int) -> Bool:
        """bool[queries]: did the process that is known at `now` start after range_start_ms?"""
        index = self.starts.first_at(target, now + 1) - 1
        known: Bool = index >= self.starts.offsets[target]
        started = self.started_ms[index[known]]
        known[known] = (started > self.range_start_ms) & (started <= now[known] + _CLOCK_SKEW_MS)
        return known


@dataclass(frozen=True, slots=True)
class Restarts:
    """Replaced processes: not yet replaced at `before`, replaced at seen_ms."""

    before: Timelines
    seen_ms: Int

    @classmethod
    def of(cls, evidence: ScrapeEvidence) -> Self:
        """A start time that moved forward, to after (or near) the last sight of the old one."""
        starts, started = evidence.starts, evidence.started_ms
        moved = is_within(starts.offsets, len(started))
        moved[1:] &= np.diff(started) > _START_TOLERANCE_MS
        moved[1:] &= started[1:] > starts.ms[:-1] - _CLOCK_SKEW_MS
        seen = starts.keep(moved)
        return cls(Timelines(seen.offsets, starts.ms[:-1][moved[1:]]), seen.ms)

    def surely_between(self, target: Int, after: Int, until: Int) -> Bool:
        """bool[queries]: was a process replaced after `after` and seen replaced by `until`?"""
        index = self.before.first_at(target, after)
        found: Bool = index < self.before.offsets[target + 1]
        found[found] = self.seen_ms[index[found]] <= until[found]
        return found
