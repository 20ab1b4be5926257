"""Sums over users, as another warehouse would make them, and specs that name them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flows.look.look import score_with_notes
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.user_specs import LOOK, START, pull, spec_of

PAID = {"kind": "proportion", "outcome": "paid", "role": "guardrail", "margin": 0.05}
SPENT = {"kind": "mean", "outcome": "spent", "role": "guardrail", "margin": 0.5}
PLAN = {"start": START, "duration": "14d", "look_every": "1d", "bucket": "1h"}
Row = Mapping[str, Any]


def paid(variant: str, count: float, n: float = 1000, **more: Any) -> dict[str, Any]:
    """Of n users so many paid."""
    return {"metric": "paid", "variant": variant, "type": "proportion", "n": n, "sum": count} | more


def spent(variant: str, mean: float, n: float = 1000, **more: Any) -> dict[str, Any]:
    """n users spent so much on average, with a variance of 4."""
    squares = n * (mean**2 + 4)
    numbers = {"n": n, "sum": n * mean, "sum_squares": squares}
    return {"metric": "spent", "variant": variant, "type": "mean", **numbers, **more}


HEALTHY = [paid("a", 500), paid("b", 505), spent("a", 10), spent("b", 10.1)]


def sums_spec(source: Mapping[str, Any] | None = None, **changes: Any) -> Experiment:
    """An experiment whose users are sums in files that begin with sums."""
    fields: dict[str, Any] = {
        "split": {"a": 50, "b": 50},
        "metrics": {"paid": PAID, "spent": SPENT},
        "plan": PLAN,
    }
    return spec_of({"users": {"aggregates": "sums*"} | dict(source or {})}, **(fields | changes))


def write_sums(folder: Path, rows: Sequence[Row], name: str = "sums.json") -> None:
    """A JSON file of rows."""
    (folder / name).write_text(json.dumps(rows))


def judge_sums(
    folder: Path, rows: Sequence[Row], spec: Experiment | None = None, at: Any = LOOK
) -> VerdictDocument:
    """The verdict on these rows, by the code that a gate runs."""
    write_sums(folder, rows)
    return look_again(folder, spec or sums_spec(), at)


def look_again(folder: Path, spec: Experiment, at: Any = LOOK) -> VerdictDocument:
    """Pulls and judges."""
    pull(spec, folder)
    return score_with_notes(spec, folder / "w.duckdb", spec_dir=folder, at=at)
