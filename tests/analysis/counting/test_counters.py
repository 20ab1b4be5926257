"""Counts from scraped counters, against simulated pods whose truth is known.

Covers analysis.counting.repeated_scrapes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.counting.counters import CounterSeries, Reason, difference
from analysis.counting.lost_exposure import Cause, lost_exposure
from analysis.counting.scrape_evidence import ScrapeEvidence
from analysis.counting.timelines import Timelines
from tests.builders.scraped_pods import SCRAPE_MS, Int, Pod, pod, scrape_times, scraped

HOUR = 3_600_000
START = 500_000 * HOUR
MARGIN = 300_000


def poisson_events(rate: float, start: int, end: int, seed: int) -> Int:
    rng = np.random.default_rng(seed)
    count = rng.poisson(rate * (end - start) / 1000)
    return np.sort(rng.integers(start + 1, end + 1, count))


def total(series: CounterSeries, evidence: ScrapeEvidence) -> float:
    return float(difference(series, evidence).delta.sum())


def reasons(series: CounterSeries, evidence: ScrapeEvidence) -> list[Reason]:
    return [Reason(value) for value in difference(series, evidence).reason]


def one_target(
    samples: list[list[tuple[int, float]]],
    *,
    up: list[int] | None = None,
    failed: list[int] | None = None,
    starts: list[tuple[int, int]] | None = None,
) -> tuple[CounterSeries, ScrapeEvidence]:
    """Series of one target; times in scrapes (15 s), process starts as (seen at, started at)."""
    lengths = [len(one) for one in samples]
    flat = [sample for one in samples for sample in one]
    ts = np.array([t for t, _ in flat], np.int64) * SCRAPE_MS + START
    series = CounterSeries(
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
        ts,
        np.array([value for _, value in flat], np.float64),
        np.zeros(len(samples), np.int64),
    )
    attempts = sorted((up or []) + (failed or []))
    seen = [t for t, _ in starts or []]
    return series, ScrapeEvidence(
        Timelines(np.array([0, len(attempts)]), np.array(attempts, np.int64) * SCRAPE_MS + START),
        np.isin(attempts, up or []),
        Timelines(np.array([0, len(seen)]), np.array(seen, np.int64) * SCRAPE_MS + START),
        np.array([s for _, s in starts or []], np.int64) * SCRAPE_MS + START,
        START - SCRAPE_MS,
        SCRAPE_MS,
    )


def test_growing_counter_counts_its_growth() -> None:
    series, evidence = one_target([[(0, 5), (1, 7), (2, 7), (3, 12)]], up=[0, 1, 2, 3])
    assert difference(series, evidence).delta.tolist() == [0, 2, 0, 5]
    assert reasons(series, evidence) == [Reason.BASELINE] + [Reason.NORMAL] * 3


def test_fallen_value_is_all_new() -> None:
    series, evidence = one_target([[(0, 50), (1, 60), (2, 4)]], up=[0, 1, 2])
    assert difference(series, evidence).delta.tolist() == [0, 10, 4]
    assert reasons(series, evidence)[-1] == Reason.RESET


def test_restart_hidden_by_growth_is_seen_by_the_start_time() -> None:
    series, evidence = one_target(
        [[(1, 3), (2, 9)]], up=[0, 1, 2], starts=[(0, -100), (1, -100), (2, 1)]
    )
    # The facts' table: 3 -> 9 with a restart between them were 12 requests.
    assert total(series, evidence) == 12
    assert reasons(series, evidence) == [Reason.BIRTH, Reason.RESTART]


def test_moved_boot_time_is_no_restart() -> None:
    series, evidence = one_target(
        [[(1, 100), (2, 110)]], up=[0, 1, 2], starts=[(0, -5000), (1, -5000), (2, -4998)]
    )
    assert difference(series, evidence).delta.tolist() == [100, 10]


def test_restart_seen_late_is_not_counted_twice() -> None:
    # The start time is missing from the first page after the restart, which the value shows.
    series, evidence = one_target(
        [[(1, 100), (2, 8), (3, 9)]], up=[0, 1, 2, 3], starts=[(0, -50), (1, -50), (3, 1)]
    )
    assert difference(series, evidence).delta.tolist() == [100, 8, 1]


def test_forty_errors_at_once_on_a_new_series_all_count() -> None:
    steady = [(t, 10.0 * t) for t in range(6)]
    series, evidence = one_target([steady, [(4, 40), (5, 40)]], up=list(range(6)))
    differences = difference(series, evidence)
    assert differences.delta[-2:].tolist() == [40, 0]
    assert differences.reason[-2] == Reason.BIRTH


def test_evicted_idle_series_that_comes_back_counts_whole() -> None:
    # The facts' table: evicted at 2, back at 5: 7 requests, of which increase() sees 3.1.
    steady = [(t, 10.0 * t + 1) for t in range(8)]
    series, evidence = one_target([steady, [(2, 2), (6, 5)]], up=list(range(8)))
    differences = difference(series, evidence)
    assert differences.delta[-2:].sum() == 7
    assert differences.reason[-1] == Reason.REBORN


def test_failed_scrape_is_a_gap_and_not_an_absence() -> None:
    series, evidence = one_target([[(0, 5), (1, 6), (3, 16)]], up=[0, 1, 3], failed=[2])
    assert difference(series, evidence).delta.tolist() == [0, 1, 10]
    assert reasons(series, evidence)[-1] == Reason.GAP


def test_relabelled_series_are_not_counted_again() -> None:
    old = [(t, 100.0 * t + 1) for t in range(4)]
    new = [(t, 100.0 * t + 1) for t in range(4, 8)]
    series, evidence = one_target([old, new], up=list(range(8)))
    assert reasons(series, evidence)[4] == Reason.BASELINE
    assert total(series, evidence) == 600


def test_labels_changed_back_are_not_counted_again() -> None:
    old = [(t, 100.0 * t + 1) for t in (0, 1, 2, 6, 7)]
    new = [(t, 100.0 * t + 1) for t in (3, 4, 5)]
    series, evidence = one_target([old, new], up=list(range(8)))
    assert total(series, evidence) == 200 + 200 + 100


def test_new_label_with_a_new_process_counts() -> None:
    old = [(t, 10.0) for t in range(3)]
    series, evidence = one_target(
        [old, [(3, 7), (4, 9)]],
        up=list(range(5)),
        starts=[(0, -9), (1, -9), (2, -9), (3, 2), (4, 2)],
    )
    assert difference(series, evidence).delta[-2:].tolist() == [7, 2]


def test_first_sample_without_any_evidence_counts_nothing() -> None:
    series, evidence = one_target([[(0, 7), (1, 9), (4, 11)], [(2, 40), (3, 41)]])
    assert difference(series, evidence).delta.tolist() == [0, 2, 2, 0, 1]


def test_foreign_scrape_times_prove_nothing() -> None:
    series, evidence = one_target([[(1, 7), (2, 9), (3, 11)]], up=[])
    shifted = Timelines(np.array([0, 9]), START + 7_000 + SCRAPE_MS // 2 * np.arange(9))
    evidence = replace(evidence, scrapes=shifted, is_good=np.ones(9, np.bool_))
    assert difference(series, evidence).delta.tolist() == [0, 2, 2]


def test_new_pod_counts_from_zero_when_its_process_is_new() -> None:
    series, evidence = one_target([[(3, 7), (4, 9)]], up=[3, 4], starts=[(3, 2), (4, 2)])
    assert difference(series, evidence).delta.tolist() == [7, 2]
    assert reasons(series, evidence)[0] == Reason.BIRTH


def test_no_samples_have_no_differences() -> None:
    series, evidence = one_target([[], []], up=[0, 1])
    assert len(difference(series, evidence).delta) == 0
    lost = lost_exposure(series, difference(series, evidence), evidence, until_ms=START)
    assert sum(len(loss.series) for loss in lost) == 0


def _after_baseline(one: Pod, index: int, range_start: int) -> int:
    """Visible events less what the first sample already had, if its past isn't known."""
    ts, values = one.samples(index)
    old = len(ts) and one.life_start(ts[:1])[0] <= range_start and ts[0] == one.good[0]
    return one.visible(index) - (int(values[0]) if old else 0)


