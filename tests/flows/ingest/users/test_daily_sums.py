"""Sums by day of the first exposure add up to those of all users."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.ingest.users.daily_sums import SumsRow, sum_by_day
from flows.ingest.users.exposed_users import make_users_at
from flows.ingest.users.quantities import cohorts_of
from flows.ingest.users.scales import Scales
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import (
    LOOK,
    Rows,
    day,
    pull,
    spec_of,
    write_exposures,
    write_outcomes,
)

SPEC = spec_of(metrics={"spend": {"kind": "mean", "outcome": "buy", "window": "1d"}})
[COHORT] = cohorts_of(SPEC)


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    exposures: Rows = [(user, "ab"[user % 2], user / 4) for user in range(12)]
    write_exposures(tmp_path, exposures)
    write_outcomes(tmp_path, [(user, "buy", user / 4 + 0.5, user) for user in range(12)])
    pull(SPEC, tmp_path)
    return tmp_path / "w.duckdb"


def _sums(warehouse: Path, days: list[int] | None) -> dict[str, tuple[int, float]]:
    """Users and their total by variant."""
    with open_writer(warehouse) as con:
        make_users_at(con, SPEC, LOOK)
        rows = sum_by_day(
            con,
            SPEC,
            COHORT,
            Scales.unset(COHORT),
            known_until=LOOK,
            splits=(),
            days=None if days is None else [day(number).date() for number in days],
        )
    return {v: _added([row for row in rows if row.variant == v]) for v in "ab"}


def _added(rows: list[SumsRow]) -> tuple[int, float]:
    return sum(row.users for row in rows), sum(float(row.totals[0]) for row in rows)


def test_days_add_up_to_all_users(warehouse: Path) -> None:
    assert _sums(warehouse, None) == {"a": (6, 30.0), "b": (6, 36.0)}
    assert _sums(warehouse, [0, 1, 2]) == _sums(warehouse, None)
    first, rest = _sums(warehouse, [0]), _sums(warehouse, [1, 2])
    assert (first["a"], first["b"]) == ((2, 2.0), (2, 4.0))
    assert (rest["a"], rest["b"]) == ((4, 28.0), (4, 32.0))


def test_of_no_day_nothing_is_read(warehouse: Path) -> None:
    assert _sums(warehouse, []) == {"a": (0, 0), "b": (0, 0)}
