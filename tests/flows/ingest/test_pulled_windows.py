"""Windows that were pulled: how far they reach, which are doubtful, and how they were counted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from flows.ingest.pulled_windows import PulledWindow, PulledWindows
from flows.ingest.requests.claims import claim_windows
from flows.ingest.requests.windows import NewWindow, Window
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import Connection
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, experiment

SOUND = PulledWindow("requests", START, START + HOUR, 9, 9, (), "now", "")


def _claim(con: Connection, number: int) -> None:
    window = NewWindow(Window(START + number * HOUR, START + (number + 1) * HOUR), 1, 1, 1)
    claim_windows(con, experiment(), "requests", [window], selection="", warnings=())


def test_a_source_is_known_up_to_the_first_hole_and_apart_from_others(tmp_path: Path) -> None:
    with open_writer(tmp_path / "w.duckdb") as con:
        assert PulledWindows.of(con, experiment()).known_until("requests") is None
        for number in (0, 1, 3):
            _claim(con, number)
        assert PulledWindows.of(con, experiment()).known_until("requests") == START + 2 * HOUR
        assert PulledWindows.of(con, experiment()).known_until("conversions") is None
        _claim(con, 2)
        assert PulledWindows.of(con, experiment()).known_until("requests") == START + 4 * HOUR


def _of(*windows: PulledWindow) -> PulledWindows:
    return PulledWindows(windows)


def test_a_window_is_doubtful_by_its_warnings_and_where_nobody_knows_its_scrapes() -> None:
    warned = replace(SOUND, source="conversions", warnings=("partial",))
    blind = replace(SOUND, targets_up=0)
    query = replace(SOUND, source="metric load", targets_up=0)
    empty = replace(SOUND, source="conversions", row_count=0, targets_up=0)
    users = replace(SOUND, source="exposures", targets_up=0, warnings=("partial",))
    warned_query = replace(query, warnings=("partial",))
    found = _of(warned, users, empty, warned_query, query, blind, SOUND).doubtful(START, START + 1)
    assert found == [blind, warned_query, warned]
    assert [window.is_blind for window in found] == [True, True, False]


def test_windows_count_that_overlap_the_time() -> None:
    blind = replace(SOUND, targets_up=0)
    assert _of(blind).doubtful(START + HOUR - 1, START + 2 * HOUR) == [blind]
    assert _of(blind).doubtful(START + HOUR, START + 2 * HOUR) == []
    assert _of(blind).doubtful(START - HOUR, START) == []
    assert _of(blind).doubtful(START - HOUR, START + 1) == [blind]


def test_each_note_is_said_once_requests_first() -> None:
    conversions = replace(SOUND, source="conversions", notes="b\na")
    requests = replace(SOUND, notes="c\na\n")
    later = replace(requests, start_ms=START + HOUR, end_ms=START + 2 * HOUR)
    query = replace(SOUND, source="metric load", notes="a query's")
    said = _of(conversions, query, requests, later).notes(START, START + 2 * HOUR)
    assert said == ["requests: a", "requests: c", "conversions: a", "conversions: b"]


def test_windows_of_another_selection_are_counted_by_source() -> None:
    old = replace(SOUND, selection="before")
    empty = replace(old, row_count=0)
    load, users = replace(old, source="metric load"), replace(old, source="exposures")
    now = {"requests": "now", "metric load": "now"}
    windows = _of(users, load, old, old, SOUND, empty)
    found = windows.counted_otherwise(now, START, START + 1)
    assert list(found.items()) == [("requests", 2), ("metric load", 1)]
    assert windows.counted_otherwise(now, START + HOUR, START + 2 * HOUR) == {}
