"""What a look sees of the users: who counts, with which value."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.user_statistics import UserStatistics
from tests.builders.user_specs import (
    LOOK,
    Rows,
    day,
    numbers,
    pull,
    read,
    sample_in,
    spec_of,
    write_exposures,
    write_outcomes,
)


def seen(folder: Path, exposures: Rows, outcomes: Rows, at: float | None = None) -> UserStatistics:
    write_exposures(folder, exposures)
    write_outcomes(folder, outcomes)
    pull(spec_of(), folder)
    return read(spec_of(), folder, LOOK if at is None else day(at))


def test_values_by_kind(tmp_path: Path) -> None:
    outcomes: Rows = [(1, "purchase", 1, 10), (1, "purchase", 2, 5), (1, "visit", 1, 9)]
    found = seen(tmp_path, [(1, "a", 0), (2, "a", 0), (3, "b", 0)], outcomes).metrics
    assert numbers(sample_in(found, "bought", "a"))[1:] == (0.5, 0.25)
    assert numbers(sample_in(found, "spend", "a"))[1:] == (7.5, 112.5)
    assert numbers(sample_in(found, "visits", "a"))[1:] == (0.5, 0.5)
    assert numbers(sample_in(found, "spend", "b"))[:2] == (1, 0.0)
    assert math.isnan(sample_in(found, "spend", "b").variance)


def test_first_exposure_wins(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 10), (1, "a", 2), (1, "a", 5)]
    found = seen(tmp_path, exposures, [(1, "purchase", 3, 1), (1, "purchase", 9.5, 1)])
    assert sample_in(found.metrics, "spend", "a").mean == 1.0
    assert found.users == {"a": 1, "b": 0}


def test_user_in_two_variants_is_counted_and_left_out(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (1, "b", 3), (2, "a", 0), (3, "b", 0)]
    found = seen(tmp_path, exposures, [(1, "purchase", 1, 1)])
    assert found.mixed_users == 1
    assert found.users == {"a": 1, "b": 1}
    assert sample_in(found.metrics, "bought", "a").mean == 0.0


def test_user_is_mixed_only_from_the_second_variant_on(tmp_path: Path) -> None:
    found = seen(tmp_path, [(1, "a", 0), (1, "b", 30)], [], at=20)
    assert (found.mixed_users, found.users["a"]) == (0, 1)


def test_outcomes_before_exposure_count_for_nobody(tmp_path: Path) -> None:
    outcomes: Rows = [(1, "purchase", 1, 5), (1, "purchase", 2, 7), (8, "purchase", 2, 1)]
    found = seen(tmp_path, [(1, "a", 2)], outcomes)
    assert sample_in(found.metrics, "spend", "a").mean == 7.0


def test_outcomes_count_until_the_window_ends(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 0)]
    outcomes: Rows = [(1, "purchase", 7 - 1e-6, 1), (2, "purchase", 7, 1)]
    assert sample_in(seen(tmp_path, exposures, outcomes).metrics, "bought", "a").mean == 0.5


def test_user_enters_when_the_window_has_elapsed(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 1)]
    outcomes: Rows = [(2, "purchase", 1, 1)]
    early = seen(tmp_path, exposures, outcomes, at=7.5)
    assert numbers(sample_in(early.metrics, "bought", "a"))[:2] == (1, 0.0)
    assert early.final_users["bought"] == {"a": 1, "b": 0}
    assert early.users == {"a": 2, "b": 0}
    late = read(spec_of(), tmp_path, day(8))
    assert numbers(sample_in(late.metrics, "bought", "a"))[:2] == (2, 0.5)


def test_windows_belong_to_the_metric(tmp_path: Path) -> None:
    metrics = {
        "day": {"kind": "proportion", "outcome": "purchase", "window": "1d"},
        "week": {"kind": "proportion", "outcome": "purchase", "window": "7d"},
    }
    write_exposures(tmp_path, [(1, "a", 0), (2, "a", 4)])
    write_outcomes(tmp_path, [(1, "purchase", 3, 1)])
    spec = spec_of(metrics=metrics)
    pull(spec, tmp_path)
    found = read(spec, tmp_path, day(8)).metrics
    assert numbers(sample_in(found, "day", "a"))[:2] == (2, 0.0)
    assert numbers(sample_in(found, "week", "a"))[:2] == (1, 1.0)


def test_nothing_is_final_after_the_last_pull(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0), (2, "a", 2)])
    write_outcomes(tmp_path, [])
    until_ms = milliseconds_of(day(8))
    pull_users(spec_of(), tmp_path / "w.duckdb", spec_dir=tmp_path, until_ms=until_ms)
    found = read(spec_of(), tmp_path, LOOK)
    assert found.known_until == day(8)
    assert sample_in(found.metrics, "bought", "a").n == 1


def test_variance_survives_a_large_mean(tmp_path: Path) -> None:
    values = [1e9 + step for step in (0.0, 0.25, 0.5, 0.75)]
    exposures: Rows = [(user, "a", 0) for user in range(4)]
    outcomes: Rows = [(user, "purchase", 1, repr(value)) for user, value in enumerate(values)]
    found = sample_in(seen(tmp_path, exposures, outcomes).metrics, "spend", "a")
    assert found.variance == pytest.approx(np.var(values, ddof=1), rel=1e-12)


def test_shift_stays_when_data_is_added(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (2, "a", 0)]
    before = sample_in(seen(tmp_path, exposures, [(1, "purchase", 1, 10)]).metrics, "spend", "a")
    after = seen(tmp_path, exposures, [(1, "purchase", 1, 10), (2, "purchase", 1, 50)])
    assert before.mean == 5.0
    assert sample_in(after.metrics, "spend", "a").mean == 30.0
    assert sample_in(after.metrics, "spend", "a").variance == 800.0


def test_before_any_data_there_are_no_users(tmp_path: Path) -> None:
    found = seen(tmp_path, [], [])
    assert found.users == {"a": 0, "b": 0}
    assert sample_in(found.metrics, "spend", "b").n == 0
    assert math.isnan(sample_in(found.metrics, "spend", "b").mean)


def test_agrees_with_a_loop_over_the_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    users = rng.integers(0, 400, 700)
    arms = np.where(rng.random(700) < 0.05, "b", "a")
    arms = np.where(users % 2 == 0, arms, "b")
    exposures: Rows = list(
        zip(users.tolist(), arms.tolist(), rng.uniform(0, 30, 700).tolist(), strict=True)
    )
    outcomes: Rows = list(
        zip(
            rng.integers(0, 450, 2000).tolist(),
            rng.choice(["purchase", "visit"], 2000).tolist(),
            rng.uniform(0, 40, 2000).tolist(),
            np.round(rng.gamma(2, 20, 2000), 2).tolist(),
            strict=True,
        )
    )
    found = seen(tmp_path, exposures, outcomes, at=25)

    arms_of, first = defaultdict[int, set[str]](set), dict[int, float]()
    for user, arm, at in exposures:
        if at <= 25:
            arms_of[user].add(arm)
            first[user] = min(at, first.get(user, 99))
    values = defaultdict[str, list[float]](list)
    for user, at in first.items():
        if len(arms_of[user]) == 1 and at + 7 <= 25:
            spent = [
                v for u, o, t, v in outcomes if (u, o) == (user, "purchase") and at <= t < at + 7
            ]
            values[min(arms_of[user])].append(sum(spent))
    assert found.mixed_users == sum(len(arms) > 1 for arms in arms_of.values()) > 0
    for arm in "ab":
        got = sample_in(found.metrics, "spend", arm)
        assert got.n == len(values[arm]) > 20
        assert got.mean == pytest.approx(np.mean(values[arm]))
        assert got.variance == pytest.approx(np.var(values[arm], ddof=1))
        bought = float(np.mean(np.array(values[arm]) > 0))
        assert sample_in(found.metrics, "bought", arm).mean == pytest.approx(bought)


def test_look_between_days_keeps_the_microsecond(tmp_path: Path) -> None:
    found = seen(tmp_path, [(1, "a", 0)], [])
    assert sample_in(found.metrics, "bought", "a").n == 1
    just_before = day(7) - timedelta(microseconds=1)
    assert sample_in(read(spec_of(), tmp_path, just_before).metrics, "bought", "a").n == 0
    assert sample_in(read(spec_of(), tmp_path, day(7)).metrics, "bought", "a").n == 1
