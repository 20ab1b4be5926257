"""For how many users the bounds of user metrics are tuned: as the spec says, or set once."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_specs import (
    START,
    Rows,
    day,
    pull,
    rows_of,
    spec_of,
    write_exposures,
    write_outcomes,
)


def _spec(variants: str = "ab", **plan: Any) -> Experiment:
    plan = {
        "start": START.isoformat(),
        "duration": "28d",
        "look_every": "1d",
        "bucket": "1h",
    } | plan
    return spec_of(
        variants={name: {} for name in variants},
        split={name: 100 / len(variants) for name in variants},
        metrics={
            "bought": {"kind": "proportion", "outcome": "purchase", "window": "7d"},
            "quick": {"kind": "mean", "outcome": "purchase", "window": "1d"},
        },
        plan=plan,
    )


def _fill(folder: Path, spec: Experiment, *, slow_from: int = 10_000) -> None:
    """20 users a day for 28 days, 4 a day from slow_from on; every fifth buys within a day."""
    exposures: Rows = []
    for number in range(28 * 20):
        at = number / 20
        if at < slow_from or number % 5 == 0:
            exposures.append((number, "abcd"[number % len(spec.variants)], at))
    write_exposures(folder, exposures)
    buys = [(user, "purchase", at + 0.5, 3.0 + user % 7) for user, _, at in exposures[::5]]
    write_outcomes(folder, buys)
    pull(spec, folder)


def _tuned(document: VerdictDocument) -> dict[str, float | None]:
    return {metric.metric: metric.tightest_at_users for metric in document.metrics}


def _look(spec: Experiment, folder: Path, at: datetime) -> VerdictDocument:
    return score_experiment(spec, folder / "w.duckdb", at=at)


def test_spec_says_the_users_and_those_too_late_for_their_window_do_not_count(
    tmp_path: Path,
) -> None:
    spec = _spec(users=10_000)
    _fill(tmp_path, spec)
    found = _look(spec, tmp_path, day(12))
    assert _tuned(found) == pytest.approx({"bought": 7500, "quick": 10_000 * 27 / 28})
    assert {row.metric: row.tightest_at_users for row in found.scorecard} == _tuned(found)
    assert rows_of(tmp_path, "select * from user_rates") == []


def test_first_look_sets_the_rate_for_good_though_users_come_slower_later(tmp_path: Path) -> None:
    spec = _spec()
    _fill(tmp_path, spec, slow_from=14)
    first = _look(spec, tmp_path, day(10))
    # 20 users a day: 560 in 28 days, 420 of them with a final value after a window of 7 days.
    assert _tuned(first)["bought"] == pytest.approx(420, rel=0.01)
    (rate,) = rows_of(tmp_path, "select users_per_day, known_until from user_rates")
    late = _look(spec, tmp_path, day(28))
    again = _look(spec, tmp_path, day(10))
    assert _tuned(late) == _tuned(first)
    assert again.to_json() == first.to_json()
    assert rows_of(tmp_path, "select users_per_day, known_until from user_rates") == [rate]
    assert rate[1] == day(10)


def test_the_same_look_says_the_same_byte_for_byte(tmp_path: Path) -> None:
    """Its rows are read anew each time; sums of floats depend on the order of their parts."""
    spec = _spec()
    _fill(tmp_path, spec)
    assert len({_look(spec, tmp_path, day(20)).to_json() for _ in range(20)}) == 1


def test_longer_plan_expects_more_users_at_the_same_rate(tmp_path: Path) -> None:
    _fill(tmp_path, _spec())
    short = _tuned(_look(_spec(), tmp_path, day(10)))["bought"]
    long = _tuned(_look(_spec(duration="49d"), tmp_path, day(12)))["bought"]
    assert short is not None
    assert long == pytest.approx(short * 42 / 21)


def test_users_of_other_candidates_are_not_counted(tmp_path: Path) -> None:
    spec = _spec("abcd", users=10_000)
    _fill(tmp_path, spec)
    found = _tuned(_look(spec, tmp_path, day(12)))
    assert found["bought"] == pytest.approx(3750)


def test_without_users_nothing_is_set_and_the_default_stands(tmp_path: Path) -> None:
    spec = _spec()
    _fill(tmp_path, spec)
    found = _look(spec, tmp_path, START + timedelta(minutes=1))
    assert set(_tuned(found).values()) == {5000.0}
    assert rows_of(tmp_path, "select * from user_rates") == []
