"""Under which of the plan's splits a user was first exposed."""

from __future__ import annotations

from datetime import timedelta, timezone

import duckdb
import pytest

from flows.ingest.users.plan_splits import begun, split_number, split_starts
from flows.plan.from_spec import plan_of
from tests.builders.user_specs import day, spec_of

STARTS = [day(1), day(2)]
RAMP = {
    "start": day(0).isoformat(),
    "stages": [
        {"duration": "24h", "weights": {"a": 90, "b": 10}},
        {"duration": "24h", "weights": {"a": 90, "b": 10}},
        {"duration": "24h", "weights": {"a": 50, "b": 50}},
    ],
}


@pytest.mark.parametrize(("at", "number"), [(0, 0), (0.999, 0), (1, 1), (1.5, 1), (2, 2), (9, 2)])
def test_the_number_counts_the_splits_before(at: float, number: int) -> None:
    with duckdb.connect() as con:
        con.execute("set timezone = 'UTC'")
        expression = split_number(STARTS, "exposed_at")
        row = con.execute(f"select {expression} from (select $at as exposed_at)", {"at": day(at)})
        assert row.fetchone() == (number,)


def test_the_zone_of_a_start_does_not_matter() -> None:
    elsewhere = [start.astimezone(timezone(timedelta(hours=3))) for start in STARTS]
    assert split_number(elsewhere, "x") == split_number(STARTS, "x")


def test_without_other_splits_everybody_is_under_the_first() -> None:
    with duckdb.connect() as con:
        assert con.execute(f"select {split_number([], 'x')}").fetchone() == (0,)


def test_a_split_has_begun_at_its_start() -> None:
    assert begun(STARTS, day(0.5)) == []
    assert begun(STARTS, day(1)) == STARTS[:1]
    assert begun(STARTS, day(5)) == STARTS


def test_stages_with_the_same_weights_are_one_split() -> None:
    plan = plan_of(spec_of(plan=RAMP), start_ms=round(day(0).timestamp() * 1000))
    assert list(split_starts(plan)) == [day(2)]
