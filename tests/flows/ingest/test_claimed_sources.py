"""Sources are claimed: the first time anew, later where they are, the known end never back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from flows.ingest.claimed_sources import ClaimedSource, claim_sources
from flows.warehouse.connection import open_writer, transaction

_EARLY, _LATE = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)


def test_a_known_source_is_changed_and_a_new_one_added(tmp_path: Path) -> None:
    loads = (
        (_LATE, [ClaimedSource("outcomes", True, 5, 1, "a")]),
        (
            _EARLY,
            [
                ClaimedSource("exposures", True, 7, 2, "e"),
                ClaimedSource("outcomes", False, 6, 2, "b"),
            ],
        ),
        (_LATE, [ClaimedSource("outcomes", True, 6, 3, "b")]),
    )
    with open_writer(tmp_path / "w.duckdb") as con:
        for until, claimed in loads:
            with transaction(con):
                claim_sources(con, "quiz", until, claimed)
        rows = con.execute(
            "select source, window_end, generation, row_count, targets_up, selection from pulls "
            "order by source"
        ).fetchall()
    assert rows == [("exposures", _EARLY, 1, 7, 2, "e"), ("outcomes", _LATE, 2, 6, 3, "b")]
