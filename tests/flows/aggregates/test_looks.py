"""Sums at several looks: bounds follow the plan or the arrivals, and have one direction only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.aggregates.analyze import analyze
from flows.aggregates.analyzed_document import ScorecardDocument
from flows.aggregates.looks import Tuning
from flows.formats.problems import InputError
from flows.ingest.sources.aggregate_rows import AggregateRow

PER_DAY = 400


def _rows(effects: list[float], **more: Any) -> list[dict[str, Any]]:
    """A look a day; of each day's users the effect is another. Without noise but in the spread."""
    rows, total = [], np.zeros((2, 3))
    for day, effect in enumerate(effects, 1):
        for arm, mean in enumerate((10.0, 10.0 + effect)):
            total[arm] += PER_DAY / 2 * np.array([1.0, mean, mean**2 + 4.0])
            n, s, q = total[arm].tolist()
            row = {"metric": "m", "type": "mean", "variant": "ab"[arm], "n": n, "sum": s}
            rows.append({**row, "sum_squares": q, "as_of": day, **more})
    return rows


def _judged(rows: list[dict[str, Any]], tuning: Tuning | None = None) -> ScorecardDocument:
    return analyze([AggregateRow.model_validate(row) for row in rows], Path("x"), tuning=tuning)


@pytest.mark.parametrize(
    ("more", "tuning", "users"),
    [
        ({}, None, PER_DAY * 14),
        ({}, Tuning(days=30), PER_DAY * 30),
        ({"planned_users": 90_000}, None, 90_000),
        ({"planned_users": 90_000}, Tuning(users=700), 700),
        ({}, Tuning(users=700), 700),
    ],
)
def test_bounds_are_tuned_by_what_is_said_of_the_plan_or_by_the_first_look(
    more: dict[str, Any], tuning: Tuning | None, users: float
) -> None:
    for looks in (1, 2, 20):
        [row] = _judged(_rows([0.0] * looks, **more), tuning).rows
        assert row.tightest_at_users == pytest.approx(users)
        assert row.users_baseline == looks * PER_DAY / 2


def test_a_pair_is_tuned_for_its_own_part_of_the_users() -> None:
    rows = _rows([0.0] * 3, planned_users=9_000)
    third = [{**row, "variant": "c"} for row in rows if row["variant"] == "b"]
    assert {one.tightest_at_users for one in _judged([*rows, *third]).rows} == {6_000}
    shares = {"a": 0.8, "b": 0.1, "c": 0.1}
    configured = [{**row, "share": shares[row["variant"]]} for row in (*rows, *third)]
    found = [one.tightest_at_users for one in _judged(configured).rows]
    assert found == pytest.approx([8_100, 8_100])


def test_without_a_plan_and_looks_the_default_is_named() -> None:
    rows = [{k: v for k, v in row.items() if k != "as_of"} for row in _rows([0.0])]
    found = _judged(rows)
    assert found.rows[0].tightest_at_users == 5000
    assert any("tuned for 5,000 users in 1 of 1" in text for text in found.limits)
    assert not any("tuned for" in text for text in _judged(_rows([0.0])).limits)


@pytest.mark.parametrize(
    ("effects", "direction"),
    [([0.0] * 12, ""), ([1.0] * 12, "higher"), ([-1.0] * 12, "lower")],
)
def test_all_looks_say_one_direction_together(effects: list[float], direction: str) -> None:
    [series] = _judged(_rows(effects)).over_looks
    assert (series.looks, series.direction) == (12, direction)
    assert (series.declared_at is None) == (direction == "")
    assert series.contradicted_at is None
    assert series.lower <= np.mean(effects) <= series.upper


def test_an_effect_that_turns_is_never_declared_the_other_way() -> None:
    effects = [3.0] * 5 + [-3.0] * 40
    seen = []
    for looks in range(1, len(effects) + 1):
        found = _judged(_rows(effects[:looks]))
        [row] = found.rows
        low, high = row.anytime.lower, row.anytime.upper
        seen.append("higher" if low > 0 else "lower" if high < 0 else "")
        if looks > 1:
            [series] = found.over_looks
            assert series.direction in ("", "higher")
    assert "higher" in seen
    assert "lower" not in seen
    assert series.contradicted_at is not None
    assert (row.discovery, row.anytime_p) == (False, 1.0)


def test_as_of_stands_in_all_rows_or_in_none() -> None:
    rows = _rows([0.0, 0.0])
    del rows[0]["as_of"], rows[1]["as_of"]
    with pytest.raises(InputError, match="as_of in some rows only"):
        _judged(rows)
