"""Outcomes that were read once and aren't in the source any more: no candidate is promoted."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.sources import FileSource
from tests.builders.user_formats import CSV, Row, exposures, outcomes
from tests.builders.user_specs import LOOK, pull
from tests.flows.ingest.users.test_read_outcome_reach import LESS, spec_for

ALL: list[Row] = [*outcomes()]
# What is written in the place of all outcomes, and whether harm may be among what is gone.
ANEW: dict[str, tuple[list[Row], bool]] = {
    "cut in half": (ALL[: len(ALL) // 2], True),
    "every third user's": ([row for row in ALL if int(row["user_id"]) // 2 % 3], True),
    "those of b": ([row for row in ALL if int(row["user_id"]) % 2], True),
    "a few corrected": (ALL[len(ALL) // 50 :], False),
    "in another order": (ALL[::-1], False),
    "some came": ([*ALL, {**ALL[0], "outcome": "visit"}], False),
}


def _look(folder: Path, *written: list[Row]) -> VerdictDocument:
    """The verdict after pulls of these outcomes, one in the place of the other."""
    CSV(folder, "exposures", exposures())
    spec = spec_for(LESS)
    for rows in written:
        CSV(folder, "outcomes", rows)
        pull(spec, folder)
    return score_experiment(spec, folder / "w.duckdb", at=LOOK)


@pytest.mark.parametrize("name", ANEW)
def test_what_is_gone_may_be_harm(tmp_path: Path, name: str) -> None:
    rows, may_hide = ANEW[name]
    document = _look(tmp_path, ALL, rows)
    assert document.decision.value == ("hold" if may_hide else "promote")
    assert ("are no longer in the source" in " ".join(document.reasons)) is may_hide


@pytest.mark.parametrize("name", ANEW)
def test_what_is_there_again_is_no_doubt(tmp_path: Path, name: str) -> None:
    assert _look(tmp_path, ALL, ANEW[name][0], ALL).decision.value == "promote"


def test_rows_that_are_read_in_another_way_are_not_gone(tmp_path: Path) -> None:
    """A spec is corrected: from now on times are those of another column."""
    CSV(tmp_path, "exposures", exposures())
    late = [{**row, "seen_at": row["occurred_at"] + timedelta(minutes=1)} for row in ALL]
    CSV(tmp_path, "outcomes", late)
    pull(spec_for(LESS), tmp_path)
    spec = spec_for(LESS)
    outcomes_of = spec.sources.outcomes
    assert isinstance(outcomes_of, FileSource)
    seen = outcomes_of.model_copy(update={"columns": {"at": "seen_at"}})
    sources = spec.sources.model_copy(update={"outcomes": seen})
    spec = spec.model_copy(update={"sources": sources})
    pull(spec, tmp_path)
    document = score_experiment(spec, tmp_path / "w.duckdb", at=LOOK)
    assert "are no longer in the source" not in " ".join(document.reasons)