@st.composite
def pods(draw: st.DrawFn) -> Pod:
    """A pod with bursts, restarts, short times down, failed scrapes, late series."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    end = START + 4 * 600_000
    scrapes = scrape_times(START, end, offset=draw(st.integers(0, SCRAPE_MS - 1)))
    failed = np.zeros(len(scrapes), np.bool_)
    for first in draw(st.lists(st.integers(0, len(scrapes) - 1), max_size=4)):
        failed[first : first + draw(st.integers(1, 4))] = True
    begin = draw(st.sampled_from([START - HOUR, START + 60_000, START + 700_123]))
    later = draw(st.lists(st.integers(begin + 20_000, end), max_size=3, unique=True))
    lives = np.array([begin, *sorted(later)], np.int64)
    events = []
    for _ in range(draw(st.integers(1, 4))):
        rate = float(rng.choice([0.001, 0.05, 2.0]))
        times = poisson_events(rate, int(lives[0]), end, int(rng.integers(2**32)))
        burst = np.full(draw(st.integers(0, 40)), draw(st.integers(START, end)))
        events.append(np.sort(np.concatenate((times, burst[burst > begin]))))
    dead = draw(st.sampled_from([2**60, end - 900_000]))
    return Pod(scrapes, failed, lives, tuple(events), dead)


@settings(max_examples=150)
@given(st.lists(pods(), min_size=1, max_size=3))
def test_everything_a_scrape_saw_is_counted_exactly_once(some: list[Pod]) -> None:
    series, evidence = scraped(some, START - MARGIN)
    expected = sum(
        _after_baseline(one, index, START - MARGIN)
        for one in some
        for index in range(len(one.events))
    )
    assert total(series, evidence) == expected


@settings(max_examples=100)
@given(st.lists(pods(), min_size=1, max_size=3), st.integers(1, 4))
def test_windows_add_up_to_the_whole(some: list[Pod], windows: int) -> None:
    series, evidence = scraped(some, START - MARGIN)
    whole = difference(series, evidence).delta
    length = 2_400_000 // windows // SCRAPE_MS * SCRAPE_MS
    edges = [START - MARGIN, *(START + k * length for k in range(1, windows)), 2**50]
    for after, until in pairwise(edges):
        part = series.cut(max(after - MARGIN, START - MARGIN), until)
        known = evidence.cut(max(after - MARGIN, START - MARGIN), until)
        counted = part.ts_ms > after
        inside = (series.ts_ms > after) & (series.ts_ms <= until)
        assert difference(part, known).delta[counted].tolist() == whole[inside].tolist()


@settings(max_examples=60)
@given(st.lists(pods(), min_size=1, max_size=3), st.integers(0, 99))
def test_order_of_series_does_not_matter(some: list[Pod], seed: int) -> None:
    series, evidence = scraped(some, START - MARGIN)
    order = np.random.default_rng(seed).permutation(len(series.target))
    spans = [range(*series.offsets[index : index + 2]) for index in order]
    entry = np.array([sample for span in spans for sample in span], np.int64)
    shuffled = CounterSeries(
        np.concatenate(([0], np.cumsum([len(span) for span in spans]))).astype(np.int64),
        series.ts_ms[entry],
        series.values[entry],
        series.target[order],
    )
    straight, mixed = difference(series, evidence), difference(shuffled, evidence)
    assert mixed.delta.tolist() == straight.delta[entry].tolist()
    assert mixed.reason.tolist() == straight.reason[entry].tolist()


def _day(rate: float, lives: Int | None = None) -> tuple[Pod, int]:
    """Six hours of one pod, and its true number of events after the first scrape."""
    end = START + 6 * HOUR
    events = poisson_events(rate, START, end, seed=7)
    one = pod([events], start_ms=START, end_ms=end)
    return (one if lives is None else replace(one, lives=lives)), len(events)


def _share_of_truth(pods_: list[Pod], truth: int) -> float:
    return total(*scraped(pods_, START - MARGIN)) / truth - 1


def _lives(every_ms: int) -> Int:
    return np.append(START - HOUR, np.arange(START + every_ms, START + 6 * HOUR, every_ms) + 7_000)


# Bias against the truth, in percent: about that of R5 in the facts' table.
@pytest.mark.parametrize(
    ("rate", "lives", "low", "high"),
    [
        pytest.param(100, None, -0.1, 0.001, id="steady"),
        pytest.param(0.01, None, -1.0, 0.001, id="rare errors"),
        pytest.param(100, _lives(1_800_000), -0.6, -0.2, id="restart every 30 min"),
    ],
)
def test_bias_is_that_of_the_facts(rate: float, lives: Int | None, low: float, high: float) -> None:
    one, truth = _day(rate, lives)
    assert low <= 100 * _share_of_truth([one], truth) <= high


@pytest.mark.parametrize("kind", ["a fifth missing", "200 s gaps"])
def test_missing_scrapes_lose_nothing(kind: str) -> None:
    one, truth = _day(100)
    gaps = (one.scrapes - START) % (2 * HOUR) < 200_000
    fifth = np.random.default_rng(3).random(len(one.scrapes)) < 0.2
    one = replace(
        one, failed=(fifth if kind == "a fifth missing" else gaps) & (np.arange(len(gaps)) > 20)
    )
    assert -0.2 <= 100 * _share_of_truth([one], truth) <= 0


def test_short_lived_pods_lose_their_tail_and_the_estimate_says_how_much() -> None:
    rng = np.random.default_rng(11)
    some, truth, begin = [], 0, START
    while begin < START + 3 * HOUR:
        dead = begin + int(rng.integers(60_000, 360_000))
        events = poisson_events(100, begin, dead, int(rng.integers(2**32)))
        scrapes = scrape_times(begin, dead + 60_000, offset=int(rng.integers(SCRAPE_MS)))
        failed = np.zeros(len(scrapes), np.bool_)
        some.append(Pod(scrapes, failed, np.array([begin]), (events,), dead))
        truth += len(events)
        begin = dead
    series, evidence = scraped(some, START - MARGIN)
    differences = difference(series, evidence)
    counted = float(differences.delta.sum())
    assert -5.0 < 100 * (counted / truth - 1) < -2.0
    losses = lost_exposure(series, differences, evidence, until_ms=START + 4 * HOUR)
    tail = next(loss for loss in losses if loss.cause is Cause.TAIL)
    assert len(tail.series) == len(some)
    assert tail.requests.sum() == pytest.approx(truth - counted, rel=0.25)


def test_relabel_at_noon_adds_nothing() -> None:
    end = START + 6 * HOUR
    events = poisson_events(100, START, end, seed=5)
    noon = START + 3 * HOUR + 7_000
    one = replace(
        pod([events, events], start_ms=START, end_ms=end),
        hidden_before=(0, noon),
        hidden_after=(noon, 2**60),
    )
    series, evidence = scraped([one], START - MARGIN)
    differences = difference(series, evidence)
    assert -0.3 < 100 * (differences.delta.sum() / len(events) - 1) <= 0
    lost = lost_exposure(series, differences, evidence, until_ms=end)
    baseline = next(loss for loss in lost if loss.cause is Cause.BASELINE)
    assert baseline.requests.sum() == pytest.approx(100 * 15, rel=0.2)


def test_restart_estimate_matches_what_was_lost() -> None:
    one, truth = _day(100, lives=_lives(1_800_000))
    series, evidence = scraped([one], START - MARGIN)
    differences = difference(series, evidence)
    lost = lost_exposure(series, differences, evidence, until_ms=START + 6 * HOUR)
    restart = next(loss for loss in lost if loss.cause is Cause.RESTART)
    missed = truth - float(differences.delta.sum())
    assert len(restart.series) == len(one.lives) - 1
    assert restart.requests.sum() == pytest.approx(missed, rel=0.15)


def test_long_gap_is_reported_as_displaced() -> None:
    series, evidence = one_target(
        [[(0, 0), (1, 10), (11, 110), (12, 120)]], up=[0, 1, 11, 12], failed=list(range(2, 11))
    )
    differences = difference(series, evidence)
    lost = lost_exposure(series, differences, evidence, until_ms=START + 12 * SCRAPE_MS)
    gap = next(loss for loss in lost if loss.cause is Cause.GAP)
    assert gap.requests.tolist() == [pytest.approx(90)]
