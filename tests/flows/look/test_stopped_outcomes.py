"""Harm isn't hidden by an outcome that is no longer seen, of all users or of one variant's only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.builders.complaints import KINDS, METRIC, chance, complaints, later, look
from tests.builders.user_formats import Row


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
def test_an_outcome_that_is_no_longer_seen_hides_no_harm(
    tmp_path: Path, kind: str, better: str
) -> None:
    """Those who came since then dilute it: half of them halve it."""
    rows = [row for row in complaints(share_of_b=0.1) if row["user_id"] <= 1000]
    document = look(tmp_path, rows, {**KINDS[kind], "better": better})
    assert document.decision.value == "hold"
    (reason,) = document.reasons
    assert "there is no outcome 'complaint' after 2026-01-04 12:50 UTC, where 95 " in reason
    assert "of 2,000 users who came later: has its source stopped?" in reason


def test_an_outcome_that_the_last_users_have_not_is_no_obstacle(tmp_path: Path) -> None:
    rows = [row for row in complaints(share_of_b=0.1) if row["user_id"] <= 1850]
    assert look(tmp_path, rows).decision.value == "promote"


# The variant whose outcomes are lost flatters the candidate, which has twice as many, or half.
FLATTERED: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    "less is better": ("b", {"better": "lower"}, {"share_of_a": 0.1, "share_of_b": 0.2}),
    "more is better": ("a", {"better": "higher"}, {"share_of_a": 0.2, "share_of_b": 0.1}),
}
# What becomes of a row of those who came after half of the time.
STOPS: dict[str, tuple[Callable[[Row], dict[str, Any] | None], str]] = {
    "nothing": (lambda row: None, "there is no outcome 'complaint' of {v}'s users after"),
    "rows of others": (
        lambda row: {"user_id": row["user_id"] + 1_000_000},
        "there is no outcome 'complaint' of {v}'s users after",
    ),
    "zeros": (lambda row: {"value": 0}, "there is no outcome 'complaint' of {v}'s users after"),
    "past the window": (later(days=3), "there is no outcome 'complaint' of {v}'s users after"),
    "some": (
        lambda row: {} if chance(row["user_id"], "is kept") < 0.08 else None,
        "users who came since 2026-01-0",
    ),
}


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("flattered", FLATTERED)
@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
def test_an_outcome_that_stops_for_one_variant_flatters_nobody(
    tmp_path: Path, kind: str, flattered: str, stop: str
) -> None:
    variant, better, shares = FLATTERED[flattered]
    change, said = STOPS[stop]
    rows = []
    for row in complaints(**shares):
        is_mine = row["user_id"] % 2 == (variant == "a")
        changed = change(row) if is_mine and row["user_id"] > 1000 else {}
        rows += [] if changed is None else [row | changed]
    metric = KINDS[kind] | better | {"margin": 1.6 * KINDS[kind]["margin"]}
    document = look(tmp_path, rows, metric)
    assert document.decision.value == "hold"
    reason = " ".join(document.reasons)
    assert said.format(v=variant) in reason
    assert "were expected" in reason


@pytest.mark.parametrize("flattered", FLATTERED)
@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
def test_days_of_which_one_variant_has_no_outcomes_flatter_nobody(
    tmp_path: Path, kind: str, flattered: str
) -> None:
    """Of every second day its file of outcomes is missing: that makes harm a half of what it is."""
    variant, better, _ = FLATTERED[flattered]
    rows = [
        row
        for row in complaints(share_of_a=0.3, share_of_b=0.3)
        if row["user_id"] % 2 != (variant == "a") or row["user_id"] // 288 % 2 == 0
    ]
    document = look(tmp_path, rows, KINDS[kind] | better)
    assert document.decision.value == "hold"
    assert f"of {variant}'s" in document.reasons[0]
    assert "days, such as 2026-01-0" in document.reasons[0]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.15])
def test_a_variant_that_has_fewer_on_all_days_lacks_none(tmp_path: Path, share: float) -> None:
    rows = complaints(share_of_a=0.4, share_of_b=share)
    document = look(tmp_path, rows, {**METRIC, "margin": 0.05})
    assert "days, such as" not in " ".join(document.reasons)
    assert share < 0.1 or document.decision.value == "promote"


@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
def test_fewer_of_both_since_a_day_are_no_stop(tmp_path: Path, kind: str) -> None:
    """A week of holidays."""
    rows = [
        row
        for row in complaints(share_of_a=0.3, share_of_b=0.3)
        if row["user_id"] <= 1000 or chance(row["user_id"], "is kept") < 0.15
    ]
    metric = {**KINDS[kind], "margin": 0.1} if kind == "proportion" else KINDS[kind]
    assert look(tmp_path, rows, metric).decision.value == "promote"


def test_a_user_with_very_many_outcomes_is_one_user(tmp_path: Path) -> None:
    """Of the 20 who complained, one did it 2,000 times, long before the last of b's users came."""
    rows = [row for row in complaints(share_of_a=0.01, share_of_b=0.01) if row["user_id"] <= 1500]
    often = [
        row | {"occurred_at": row["occurred_at"] + timedelta(seconds=n)}
        for n in range(2000)
        for row in rows[:1]
    ]
    assert look(tmp_path, [*rows, *often]).decision.value == "promote"


def test_a_candidate_that_is_far_better_throughout_has_not_stopped(tmp_path: Path) -> None:
    rows = complaints(share_of_a=0.3, share_of_b=0.09)
    assert look(tmp_path, rows, METRIC).decision.value == "promote"
