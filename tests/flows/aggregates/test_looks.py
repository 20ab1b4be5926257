"""Sums at several looks: bounds follow the plan or the arrivals, and have one direction only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.aggregates.analyze import analyze
from flows.aggregates.analyzed_document import ScorecardDocument
from flows.aggregates.further_answers import Asked
from flows.aggregates.looks import Tuning
from flows.cli.analyze_tables import sentence
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


_SHARES = {"metric": "m", "type": "proportion"}


def _look(as_of: float, *variants: tuple[str, int, int], **more: Any) -> list[dict[str, Any]]:
    return [
        {**_SHARES, "variant": name, "n": n, "sum": ones, "as_of": as_of, **more}
        for name, n, ones in variants
    ]


_FIRST = _look(1, ("a", 10_000, 1_000), ("b", 10_000, 1_300))


def test_no_series_is_declared_in_both_directions_whatever_the_order_of_its_rows() -> None:
    """With the variants in another order at the second look the other one was the baseline."""
    later = _look(2, ("b", 40_000, 3_600), ("a", 40_000, 4_400))
    for rows in ([*_FIRST, *later], [*later[::-1], *_FIRST], [*_FIRST, *later[::-1]]):
        found = _judged(rows)
        [row], [series] = found.rows, found.over_looks
        assert (row.baseline, row.candidate, series.direction) == ("a", "b", "higher")
        assert series.contradicted_at == 2
        assert (row.anytime_p, row.discovery) == (1.0, False)
        assert "nothing is claimed of b: it was higher than a by day 1" in sentence(row, series)


def test_no_method_over_looks_declares_what_they_contradict() -> None:
    """mSPRT, exact shares and a planned look still said that b is smaller, beyond chance."""
    rows = [*_FIRST, *_look(2, ("a", 40_000, 4_400), ("b", 40_000, 3_600))]
    counts = [{**row, "type": "count", "sum_squares": 2 * row["sum"]} for row in rows]
    for each in (rows, counts):
        models = [AggregateRow.model_validate(row) for row in each]
        [row] = analyze(models, Path("x"), asked=Asked(look=(2, 2))).rows
        further = row.further
        tests = (further.msprt, further.anytime_t, further.exact_share, further.rate_ratio)
        assert {test.p_value for test in tests if test} == {1.0}
        assert {test.upper for test in tests if test} == {np.inf}
        assert sum(test is not None for test in tests) >= 2
        assert further.planned_look is not None
        assert not further.planned_look.crossed


def test_all_segments_of_a_metric_have_one_baseline() -> None:
    sides = [("a", 10_000, 1_000), ("b", 10_000, 1_300)]
    rows = [*_look(1, *sides, segment="x = 1"), *_look(1, *sides[::-1], segment="x = 2")]
    assert {row.baseline for row in _judged(rows).rows} == {"a"}


@pytest.mark.parametrize(
    ("later", "said"),
    [
        (_look(2, ("a", 20_000, 2_000), ("c", 20_000, 2_500)), "has the variants a, c at as_of 2"),
        (_look(2, ("a", 8_900, 900), ("b", 20_000, 2_500)), "has 8,900 users of a at as_of 2, but"),
        (
            _look(2, ("a", 10_000, 1_000), ("b", 10_000, 1_160)),
            "has 1,160 users with the outcome of b at as_of 2, but 1,300 at 1",
        ),
        (
            _look(2, ("a", 20_000, 2_000), ("b", 20_000, 2_500), type="count", sum_squares=3_000),
            "is a count at as_of 2, but a proportion at 1",
        ),
    ],
)
def test_a_look_is_at_all_users_so_far(later: list[dict[str, Any]], said: str) -> None:
    """Sums of each day alone, or other variants: a later look was believed, or a traceback."""
    with pytest.raises(InputError, match=f"x: row 3: experiment m: {said}"):
        _judged([*_FIRST, *later])


def test_blanks_around_a_name_make_no_other_variant() -> None:
    found = _judged([*_FIRST, *_look(1, ("b ", 100, 10), (" a", 100, 10))])
    [row] = found.rows
    assert (row.candidate, row.users_baseline, row.users_candidate) == ("b", 10_100, 10_100)


def test_few_users_that_were_taken_out_are_said() -> None:
    later = _look(2, ("a", 20_000, 2_000), ("b", 9_950, 1_290))
    [said] = [text for text in _judged([*_FIRST, *later]).limits if "taken out" in text]
    assert "earlier look, 2 times: m has 9,950 users of b at as_of 2, 10,000 before" in said


def test_rows_that_come_again_and_other_baselines_are_said() -> None:
    assert not any("row" in text or "baseline" in text for text in _judged(_FIRST).limits)
    assert "2 rows equal to another one" in " ".join(_judged([*_FIRST, *_FIRST]).limits)
    others = [{**row, "metric": "n"} for row in _FIRST[::-1]]
    told = "baselines, the first variant of each metric, differ: a (m), b (n); set --baseline"
    assert told in _judged([*_FIRST, *others]).limits


def test_one_look_that_shows_more_than_all_together_is_no_only_look() -> None:
    first = _look(1, ("a", 1_000, 100), ("b", 1_000, 105))
    found = _judged([*first, *_look(2, ("a", 2_000, 200), ("b", 2_000, 245))])
    [row], [series] = found.rows, found.over_looks
    assert "m: over 2 looks no difference of b from a is shown" in sentence(row, series)
    assert "if this is the only look" in sentence(row)
