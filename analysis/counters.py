"""Exact counts from scraped counters: the difference of every sample, and why it is that."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analysis.timelines import Bool, Float, Int, Timelines, expand, is_within

# Start times that differ by less are the same process: boot time drifts by a second.
_START_TOLERANCE_MS = 2_000
# How far the clocks of a pod and of the scraper may be apart.
_CLOCK_SKEW_MS = 60_000


class Reason(IntEnum):
    """Why a difference is what it is; the value is stored beside it."""

    NORMAL = 0
    """The counter grew since the scrape before."""
    RESET = 1
    """The value fell: the counter began again at zero, the whole value is new."""
    BIRTH = 2
    """The first sample, and proof that the counter began at zero since the scrape before."""
    REBORN = 3
    """A good scrape in between lacked the series: it was dropped and began again at zero."""
    RESTART = 4
    """The process was replaced in between, even if the value grew: the whole value is new."""
    BASELINE = 5
    """The first sample of a counter with an unknown past, or a relabelled one: counts nothing."""
    GAP = 6
    """The counter grew over missed scrapes: counted, but its time is only known to the gap."""


@dataclass(frozen=True, slots=True)
class CounterSeries:
    """Samples of many counters, series after series.

    offsets: int64[series + 1]; series i owns samples offsets[i]:offsets[i + 1].
    ts_ms: int64[samples], ascending within a series, no time twice.
    values: float64[samples], finite.
    target: int64[series], the scraped target (pod), an index into the evidence.
    """

    offsets: Int
    ts_ms: Int
    values: Float
    target: Int

    @property
    def times(self) -> Timelines:
        """Sample times, a row per series."""
        return Timelines(self.offsets, self.ts_ms)

    def of_sample(self, sample: Int) -> Int:
        """int64[samples], the series of each given sample."""
        return np.searchsorted(self.offsets, sample, side="right") - 1


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

    @classmethod
    def absent(cls, targets: int, *, range_start_ms: int, interval_ms: int) -> Self:
        """No `up` and no start times."""
        none = np.zeros(0, np.int64)
        empty = Timelines(np.zeros(targets + 1, np.int64), none)
        return cls(empty, np.zeros(0, np.bool_), empty, none, range_start_ms, interval_ms)

    @property
    def good_scrapes(self) -> Timelines:
        """Times of the scrapes that worked, a row per target."""
        return self.scrapes.keep(self.is_good)

    @property
    def interval_of_target_ms(self) -> Int:
        """int64[targets], the usual time between two scrapes."""
        return self.scrapes.median_step(self.interval_ms)


@dataclass(frozen=True, slots=True)
class Differences:
    """What every sample adds to the count.

    delta: float64[samples]; reason: uint8[samples], a Reason.
    """

    delta: Float
    reason: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Restarts:
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


def difference(series: CounterSeries, evidence: ScrapeEvidence) -> Differences:
    """The difference of every sample to the one before, by the rules of `Reason`.

    Without evidence of a target's scrapes only falling values are seen as resets, and a first
    sample counts nothing. The order of the series doesn't matter.
    """
    total = len(series.values)
    delta = np.zeros(total)
    np.subtract(series.values[1:], series.values[:-1], out=delta[1:])
    first = series.offsets[:-1][np.diff(series.offsets) > 0]
    delta[first] = 0.0
    reason = np.zeros(total, np.uint8)
    _set_whole(series, delta, reason, np.flatnonzero(delta < 0), Reason.RESET)
    if not total:
        return Differences(delta, reason)
    restarts = _Restarts.of(evidence)
    _judge_wide_steps(series, evidence, delta, reason)
    _judge_first_samples(series, evidence, restarts, delta, reason, first)
    _judge_restarts(series, restarts, delta, reason)
    return Differences(delta, reason)


def _set_whole(
    series: CounterSeries, delta: Float, reason: NDArray[np.uint8], sample: Int, why: Reason
) -> None:
    delta[sample] = series.values[sample]
    reason[sample] = why


def _judge_wide_steps(
    series: CounterSeries, evidence: ScrapeEvidence, delta: Float, reason: NDArray[np.uint8]
) -> None:
    """Marks steps over missed scrapes (GAP) and over scrapes that lacked the series (REBORN)."""
    interval = evidence.interval_of_target_ms
    wide = _wide_steps(series, evidence, interval)
    target = series.target[series.of_sample(wide)]
    before, now = series.ts_ms[wide - 1], series.ts_ms[wide]
    missed = evidence.scrapes.count_between(target, before, now) > 0
    missed |= now - before > 1.5 * interval[target]
    is_gap = missed & (reason[wide] == Reason.NORMAL)
    reason[wide[is_gap]] = Reason.GAP

    good = evidence.good_scrapes
    lacked = good.count_between(target, before, now) > 0
    # Times that are not the target's scrape times prove nothing (a foreign clock, federation).
    wide, target, now = wide[lacked], target[lacked], now[lacked]
    aligned = good.has(target, now) & good.has(target, series.ts_ms[wide - 1])
    wide, target, now = wide[aligned], target[aligned], now[aligned]
    _set_whole(series, delta, reason, wide, Reason.REBORN)
    relabelled = wide[_is_relabel(series, target, good.last_before(target, now)[1], now)]
    delta[relabelled] = 0.0
    reason[relabelled] = Reason.BASELINE


def _wide_steps(series: CounterSeries, evidence: ScrapeEvidence, interval: Int) -> Int:
    """Samples whose step can span another scrape: all that do, and few that don't.

    A step over a scrape is at least as long as the shortest two neighbouring scrape intervals.
    """
    threshold = 1.5 * float(interval[series.target].min())
    scrapes = evidence.scrapes
    if len(scrapes.ms) > 2:
        two = scrapes.ms[2:] - scrapes.ms[:-2]
        within = is_within(scrapes.offsets, len(scrapes.ms))
        two = two[within[2:] & within[1:-1]]
        threshold = min(threshold, float(two.min())) if len(two) else threshold
    step = np.zeros(len(series.ts_ms), np.int64)
    np.subtract(series.ts_ms[1:], series.ts_ms[:-1], out=step[1:])
    step[series.offsets[:-1][np.diff(series.offsets) > 0]] = 0
    return np.flatnonzero(step >= threshold)


def _judge_first_samples(
    series: CounterSeries,
    evidence: ScrapeEvidence,
    restarts: _Restarts,
    delta: Float,
    reason: NDArray[np.uint8],
    first: Int,
) -> None:
    """Sets BIRTH where it is proved that the counter began at zero, BASELINE elsewhere."""
    target = series.target[series.of_sample(first)]
    now = series.ts_ms[first]
    good = evidence.good_scrapes
    was_scraped, last_good = good.last_before(target, now)
    lacked = was_scraped & good.has(target, now)
    is_birth = lacked.copy()
    is_birth[lacked] = ~_is_relabel(series, target[lacked], last_good[lacked], now[lacked])
    is_birth |= was_scraped & restarts.surely_between(target, last_good, now)
    is_birth |= ~was_scraped & _is_new_process(series, evidence, target, now)
    reason[first] = Reason.BASELINE
    _set_whole(series, delta, reason, first[is_birth], Reason.BIRTH)


def _is_new_process(series: CounterSeries, evidence: ScrapeEvidence, target: Int, now: Int) -> Bool:
    """bool[queries]: first sight of a target whose process started inside the range."""
    filled = np.diff(series.offsets) > 0
    first_sight = np.full(len(evidence.starts.offsets) - 1, np.iinfo(np.int64).max)
    np.minimum.at(first_sight, series.target[filled], series.ts_ms[series.offsets[:-1][filled]])
    index = evidence.starts.first_at(target, now + 1) - 1
    known: Bool = (index >= evidence.starts.offsets[target]) & (first_sight[target] == now)
    started = evidence.started_ms[index[known]]
    known[known] = (started > evidence.range_start_ms) & (started <= now[known] + _CLOCK_SKEW_MS)
    return known


def _judge_restarts(
    series: CounterSeries, restarts: _Restarts, delta: Float, reason: NDArray[np.uint8]
) -> None:
    """Sets RESTART on every sample that is the first after its process was replaced."""
    targets = len(restarts.before.offsets) - 1
    replaced = np.repeat(np.arange(targets), np.diff(restarts.before.offsets))
    query, member = _members(series, replaced)
    sample = series.times.first_at(member, restarts.seen_ms[query])
    inside = (sample < series.offsets[member + 1]) & (sample > series.offsets[member])
    query, sample = query[inside], sample[inside]
    sure = series.ts_ms[sample - 1] <= restarts.before.ms[query]
    _set_whole(series, delta, reason, sample[sure], Reason.RESTART)


def _is_relabel(series: CounterSeries, target: Int, before: Int, now: Int) -> Bool:
    """bool[queries]: between two neighbouring scrapes series of the target ended and none went on.

    Then a new series is an old one under new labels, and its value was counted there already.
    """
    pairs, which = np.unique(np.stack((target, before, now)), axis=1, return_inverse=True)
    query, member = _members(series, pairs[0])
    sample = series.times.first_at(member, pairs[1][query])
    end = series.offsets[member + 1]
    inside = sample < end
    there = inside & (series.ts_ms[np.where(inside, sample, 0)] == pairs[1][query])
    follows = there & (sample + 1 < end)
    goes_on = follows & (series.ts_ms[np.where(follows, sample + 1, 0)] == pairs[2][query])
    ended = np.bincount(query[there & ~goes_on], minlength=pairs.shape[1]) > 0
    went_on = np.bincount(query[goes_on], minlength=pairs.shape[1]) > 0
    result: Bool = (ended & ~went_on)[which.reshape(-1)]
    return result


def _members(series: CounterSeries, target: Int) -> tuple[Int, Int]:
    """All series of the given targets: (query index, series), both int64[members]."""
    order = np.argsort(series.target, kind="stable")
    highest = int(max(series.target.max(initial=-1), target.max(initial=-1)))
    offsets = np.searchsorted(series.target[order], np.arange(highest + 2))
    query, entry = expand(offsets, target)
    return query, order[entry]
