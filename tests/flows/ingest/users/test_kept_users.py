"""Kept users are those of one time, and of one set of variants and segments."""

from __future__ import annotations

from pathlib import Path

from flows.ingest.users.kept_users import asked_of, is_kept_at
from flows.warehouse.connection import open_writer
from tests.builders.user_specs import (
    LOOK,
    day,
    pull,
    read,
    rows_of,
    spec_of,
    write_exposures,
    write_outcomes,
)

KEPT = "select user_id, variant from exposed_users order by all"


def test_users_are_kept_as_of_the_pull_only(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0)])
    write_outcomes(tmp_path, [])
    pull(spec_of(), tmp_path)
    with open_writer(tmp_path / "w.duckdb") as con:
        assert is_kept_at(con, spec_of(), LOOK)
        assert not is_kept_at(con, spec_of(), day(20))
        assert not is_kept_at(con, spec_of(variants={"a": {}, "c": {}}), LOOK)
        assert not is_kept_at(con, spec_of(experiment="other"), LOOK)


def test_new_files_add_users_and_mix_those_that_were_in_another_variant(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0), (2, "b", 0)])
    write_outcomes(tmp_path, [])
    pull(spec_of(), tmp_path)
    write_exposures(tmp_path, [(1, "b", 3), (3, "b", 3)], "exposures-2.csv")
    pull(spec_of(), tmp_path)
    assert rows_of(tmp_path, KEPT) == [("1", None), ("2", "b"), ("3", "b")]
    assert read(spec_of(), tmp_path).mixed == 1


def test_another_set_of_variants_makes_them_anew(tmp_path: Path) -> None:
    write_exposures(tmp_path, [(1, "a", 0), (2, "b", 0), (3, "c", 0)])
    write_outcomes(tmp_path, [])
    pull(spec_of(), tmp_path)
    assert rows_of(tmp_path, KEPT) == [("1", "a"), ("2", "b")]
    pull(spec_of(variants={"a": {}, "c": {}}), tmp_path)
    assert rows_of(tmp_path, KEPT) == [("1", "a"), ("3", "c")]


def test_the_order_of_variants_is_no_other_set() -> None:
    assert asked_of(spec_of(variants={"b": {}, "a": {}})) == asked_of(spec_of())
