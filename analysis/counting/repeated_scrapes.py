"""One process scraped by several jobs: its counters come several times, and count once.

Which targets are one process is known from their labels. Whether their counters are the same is
seen in the values: what one job reads lies between what another reads before and after. Counters of
one name that don't (two containers of a pod) are all counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.counting.counters import CounterSeries
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Bool, Float, Int

# Scrapes are stamped with their beginning; what they read may be that much younger.
_SLACK_MS = 2_000
# Of several targets the first by name is taken, unless another has so many more scrapes.
_AS_FULL = 0.9
# Fewer scrapes in common are a job that followed another, whose counters begin anew.
_LEAST_COMMON = 3
# A target without a scrape for so many of its steps, while another goes on, has ended.
_ENDED_STEPS = 2.5
# Of the values that can be compared; one may be of a restart that only one job saw yet.
_AGREEING = 0.98


@dataclass(frozen=True, slots=True)
class RepeatedScrapes:
    """What several jobs have read.

    repeated: bool[samples], those that another target's samples have counted.
    counted_once, differing: groups of targets of which some counters are the same, and of which
    some have the same name and other values.
    """

    repeated: Bool
    counted_once: tuple[tuple[int, ...], ...]
    differing: tuple[tuple[int, ...], ...]


def find_repeated(
    series: CounterSeries, counters: Int, processes: Sequence[Sequence[int]]
) -> RepeatedScrapes:
    """Which samples are counted already by another target of the same process.

    counters: int64[series], the same number for series that count the same on different targets.
    processes: the targets of each process that has several, each in order of preference.
    """
    repeated = np.zeros(len(series.ts_ms), np.bool_)
    once, differing = [], []
    for targets in processes:
        scrapes = {t: s for t in targets if len(s := _scrapes(series, t))}
        order = _in_order(scrapes)
        for i, other in enumerate(order):
            same = different = False
            left = set(counters[series.target == other].tolist())
            for best in order[:i]:
                if _in_common(scrapes[best], scrapes[other]) < _LEAST_COMMON:
                    continue
                shared = left & set(counters[series.target == best].tolist())
                for counter in sorted(shared):
                    rows = np.flatnonzero((series.target == other) & (counters == counter))
                    ours = np.flatnonzero((series.target == best) & (counters == counter))
                    if _agree(series, (ours, scrapes[best]), (rows, scrapes[other])):
                        same = True
                        _mark(series, repeated, rows, _covered_until(scrapes[best], scrapes[other]))
                        left.discard(counter)
                    else:
                        different = True
            if same:
                once.append(tuple(targets))
            if different:
                differing.append(tuple(targets))
    return RepeatedScrapes(repeated, tuple(dict.fromkeys(once)), tuple(dict.fromkeys(differing)))


def without_known_starts(
    series: CounterSeries, evidence: ScrapeEvidence, processes: Sequence[Sequence[int]]
) -> ScrapeEvidence:
    """The evidence without what would prove a start where a process got another target's name.

    All that it has counted would be taken for new, though the target that ended has counted it.
    processes: as find_repeated takes them.
    """
    begins: dict[int, int] = {}
    for targets in processes:
        scrapes = {t: s for t in targets if len(s := _scrapes(series, t))}
        for other, times in scrapes.items():
            before = [t for t in scrapes if scrapes[t][-1] < times[0]]
            if any(evidence.is_same_process(t, other) for t in before):
                begins[other] = int(times[0])
    return evidence.without_begins(begins) if begins else evidence


def _scrapes(series: CounterSeries, target: int) -> Int:
    """When the target was scraped, as its series say."""
    rows = np.flatnonzero(series.target == target).tolist()
    return np.unique(
        np.concatenate(
            [
                np.zeros(0, np.int64),
                *(series.ts_ms[series.offsets[r] : series.offsets[r + 1]] for r in rows),
            ]
        )
    )


def _in_order(scrapes: dict[int, Int]) -> list[int]:
    """The target that was scraped from the beginning, with as many scrapes as any, comes first.

    One that was scraped later begins with all that its process has counted, as if it were new.
    """
    most = max((len(times) for times in scrapes.values()), default=0)
    first = min((times[0] for times in scrapes.values()), default=0)

    def rank(target: int) -> tuple[bool, bool]:
        times = scrapes[target]
        late = times[0] > first + _ENDED_STEPS * _step(times)
        return bool(late), len(times) < _AS_FULL * most

    return sorted(scrapes, key=rank)


def _step(times: Int) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0


def _in_common(one: Int, other: Int) -> int:
    """How many scrapes the one with fewer has while the other is scraped too."""
    first, last = max(one[0], other[0]), min(one[-1], other[-1])
    return min(int(((t >= first) & (t <= last)).sum()) for t in (one, other))


def _agree(series: CounterSeries, best: tuple[Int, Int], other: tuple[Int, Int]) -> bool:
    """Whether the other's values lie between those of the best before and after."""
    (ours, our_times), (theirs, their_times) = best, other
    our_sums, their_sums = _sums(series, ours, our_times), _sums(series, theirs, their_times)
    before = np.searchsorted(our_times, their_times - _SLACK_MS, "right") - 1
    after = np.searchsorted(our_times, their_times + _SLACK_MS, "left")
    known = (before >= 0) & (after < len(our_times))
    low, high = our_sums[before[known]], our_sums[after[known]]
    grew = high >= low  # else a restart lies between
    seen = their_sums[known]
    within = (seen >= low) & (seen <= high)
    return not grew.any() or float(within[grew].mean()) >= _AGREEING


def _sums(series: CounterSeries, rows: Int, times: Int) -> Float:
    """The sum of the series at each scrape; one that isn't there yet adds nothing."""
    sums = np.zeros(len(times))
    for row in rows.tolist():
        begin, end = series.offsets[row], series.offsets[row + 1]
        np.add.at(sums, np.searchsorted(times, series.ts_ms[begin:end]), series.values[begin:end])
    return sums


def _covered_until(best: Int, other: Int) -> float:
    """Up to when the best target's scrapes tell: for good, unless it has ended before the other.

    What comes between its last scrape and the other's is counted by its next one, in another
    window.
    """
    goes_on = other[-1] < best[-1] + _ENDED_STEPS * _step(best)
    return np.inf if goes_on else float(best[-1])


def _mark(series: CounterSeries, repeated: Bool, rows: Int, until: float) -> None:
    """Marks what another target has counted."""
    for row in rows.tolist():
        begin, end = series.offsets[row], series.offsets[row + 1]
        repeated[begin:end] |= series.ts_ms[begin:end] <= until
