"""Which outcomes make a user's value, and when it is final."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from tests.builders.user_specs import (
    Rows,
    day,
    numbers,
    pull,
    read,
    sample_in,
    seen,
    spec_of,
    write_exposures,
    write_outcomes,
)


def test_outcomes_before_exposure_count_for_nobody(tmp_path: Path) -> None:
    outcomes: Rows = [(1, "purchase", 1, 5), (1, "purchase", 2, 7), (8, "purchase", 2, 1)]
    found = seen(tmp_path, [(1, "a", 2)], outcomes)
    assert sample_in(found.samples, "spend", "a").mean == 7.0


def test_outcomes_count_until_the_window_ends(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 0)]
    outcomes: Rows = [(1, "purchase", 7 - 1e-6, 1), (2, "purchase", 7, 1)]
    assert sample_in(seen(tmp_path, exposures, outcomes).samples, "bought", "a").mean == 0.5


def test_user_enters_when_the_window_has_elapsed(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 1)]
    outcomes: Rows = [(2, "purchase", 1, 1)]
    early = seen(tmp_path, exposures, outcomes, at=7.5)
    assert numbers(sample_in(early.samples, "bought", "a"))[:2] == (1, 0.0)
    assert early.final_users["bought"] == {"a": 1, "b": 0}
    assert early.exposed == {"a": 2, "b": 0}
    late = read(spec_of(), tmp_path, day(8))
    assert numbers(sample_in(late.samples, "bought", "a"))[:2] == (2, 0.5)


def test_windows_belong_to_the_metric(tmp_path: Path) -> None:
    metrics = {
        "day": {"kind": "proportion", "outcome": "purchase", "window": "1d"},
        "week": {"kind": "proportion", "outcome": "purchase", "window": "7d"},
    }
    write_exposures(tmp_path, [(1, "a", 0), (2, "a", 4)])
    write_outcomes(tmp_path, [(1, "purchase", 3, 1)])
    spec = spec_of(metrics=metrics)
    pull(spec, tmp_path)
    found = read(spec, tmp_path, day(8)).samples
    assert numbers(sample_in(found, "day", "a"))[:2] == (2, 0.0)
    assert numbers(sample_in(found, "week", "a"))[:2] == (1, 1.0)


def test_look_between_days_keeps_the_microsecond(tmp_path: Path) -> None:
    found = seen(tmp_path, [(1, "a", 0)], [])
    assert sample_in(found.samples, "bought", "a").n == 1
    just_before = day(7) - timedelta(microseconds=1)
    assert sample_in(read(spec_of(), tmp_path, just_before).samples, "bought", "a").n == 0
    assert sample_in(read(spec_of(), tmp_path, day(7)).samples, "bought", "a").n == 1
