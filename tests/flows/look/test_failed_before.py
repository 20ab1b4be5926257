"""Harm of users that an earlier look proved stays proven, whatever else of the spec is edited."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analysis.verdict import Decision
from flows.look.look import look_at_experiment
from flows.workspace.paths import Workspace

START = datetime(2026, 3, 1, tzinfo=UTC)
SPEC = """\
experiment: quiz
service: quiz
variants: {a: {}, b: {}}
split: {a: 50, b: 50}
metrics:
  complaints:
    kind: proportion
    outcome: complaint
    window: 1d
    role: guardrail
    better: lower
    margin: 0.13
plan: {start: 2026-03-01T00:00:00Z, duration: 20d, look_every: 1d, bucket: 1h}
sources:
  exposures: {files: exposures*.csv}
  outcomes: {files: outcomes*.csv}
"""
# What is edited after the harm, and whether it is still the same harm of the same.
EDITS = {
    "nothing": ("experiment: quiz", "experiment: quiz", True),
    "a description": ("service: quiz", "service: quiz\ndescription: shorter quizzes", True),
    "a name": ("  complaints:", "  unhappy:", True),
    "a weight": ("    margin: 0.13", "    margin: 0.13\n    weight: 3", True),
    "a second metric": (
        "  complaints:",
        "  done: {kind: proportion, outcome: done, window: 1d, role: info}\n  complaints:",
        True,
    ),
    "looks": ("look_every: 1d", "look_every: 12h", True),
    "the length": ("duration: 20d", "duration: 19d", True),
    "alpha": ("duration: 20d", "duration: 20d, alpha: 0.1", True),
    "the files": ("exposures*.csv", "exposures.csv", True),
    "the margin": ("margin: 0.13", "margin: 0.14", False),
    "the window": ("window: 1d", "window: 2d", False),
    "a variant": ("b: {}}\nsplit", "b: {version: v3}}\nsplit", False),
    "the start": ("2026-03-01T", "2026-03-07T", False),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Complaints of b's users of the first four days are 60 %, all others' 20 %."""
    folder = tmp_path_factory.mktemp("failed-before")
    (folder / "experiments").mkdir()
    rng = np.random.default_rng(7)
    days, is_b = np.sort(rng.uniform(0, 18, 12_000)), rng.random(12_000) < 0.5
    did = rng.random(12_000) < np.where(is_b & (days < 4), 0.6, 0.2)
    at = [f"{START + timedelta(days=float(day)):%Y-%m-%dT%H:%M:%SZ}" for day in days]
    users = pl.DataFrame({"user_id": np.arange(12_000), "variant": np.where(is_b, "b", "a")})
    users.with_columns(exposed_at=pl.Series(at)).write_csv(folder / "experiments/exposures.csv")
    outcomes = users.select("user_id", outcome=pl.lit("complaint"), occurred_at=pl.Series(at))
    outcomes.filter(pl.Series(did)).write_csv(folder / "experiments/outcomes.csv")
    (folder / "experiments/quiz.yaml").write_text(SPEC)
    return folder


@pytest.mark.parametrize(("old", "new", "is_same"), EDITS.values(), ids=EDITS)
def test_an_edit_of_something_else_doesnt_forget_harm(
    root: Path, old: str, new: str, *, is_same: bool
) -> None:
    workspace, path = Workspace(root), root / "experiments" / "quiz.yaml"
    path.write_text(SPEC)
    at = START + timedelta(days=6)
    assert look_at_experiment(workspace, "quiz", at=at).decision is Decision.ROLLBACK
    assert SPEC.count(old) == 1
    path.write_text(SPEC.replace(old, new))
    found = look_at_experiment(workspace, "quiz", at=START + timedelta(days=19, hours=12))
    said = any("proved harm beyond the margin" in reason for reason in found.reasons)
    assert said == is_same, found.reasons
    assert (found.decision is Decision.HOLD) or not is_same
