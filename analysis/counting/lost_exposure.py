"""What the scrapes can't have seen: an estimate per series, with its cause."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from analysis.counting.counters import CounterSeries, Differences, Reason
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Float, Int


class Cause(StrEnum):
    """Why requests went unseen, or were seen without their time."""

    RESTART = "restart"
    """Served after the last scrape of a process and lost with it."""
    GAP = "gap"
    """Counted, but over more than two missed scrapes: nobody knows in which bucket."""
    TAIL = "tail"
    """Served after the last scrape of a target that never came back."""
    BASELINE = "baseline"
    """Counted by a new series before its first scrape, without proof that they are new."""
    UNATTRIBUTED = "unattributed"
    """Failed before a version was chosen, so no version has them."""


@dataclass(frozen=True, slots=True)
class Losses:
    """One row per series and event.

    series: int64[losses]; ts_ms: int64[losses], when it was noticed; requests: float64[losses],
    estimate.
    """

    cause: Cause
    series: Int
    ts_ms: Int
    requests: Float

    def after(self, start_ms: int) -> Losses:
        """Only what was noticed later than start_ms."""
        late = self.ts_ms > start_ms
        return Losses(self.cause, self.series[late], self.ts_ms[late], self.requests[late])

    def without(self, series: Int) -> Losses:
        """Only those of other series."""
        kept = ~np.isin(self.series, series)
        return Losses(self.cause, self.series[kept], self.ts_ms[kept], self.requests[kept])


def lost_exposure(
    series: CounterSeries, differences: Differences, evidence: ScrapeEvidence, *, until_ms: int
) -> tuple[Losses, ...]:
    """The estimate for each cause, from the series' own mean rate.

    until_ms: end of the range that was read; a target silent for 1.5 scrapes by then has vanished.
    """
    interval = evidence.interval_of_target_ms[series.target]
    rate = _rate_per_ms(series, differences, interval)
    return (
        _lost_to_restarts(series, differences, evidence, interval, rate),
        _lost_to_gaps(series, differences, interval),
        _lost_to_tails(series, evidence, interval, rate, until_ms),
        _lost_to_baselines(series, differences, interval, rate, evidence.range_start_ms),
    )


def _rate_per_ms(series: CounterSeries, differences: Differences, interval: Int) -> Float:
    """float64[series], requests per millisecond over the time that the series was seen."""
    seen = np.diff(series.offsets) > 0
    first = np.where(seen, series.offsets[:-1], 0)
    last = np.where(seen, series.offsets[1:] - 1, 0)
    if not len(series.ts_ms):
        return np.zeros(len(seen))
    length = series.ts_ms[last] - series.ts_ms[first]
    counted = np.zeros(len(seen))
    counted[seen] = np.add.reduceat(differences.delta, series.offsets[:-1][seen])
    rate: Float = counted / np.maximum(length, interval)
    return rate


def _lost_to_restarts(
    series: CounterSeries,
    differences: Differences,
    evidence: ScrapeEvidence,
    interval: Int,
    rate: Float,
) -> Losses:
    """Half the time until the next scrape attempt: by then the old process was gone.

    Where others were scraped and it wasn't, it was no target any more: scaled to zero, and back.
    """
    begun_again = (differences.reason == Reason.RESET) | (differences.reason == Reason.RESTART)
    sample = np.flatnonzero(begun_again)
    row = series.of_sample(sample)
    before = series.ts_ms[sample - 1]
    every = np.append(np.sort(evidence.scrapes.ms), np.iinfo(np.int64).max)
    next_of_any = every[np.searchsorted(every, before + interval[row] // 2, side="right")]
    missed = before + interval[row]
    went_on = next_of_any <= missed + interval[row]
    latest = np.where(went_on, np.minimum(missed, series.ts_ms[sample]), series.ts_ms[sample])
    attempt = _next_attempt(evidence, series.target[row], before, latest)
    requests = rate[row] * (attempt - before) / 2
    return Losses(Cause.RESTART, row, series.ts_ms[sample], requests)


def _lost_to_gaps(series: CounterSeries, differences: Differences, interval: Int) -> Losses:
    """What was counted over more than two scrapes, less one scrape's share."""
    sample = np.flatnonzero(differences.reason == Reason.GAP)
    row = series.of_sample(sample)
    length = series.ts_ms[sample] - series.ts_ms[sample - 1]
    is_long = length > 2.5 * interval[row]
    requests = differences.delta[sample] * (1 - interval[row] / length)
    return Losses(Cause.GAP, row[is_long], series.ts_ms[sample[is_long]], requests[is_long])


def _lost_to_tails(
    series: CounterSeries, evidence: ScrapeEvidence, interval: Int, rate: Float, until_ms: int
) -> Losses:
    """Half a scrape of every series that its target still had when it was last seen."""
    row = np.flatnonzero(np.diff(series.offsets) > 0)
    target = series.target[row]
    last = series.ts_ms[series.offsets[row + 1] - 1]
    last_of_target = np.full(len(evidence.scrapes.offsets) - 1, -1)
    np.maximum.at(last_of_target, target, last)
    good = evidence.good_scrapes
    scraped = np.flatnonzero(np.diff(good.offsets) > 0)
    last_good = good.ms[good.offsets[scraped + 1] - 1]
    last_of_target[scraped] = np.maximum(last_of_target[scraped], last_good)
    noticed = last_of_target[target] + interval[row] * 3 // 2
    vanished = (noticed <= until_ms) & (last == last_of_target[target])
    row, noticed, last = row[vanished], noticed[vanished], last[vanished]
    attempt = _next_attempt(evidence, series.target[row], last, last + interval[row])
    return Losses(Cause.TAIL, row, noticed, rate[row] * (attempt - last) / 2)


def _lost_to_baselines(
    series: CounterSeries,
    differences: Differences,
    interval: Int,
    rate: Float,
    range_start_ms: int,
) -> Losses:
    """At most one scrape's worth of a series that appeared inside the range."""
    sample = np.flatnonzero(differences.reason == Reason.BASELINE)
    row = series.of_sample(sample)
    requests = np.minimum(series.values[sample], rate[row] * interval[row])
    appeared = series.ts_ms[sample] > range_start_ms + interval[row] * 3 // 2
    appeared &= requests > 0
    return Losses(Cause.BASELINE, row[appeared], series.ts_ms[sample[appeared]], requests[appeared])


def _next_attempt(evidence: ScrapeEvidence, target: Int, after: Int, latest: Int) -> Int:
    """int64[queries]: the first scrape of the target after `after`, good or not, up to `latest`."""
    index = evidence.scrapes.first_at(target, after + 1)
    found = index < evidence.scrapes.offsets[target + 1]
    attempt = latest.copy()
    attempt[found] = np.minimum(evidence.scrapes.ms[index[found]], latest[found])
    return attempt
