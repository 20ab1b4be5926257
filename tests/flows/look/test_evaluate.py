"""Looks at one metric never prove both directions: harm shown before is not undone by a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.verdict import Decision
from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look import evaluate
from flows.look.evaluate import score_experiment
from flows.look.look import score_with_notes
from flows.look.read_evidence import read_evidence
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from flows.warehouse.connection import open_writer
from flows.warehouse.statements import run
from tests.builders.user_specs import Rows, day, spec_of, write_exposures, write_outcomes


def _spec(role: str = "guardrail", **changes: Any) -> Experiment:
    metric: dict[str, Any] = {"kind": "proportion", "outcome": "buy", "window": "1d", "role": role}
    if role == "guardrail":
        metric["margin"] = 0.05
    plan = {"start": day(0).isoformat(), "duration": "14d", "look_every": "1d", "bucket": "1h"}
    return spec_of(
        metrics={"m": metric | changes},
        plan={**plan, "minimum_duration": "1h"},
        split={"a": 50, "b": 50},
    )


def _users(folder: Path, number: int, first: int, last: int, at: float, of_b: int) -> None:
    """Every second user of a buys, and of b so many of ten."""
    exposures: Rows = [(user, "ab"[user % 2], at) for user in range(first, last)]
    bought: Rows = [
        (user, "buy", at + 0.1, 1)
        for user in range(first, last)
        if (user // 2) % 10 < (5 if user % 2 == 0 else of_b)
    ]
    write_exposures(folder, exposures, f"exposures-{number}.csv")
    write_outcomes(folder, bought, f"outcomes-{number}.csv")


def _look(spec: Experiment, folder: Path, at: datetime) -> VerdictDocument:
    warehouse = folder / "w.duckdb"
    pull_users(spec, warehouse, spec_dir=folder, until_ms=milliseconds_of(at))
    return score_experiment(spec, warehouse, at=at)


@pytest.mark.parametrize("role", ["guardrail", "goal"])
def test_harm_that_was_proven_is_not_passed_over_later(tmp_path: Path, role: str) -> None:
    spec = _spec(role)
    _users(tmp_path, 1, 0, 600, 0.1, of_b=1)
    assert _look(spec, tmp_path, day(2)).decision is Decision.ROLLBACK
    _users(tmp_path, 2, 600, 12_600, 3.1, of_b=8)
    found = _look(spec, tmp_path, day(14))
    assert found.decision is Decision.HOLD
    assert "proved harm beyond the margin and this one excludes it" in " ".join(found.reasons)
    # The same look again says the same, and one of another weight; another metric starts anew.
    assert _look(spec, tmp_path, day(14)).reasons == found.reasons
    assert _look(_spec(role, weight=2), tmp_path, day(14)).reasons == found.reasons
    other = _spec(role, window="36h")
    assert _look(other, tmp_path, day(14)).decision is Decision.PROMOTE


def test_harm_that_is_proven_now_counts_whatever_was_shown_before(tmp_path: Path) -> None:
    spec = _spec()
    _users(tmp_path, 1, 0, 2_000, 0.1, of_b=9)
    assert _look(spec, tmp_path, day(2)).decision is Decision.PROMOTE
    _users(tmp_path, 2, 2_000, 22_000, 3.1, of_b=1)
    assert _look(spec, tmp_path, day(14)).decision is Decision.ROLLBACK


def test_one_look_alone_passes(tmp_path: Path) -> None:
    _users(tmp_path, 1, 0, 600, 0.1, of_b=1)
    _users(tmp_path, 2, 600, 12_600, 3.1, of_b=8)
    assert _look(_spec(), tmp_path, day(14)).decision is Decision.PROMOTE


def _harm_is_pulled(folder: Path) -> None:
    _users(folder, 2, 2_000, 22_000, 3.1, of_b=1)
    pull_users(_spec(), folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(day(14)))


def _rate_is_set(folder: Path) -> None:
    with open_writer(folder / "w.duckdb") as con:
        asked = {"experiment": "quiz", "users_per_day": 9e9, "known_until": day(3)}
        run(con, "load/user_rate", **asked)


def _nothing(folder: Path) -> None:
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("change", "times"), [(_nothing, 1), (_harm_is_pulled, 2), (_rate_is_set, 2)]
)
def test_a_verdict_is_of_what_the_writer_finds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    times: int,
) -> None:
    """It is worked out beside other readers; what was written meanwhile is judged, too."""
    _users(tmp_path, 1, 0, 2_000, 0.1, of_b=9)
    spec, warehouse, judged = _spec(), tmp_path / "w.duckdb", []
    pull_users(spec, warehouse, spec_dir=tmp_path, until_ms=milliseconds_of(day(14)))

    def reading(*asked: Any, **named: Any) -> Any:
        judged.append(asked)
        return read_evidence(*asked, **named)

    @contextmanager
    def after_the_change(path: Path) -> Iterator[Any]:
        change(tmp_path)
        with open_writer(path) as con:
            yield con

    monkeypatch.setattr(evaluate, "read_evidence", reading)
    monkeypatch.setattr(evaluate, "open_writer", after_the_change)
    found = score_with_notes(spec, warehouse, spec_dir=tmp_path, at=day(14))
    assert len(judged) == times
    monkeypatch.undo()
    assert score_with_notes(spec, warehouse, spec_dir=tmp_path, at=day(14)) == found
    assert (found.decision is Decision.ROLLBACK) == (change is _harm_is_pulled)
