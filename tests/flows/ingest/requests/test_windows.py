"""Which windows are read, and when less would replace more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.ingest.requests.windows import (
    LoadedWindow,
    NewWindow,
    Window,
    kept_because,
    next_span,
    pending_windows,
    selection_of,
)
from tests.flows.ingest.requests.test_pull_requests import HOUR, START, experiment

OURS = "ours"
WINDOW = Window(START, START + HOUR)


def test_server_that_goes_on_warning_costs_a_few_windows_a_look() -> None:
    spec = experiment(plan={"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "14d"})
    windows = [Window(START + n * HOUR, START + (n + 1) * HOUR) for n in range(300)]
    loaded = {w.start_ms: LoadedWindow(w.end_ms, 10, 10, True, selection_of(spec)) for w in windows}
    selection = selection_of(spec)
    assert pending_windows(spec, loaded, windows[-1].end_ms, selection=selection) == windows[-6:]
    # Once these are whole, those before are read.
    for window in windows[-6:]:
        loaded[window.start_ms] = LoadedWindow(window.end_ms, 10, 10, False, selection_of(spec))
    again = pending_windows(spec, loaded, windows[-1].end_ms, selection=selection)
    assert again == [*windows[-12:-6], *windows[-2:]]


def _loaded(hours: int, **changes: object) -> dict[int, LoadedWindow]:
    fields = {"row_count": 10, "targets_up": 10, "has_warnings": False, "selection": OURS}
    return {
        START + n * HOUR: LoadedWindow(**{"end_ms": START + (n + 1) * HOUR, **fields, **changes})  # type: ignore[arg-type]
        for n in range(hours)
    }


def _pending(loaded: dict[int, LoadedWindow], until_ms: int) -> list[tuple[int, int]]:
    """Begin and end of the pending windows, in minutes since the start."""
    spec = experiment(plan={"start": datetime.fromtimestamp(START / 1000, UTC), "duration": "9h"})
    found = pending_windows(spec, loaded, until_ms, selection=OURS)
    return [((w.start_ms - START) // 60_000, (w.end_ms - START) // 60_000) for w in found]


def test_unknown_windows_and_the_last_two_are_pending() -> None:
    assert _pending({}, START + 2 * HOUR + 1_800_000) == [(0, 60), (60, 120), (120, 150)]
    assert _pending(_loaded(4), START + 5 * HOUR) == [(180, 240), (240, 300)]


def test_a_window_of_another_selection_is_read_again_to_its_known_end() -> None:
    loaded = _loaded(3, selection="theirs")
    assert _pending(loaded, START + 2 * HOUR + 60_000) == [(0, 60), (60, 120), (120, 180)]


def test_a_window_that_is_known_further_is_left_alone() -> None:
    assert _pending(_loaded(3), START + 2 * HOUR + 60_000) == [(60, 120)]


def test_nothing_is_read_after_the_plan() -> None:
    assert _pending({}, START + 20 * HOUR)[-1] == (480, 540)


def test_a_span_ends_at_a_hole_or_when_it_is_long_enough() -> None:
    windows = [Window(n * HOUR, (n + 1) * HOUR) for n in (0, 1, 2, 4)]
    assert next_span(windows, 9) == windows[:3]
    assert next_span(windows, 2) == windows[:2]
    assert next_span([], 2) == []


@pytest.mark.parametrize(
    ("new", "warnings", "selection", "why"),
    [
        (NewWindow(WINDOW, 10, 10, 10), (), OURS, None),
        (NewWindow(WINDOW, 9, 9, 10), (), OURS, None),
        (NewWindow(WINDOW, 10, 10, 9), (), OURS, "9 good scrapes now, 10 then"),
        (NewWindow(WINDOW, 10, 10, 10), ("cut short",), OURS, "marked partial (cut short)"),
        (NewWindow(WINDOW, 10, 10, 10), ("cut short",), "new", "marked partial (cut short)"),
        (NewWindow(WINDOW, 1, 1, 1), (), "new", None),
        (NewWindow(WINDOW, 0, 0, 0), (), "new", "nothing for the changed spec"),
        # Samples that no longer count (the plan begins later) are no missing data.
        (NewWindow(WINDOW, 5, 0, 5), (), "new", None),
    ],
)
def test_less_never_replaces_more(
    new: NewWindow, warnings: tuple[str, ...], selection: str, why: str | None
) -> None:
    [old] = _loaded(1).values()
    said = kept_because(new, old, selection=selection, warnings=warnings)
    assert said is None if why is None else why in str(said)


def test_without_known_scrapes_fewer_samples_never_replace_more() -> None:
    [old] = _loaded(1, targets_up=0).values()
    new = NewWindow(WINDOW, 9, 9, 0)
    assert "9 samples now, 10 then" in str(kept_because(new, old, selection=OURS, warnings=()))
    assert kept_because(NewWindow(WINDOW, 9, 9, 1), old, selection=OURS, warnings=()) is None


def test_a_marked_window_is_replaced_by_one_that_is_marked_again() -> None:
    [old] = _loaded(1, has_warnings=True).values()
    assert kept_because(NewWindow(WINDOW, 10, 10, 10), old, selection=OURS, warnings=("x",)) is None


def test_the_selection_is_that_of_what_is_counted_as_what() -> None:
    plain = selection_of(experiment())
    assert selection_of(experiment(plan={"duration": "9h"})) == plain
    assert selection_of(experiment(service="other")) != plain
    assert (
        selection_of(experiment(plan={"duration": "6h", "bucket": timedelta(minutes=1)})) != plain
    )
