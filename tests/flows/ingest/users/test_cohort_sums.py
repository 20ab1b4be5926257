"""Sums of days are added up: over days, over splits, in one order."""

from __future__ import annotations

import random

from flows.ingest.users.cohort_sums import add_days
from flows.ingest.users.daily_sums import SumsRow
from flows.ingest.users.quantities import cohorts_of
from flows.ingest.users.scales import Scales
from tests.builders.user_specs import day, spec_of

SPEND = {"spend": {"kind": "mean", "outcome": "buy", "window": "1d"}}
[COHORT] = cohorts_of(spec_of(metrics=SPEND))
SCALES = Scales([10.0], [None])


def _row(on: float, users: int, total: float, *, split: int = 0, segment: str = "") -> SumsRow:
    dimension = "country" if segment else ""
    maxima = () if segment else (total,)
    totals, products = (total,), (total * total,)
    return SumsRow(day(on).date(), split, "a", dimension, segment, users, totals, products, maxima)


def test_days_are_added_per_part_of_the_users() -> None:
    found = add_days(
        [_row(0, 2, 3.0), _row(1, 3, -1.0), _row(0, 1, 3.0, segment="ke")], COHORT, SCALES
    )
    whole = found.whole["a", "", ""]
    assert (float(whole.n), whole.total.tolist(), whole.products.tolist()) == (5.0, [2.0], [[10.0]])
    assert float(found.whole["a", "country", "ke"].n) == 1.0


def test_splits_stand_apart_and_together() -> None:
    found = add_days([_row(0, 2, 3.0), _row(0, 3, 1.0, split=1)], COHORT, SCALES)
    assert {split: float(parts["a", "", ""].n) for split, parts in found.by_split.items()} == {
        0: 2.0,
        1: 3.0,
    }
    assert float(found.whole["a", "", ""].n) == 5.0


def test_the_largest_value_is_that_of_all_days_with_its_shift() -> None:
    found = add_days([_row(0, 2, 3.0), _row(1, 3, -1.0)], COHORT, SCALES)
    assert found.largest == {"a": {0: 13.0}}


def test_the_order_of_rows_does_not_show_in_the_last_digit() -> None:
    rows = [_row(n, 1, 0.1 * 3**n) for n in range(30)]
    first = add_days(rows, COHORT, SCALES).whole["a", "", ""]
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        again = add_days(rows, COHORT, SCALES).whole["a", "", ""]
        assert again.total.tolist() == first.total.tolist()
        assert again.products.tolist() == first.products.tolist()


def test_no_day_is_nobody() -> None:
    found = add_days([], COHORT, SCALES)
    assert (dict(found.whole), dict(found.by_split), dict(found.largest)) == ({}, {}, {})
