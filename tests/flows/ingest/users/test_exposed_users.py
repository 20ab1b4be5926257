"""Who counts as exposed, to which variant, and since when."""

from __future__ import annotations

from pathlib import Path

from tests.builders.user_specs import Rows, sample_in, seen


def test_first_exposure_wins(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 10), (1, "a", 2), (1, "a", 5)]
    found = seen(tmp_path, exposures, [(1, "purchase", 3, 1), (1, "purchase", 9.5, 1)])
    assert sample_in(found.samples, "spend", "a").mean == 1.0
    assert found.exposed == {"a": 1, "b": 0}


def test_user_in_two_variants_is_counted_and_left_out(tmp_path: Path) -> None:
    exposures: Rows = [(1, "a", 0), (1, "b", 3), (2, "a", 0), (3, "b", 0)]
    found = seen(tmp_path, exposures, [(1, "purchase", 1, 1)])
    assert found.mixed == 1
    assert found.exposed == {"a": 1, "b": 1}
    assert sample_in(found.samples, "bought", "a").mean == 0.0


def test_user_is_mixed_only_from_the_second_variant_on(tmp_path: Path) -> None:
    found = seen(tmp_path, [(1, "a", 0), (1, "b", 30)], [], at=20)
    assert (found.mixed, found.exposed["a"]) == (0, 1)
