"""Amounts of one variant in another unit make no candidate look better."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from flows.spec.experiment import Experiment
from tests.builders.complaints import METRIC, USERS, chance, complaints, look, written
from tests.builders.user_formats import CSV, Row
from tests.builders.user_specs import LOOK

SPREAD = 1.0
KINDS: dict[str, dict[str, Any]] = {
    "mean": {"kind": "mean", "margin": 2},
    "quantile": {"kind": "quantile", "quantile": 0.8, "margin": 6},
    "ratio": {"kind": "ratio", "per": "order", "margin": 2},
}


def amounts(factor: float, *, part: float = 1.0, share_of_b: float = 0.3) -> list[dict[str, Any]]:
    """Log-normal amounts around 10; factor: of a part of b's."""
    rng = np.random.default_rng(1)
    found = []
    for row in complaints(share_of_b=share_of_b, share_of_a=0.3):
        is_other = row["user_id"] % 2 == 0 and chance(row["user_id"], "unit") < part
        value = float(rng.lognormal(np.log(10), SPREAD)) * (factor if is_other else 1)
        found.append({**row, "value": value})
    return found


def with_orders(rows: list[Row]) -> list[dict[str, Any]]:
    return [*map(dict, rows), *({**row, "outcome": "order", "value": 1} for row in rows)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("better", "factor", "part"),
    [
        ("lower", 0.01, 1),
        ("lower", 0.01, 0.3),
        ("lower", 1 / 3600, 1),
        ("higher", 100, 1),
        ("higher", 100, 0.3),
    ],
)
def test_amounts_in_another_unit_are_no_gain(
    tmp_path: Path, kind: str, better: str, factor: float, part: float
) -> None:
    harmed = 0.35 if better == "lower" else 0.25
    rows = with_orders(list(amounts(factor, part=part, share_of_b=harmed)))
    document = look(tmp_path, rows, {**METRIC, **KINDS[kind], "better": better})
    assert document.decision.value == "hold", document.reasons
    # A part of the amounts leaves a quantile, and a ratio's bounds, where they are.
    is_named = part == 1 or kind == "mean"
    assert not is_named or "are they in another unit?" in document.reasons[0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("better", "factor"), [("lower", 0.7), ("lower", 1), ("higher", 1.4)])
def test_a_change_of_amounts_is_no_other_unit(
    tmp_path: Path, kind: str, better: str, factor: float
) -> None:
    document = look(
        tmp_path,
        with_orders(list(amounts(factor))),
        {**METRIC, **KINDS[kind], "better": better, "margin": 8},
    )
    assert document.decision.value == "promote", document.reasons


def test_counts_have_no_unit(tmp_path: Path) -> None:
    document = look(tmp_path, amounts(0.01), {**METRIC, "kind": "count", "margin": 0.2})
    assert document.decision.value == "promote", document.reasons


@pytest.mark.parametrize("before", [None, "proportion", "count"])
@pytest.mark.parametrize("kind", ["mean", "quantile"])
def test_rows_without_a_column_of_amounts_have_none(
    tmp_path: Path, kind: str, before: str | None
) -> None:
    """A column of another name (`amount`) was passed over, and each row counted as 1.

    before: the metric by which the same rows were read first.
    """
    renamed = {"value": "amount"}
    rows = [{renamed.get(k, k): v for k, v in row.items()} for row in amounts(1)]
    if before is not None:
        assert "no value" not in str(look(tmp_path, rows, {**METRIC, "kind": before}))
    metric = {**METRIC, **KINDS[kind]}
    document = look(tmp_path, rows, metric)
    assert document.decision.value == "invalid"
    assert "have no value (limit 10%)" in document.reasons[0]
    sources = written(METRIC)["sources"]
    sources["outcomes"]["columns"] = renamed
    assert "no value" not in str(look(tmp_path, rows, metric, sources=sources).reasons)


@pytest.mark.parametrize("kind", ["proportion", "count", "ratio"])
def test_rows_without_a_column_of_amounts_are_counted(tmp_path: Path, kind: str) -> None:
    rows = [{k: v for k, v in row.items() if k != "value"} for row in with_orders([*amounts(1)])]
    document = look(tmp_path, rows, {**METRIC, "kind": kind} | KINDS.get(kind, {}))
    assert not any("no value" in check.detail for check in document.quality)


def test_a_row_per_user_in_another_unit_is_no_gain(tmp_path: Path) -> None:
    value = {row["user_id"]: row["value"] for row in amounts(0.01, share_of_b=0.4)}
    rows = [
        {
            "user_id": user,
            "variant": "a" if user % 2 else "b",
            "at": "2026-01-02T00:00:00Z",
            "complaint": value.get(user, 0),
        }
        for user in USERS
    ]
    assert _table(tmp_path, rows).reasons[0].endswith("or approve the metric")


def _table(folder: Path, rows: list[dict[str, Any]]) -> VerdictDocument:
    CSV(folder, "users", rows)
    source = {"files": "users*", "at": "at", "outcomes": {"complaint": "complaint"}}
    metric = {**METRIC, "kind": "mean", "margin": 2}
    spec = Experiment.model_validate(written(metric) | {"sources": {"users": source}})
    pull_users(spec, folder / "w.duckdb", spec_dir=folder, until_ms=milliseconds_of(LOOK))
    document = score_experiment(spec, folder / "w.duckdb", at=LOOK)
    assert document.decision.value == "hold"
    return document
