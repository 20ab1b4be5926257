"""Counts of a window depend on its own range only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from analysis.counting.counters import CounterSeries
from flows.ingest.requests.counts import WindowCounts, count_windows, range_of
from flows.ingest.requests.mesh.families import FAMILIES
from flows.ingest.requests.windows import Window
from flows.spec.experiment import Mesh
from tests.builders.scraped_source import ScrapedSource
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, add_evidence, istio, scrapes

HOURS = [Window(START + n * HOUR, START + (n + 1) * HOUR) for n in range(3)]
LABELS = istio("v1", "a")
TIMES = scrapes(START + 60_000, START + 3 * HOUR)


def _source() -> ScrapedSource:
    source = ScrapedSource()
    add_evidence(source, LABELS, dict.fromkeys(TIMES, 1), TIMES[0] - 2_000)
    return source


def _counts(windows: Sequence[Window]) -> tuple[WindowCounts, ...]:
    begin, end = range_of(windows, 15_000)
    times = np.array([t for t in TIMES if begin < t <= end])
    values = np.asarray(10 * (1 + np.searchsorted(TIMES, times)), np.float64)
    counters = CounterSeries(np.array([0, len(times)]), times, values, np.zeros(1, np.int64))
    found, _ = count_windows(
        FAMILIES[Mesh.ISTIO],
        _source(),
        counters,
        {"pods/a:15020": LABELS},
        windows,
        labels_of=lambda _: LABELS,
        counted=["requests"],
        interval_ms=15_000,
    )
    return found


def test_a_range_begins_where_the_first_sample_still_finds_its_predecessor() -> None:
    assert range_of(HOURS[1:], 15_000) == (START + HOUR - 300_000, START + 3 * HOUR)
    assert range_of(HOURS[1:], 60_000) == (START + HOUR - 1_200_000, START + 3 * HOUR)


def test_windows_count_the_same_however_many_are_read_at_once() -> None:
    for together, [alone] in zip(_counts(HOURS), [_counts([w]) for w in HOURS], strict=True):
        assert together.ts_ms.tolist() == alone.ts_ms.tolist()
        assert together.delta.tolist() == alone.delta.tolist()
        assert together.targets_up == alone.targets_up


def test_every_request_is_in_one_window() -> None:
    found = _counts(HOURS)
    assert sum(float(each.delta.sum()) for each in found) == 10.0 * len(TIMES)
    assert [each.targets_up for each in found] == [237, 240, 240]


def test_scrapes_of_a_target_without_samples_around_a_window_are_no_evidence_of_it() -> None:
    source = _source()
    counters = CounterSeries(
        np.array([0, 1]), np.array([TIMES[0]]), np.array([10.0]), np.zeros(1, np.int64)
    )
    found, _ = count_windows(
        FAMILIES[Mesh.ISTIO],
        source,
        counters,
        {"pods/a:15020": LABELS},
        HOURS,
        labels_of=lambda _: LABELS,
        counted=["requests"],
        interval_ms=15_000,
    )
    assert [each.targets_up for each in found] == [237, 0, 0]


@pytest.mark.parametrize("windows", [HOURS[:1], HOURS])
def test_without_series_nothing_is_asked_and_nothing_counted(windows: list[Window]) -> None:
    source = ScrapedSource(warnings=("cut short",))
    none = CounterSeries(
        np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64)
    )
    found, said = count_windows(
        FAMILIES[Mesh.ISTIO],
        source,
        none,
        {},
        windows,
        labels_of=lambda _: LABELS,
        counted=[],
        interval_ms=15_000,
    )
    assert (len(found), said, source.reads) == (len(windows), (), [])
    assert all(len(each.ts_ms) == each.targets_up == 0 for each in found)
