"""Exact counts from scraped counters: the difference of every sample, and why it is that."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from analysis.counting.scrape_evidence import Restarts, ScrapeEvidence
from analysis.counting.timelines import (
    Bool,
    Float,
    Int,
    Timelines,
    expand,
    is_within,
    stretches,
)


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
    name: int64[series], the same number for series of one metric; None where all are.
    """

    offsets: Int
    ts_ms: Int
    values: Float
    target: Int
    name: Int | None = None

    @property
    def times(self) -> Timelines:
        """Sample times, a row per series."""
        return Timelines(self.offsets, self.ts_ms)

    def cut(self, after_ms: int, until_ms: int) -> Self:
        """The same series with only the samples after_ms < time <= until_ms."""
        span = self.times.within(after_ms, until_ms)
        times, values = self.times.part(*span), stretches(self.values, *span)
        return type(self)(times.offsets, times.ms, values, self.target, self.name)

    def of_sample(self, sample: Int) -> Int:
        """int64[samples], the series of each given sample."""
        return np.searchsorted(self.offsets, sample, side="right") - 1


@dataclass(frozen=True, slots=True)
class Differences:
    """What every sample adds to the count.

    delta: float64[samples]; reason: uint8[samples], a Reason.
    """

    delta: Float
    reason: NDArray[np.uint8]


def numbered(names: Iterable[Hashable]) -> Int:
    """int64[names], the same number for equal ones, from 0 on."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], np.int64)


def difference(series: CounterSeries, evidence: ScrapeEvidence) -> Differences:
    """The difference of every sample to the one before, by the rules of `Reason`.

    Without evidence of a target's scrapes only falling values are seen as resets, and a first
    sample counts nothing. The order of the series doesn't matter.
    """
    restarts = Restarts.of(evidence)
    series = _without_dips(series, evidence, restarts)
    total = len(series.values)
    delta = np.zeros(total)
    np.subtract(series.values[1:], series.values[:-1], out=delta[1:])
    first = series.offsets[:-1][np.diff(series.offsets) > 0]
    delta[first] = 0.0
    reason = np.zeros(total, np.uint8)
    _set_whole(series, delta, reason, np.flatnonzero(delta < 0), Reason.RESET)
    if not total:
        return Differences(delta, reason)
    good = evidence.good_scrapes
    _judge_wide_steps(series, evidence, good, delta, reason)
    _judge_first_samples(series, evidence, good, restarts, delta, reason, first)
    _judge_restarts(series, restarts, delta, reason)
    return Differences(delta, reason)


def _without_dips(
    series: CounterSeries, evidence: ScrapeEvidence, restarts: Restarts
) -> CounterSeries:
    """The series without falls of a counter that is back within two samples in the same process.

    Two servers that write one series by clocks that differ put its samples out of order: each fall
    would count all since the process' start again. A counter that began again at zero, as one that
    was evicted, isn't back so soon.
    """
    values, within = series.values, is_within(series.offsets, len(series.values))
    fell = np.flatnonzero((np.diff(values, prepend=np.inf) < 0) & within)
    while len(fell):
        row, before = series.of_sample(fell), values[fell - 1]
        end = series.offsets[row + 1] - 1
        back = np.maximum(values[np.minimum(fell + 1, end)], values[np.minimum(fell + 2, end)])
        is_dip = (2 * values[fell] >= before) & ((back >= before) | (fell + 2 > end))
        target, times = series.target[row], series.ts_ms
        is_dip &= evidence.is_known_from(target, times[fell - 1], times[fell])
        is_dip &= ~restarts.surely_between(target, times[fell - 1], times[fell])
        dips = fell[is_dip]
        values = values.copy()
        values[dips] = values[dips - 1]
        after = dips[dips < end[is_dip]] + 1
        fell = after[values[after] < values[after - 1]]
    return series if values is series.values else replace(series, values=values)


def _set_whole(
    series: CounterSeries, delta: Float, reason: NDArray[np.uint8], sample: Int, why: Reason
) -> None:
    delta[sample] = series.values[sample]
    reason[sample] = why


def _judge_wide_steps(
    series: CounterSeries,
    evidence: ScrapeEvidence,
    good: Timelines,
    delta: Float,
    reason: NDArray[np.uint8],
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

    lacked = good.count_between(target, before, now) > 0
    # Times that are not the target's scrape times prove nothing (a foreign clock, federation).
    wide, target, now = wide[lacked], target[lacked], now[lacked]
    aligned = good.has(target, now) & good.has(target, series.ts_ms[wide - 1])
    wide, target, now = wide[aligned], target[aligned], now[aligned]
    _set_whole(series, delta, reason, wide, Reason.REBORN)
    relabelled = wide[_is_relabel(series, wide, good.last_before(target, now)[1])]
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
    good: Timelines,
    restarts: Restarts,
    delta: Float,
    reason: NDArray[np.uint8],
    first: Int,
) -> None:
    """Sets BIRTH where it is proved that the counter began at zero, BASELINE elsewhere."""
    target = series.target[series.of_sample(first)]
    now = series.ts_ms[first]
    was_scraped, last_good = good.last_before(target, now)
    lacked = was_scraped & good.has(target, now)
    is_birth = lacked.copy()
    is_birth[lacked] = ~_is_relabel(series, first[lacked], last_good[lacked])
    is_birth |= was_scraped & restarts.surely_between(target, last_good, now)
    is_birth |= ~was_scraped & _is_new_process(series, evidence, target, now)
    reason[first] = Reason.BASELINE
    _set_whole(series, delta, reason, first[is_birth], Reason.BIRTH)


def _is_new_process(series: CounterSeries, evidence: ScrapeEvidence, target: Int, now: Int) -> Bool:
    """bool[queries]: first sight of a target whose process started inside the range."""
    filled = np.diff(series.offsets) > 0
    first_sight = np.full(len(evidence.starts.offsets) - 1, np.iinfo(np.int64).max)
    np.minimum.at(first_sight, series.target[filled], series.ts_ms[series.offsets[:-1][filled]])
    is_first: Bool = first_sight[target] == now
    return is_first & evidence.has_started_in_range(target, now)


def _judge_restarts(
    series: CounterSeries, restarts: Restarts, delta: Float, reason: NDArray[np.uint8]
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


def _is_relabel(series: CounterSeries, sample: Int, before: Int) -> Bool:
    """bool[queries]: is the sample of a new series that of an old one under new labels?

    Then its value was counted there already. It is where, since the scrape before, series of the
    target, or of its metric, ended and none went on; or one ended that had nearly as much.
    """
    row, now = series.of_sample(sample), series.ts_ms[sample]
    pairs, which = np.unique(
        np.stack((series.target[row], before, now)), axis=1, return_inverse=True
    )
    which = which.reshape(-1)
    query, member = _members(series, pairs[0])
    last = series.times.first_at(member, pairs[1][query])
    end = series.offsets[member + 1]
    inside = last < end
    there = inside & (series.ts_ms[np.where(inside, last, 0)] == pairs[1][query])
    follows = there & (last + 1 < end)
    goes_on = follows & (series.ts_ms[np.where(follows, last + 1, 0)] == pairs[2][query])
    ends = there & ~goes_on
    result = _none_goes_on(ends, goes_on, query, which)
    if series.name is None or not ends.any():
        return result
    names = int(series.name.max()) + 1
    of_name, asked = query * names + series.name[member], which * names + series.name[row]
    result |= _none_goes_on(ends, goes_on, of_name, asked)
    gone, had = of_name[ends], series.values[last[ends]]
    for one in np.flatnonzero(~result & np.isin(asked, gone)).tolist():
        old, new = had[gone == asked[one]], series.values[sample[one]]
        result[one] = bool(((old <= new) & (new <= 2 * old)).any())
    return result


def _none_goes_on(ends: Bool, goes_on: Bool, group: Int, asked: Int) -> Bool:
    """bool[queries]: of the members of each asked group some end and none goes on."""
    size = max(group.max(initial=-1), asked.max(initial=-1)) + 1
    ended, went_on = (np.bincount(group[which], minlength=size) > 0 for which in (ends, goes_on))
    result: Bool = (ended & ~went_on)[asked]
    return result


def _members(series: CounterSeries, target: Int) -> tuple[Int, Int]:
    """All series of the given targets: (query index, series), both int64[members]."""
    order = np.argsort(series.target, kind="stable")
    highest = int(max(series.target.max(initial=-1), target.max(initial=-1)))
    offsets = np.searchsorted(series.target[order], np.arange(highest + 2))
    query, entry = expand(offsets, target)
    return query, order[entry]
