"""Harm of the users who came lately isn't diluted by those who came before: it is no promote."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.builders.complaints import KINDS, METRIC, USERS, chance, complaints, look
from tests.builders.user_specs import START, day

WIDE = {
    kind: {**KINDS[kind], "margin": 3.2 * KINDS[kind]["margin"]} for kind in KINDS if kind != "goal"
}
# What of a and of b does it, and of b's last quarter of the users.
COURSES: dict[str, tuple[float, float, float]] = {
    "lower": (0.1, 0.1, 0.4),
    "higher": (0.5, 0.5, 0.2),
}


def course(a: float, b: float, of_late: float, since: int = 1500) -> list[dict[str, Any]]:
    early = complaints(share_of_a=a, share_of_b=b)
    late = complaints(share_of_a=a, share_of_b=of_late)
    rows = [row for row in early if row["user_id"] <= since]
    return [*rows, *(row for row in late if row["user_id"] > since)]


@pytest.mark.parametrize("better", COURSES)
@pytest.mark.parametrize("kind", WIDE)
def test_harm_that_began_late_is_no_promote(tmp_path: Path, kind: str, better: str) -> None:
    document = look(tmp_path, course(*COURSES[better]), WIDE[kind] | {"better": better})
    assert document.decision.value == "hold"
    reason = " ".join(document.reasons)
    assert "harm is beyond the margin among the users who came since 2026-01-0" in reason
    assert "of those before" in reason


def test_harm_that_began_late_is_no_promote_in_a_ramp(tmp_path: Path) -> None:
    stages = [
        {"duration": "3d", "weights": {"a": 60, "b": 40}},
        {"duration": "11d", "weights": {"a": 50, "b": 50}},
    ]
    plan = {"start": START.isoformat(), "stages": stages, "look_every": "1d", "bucket": "1h"}
    users = [
        user for user in range(1, 2001) if user % 2 or user > 860 or chance(user, "is b") < 2 / 3
    ]
    rows = [row for row in course(*COURSES["lower"]) if row["user_id"] in set(users)]
    document = look(tmp_path, rows, WIDE["proportion"], users=users, plan=plan, split=None)
    assert document.decision.value == "hold"
    assert "users who came since 2026-01-0" in " ".join(document.reasons)


LOAD_TIME = {
    "kind": "quantile",
    "quantile": 0.8,
    "outcome": "loading",
    "better": "lower",
    "window": "1d",
    "role": "guardrail",
    "margin": {"absolute": 3},
}


@pytest.mark.parametrize(
    ("b", "of_late", "decision"), [(1.0, 1.0, "promote"), (1.0, 1.4, "hold"), (0.8, 1.4, "hold")]
)
def test_a_quantile_that_rose_lately_is_no_promote(
    tmp_path: Path, b: float, of_late: float, decision: str
) -> None:
    took = {
        user: (10 + 10 * chance(user, "loads"))
        * (1 if user % 2 else b if user <= 1500 else of_late)
        for user in USERS
    }
    rows = [
        {
            "user_id": user,
            "outcome": "loading",
            "occurred_at": day(0) + timedelta(minutes=5 * user + 90),
            "value": value,
            "experiment": "quiz",
        }
        for user, value in took.items()
    ]
    document = look(tmp_path, rows, LOAD_TIME)
    assert document.decision.value == decision, document.reasons
    if decision == "hold":
        since = day(6)
        late = [user for user in USERS if day(0) + timedelta(minutes=5 * user) >= since]
        before = range(1, late[0])
        values = (
            np.quantile(
                [took[user] for user in users if user % 2 == odd], 0.8, method="inverted_cdf"
            )
            for users in (late, before)
            for odd in (0, 1)
        )
        own, base, own_before, base_before = (f"{value:,.4g}" for value in values)
        assert (
            f"users who came since {since.date()}: b has {own}, a {base}; of those before "
            f"{own_before} and {base_before}"
        ) in " ".join(document.reasons)


def test_a_gain_that_has_turned_to_harm_is_no_promote(tmp_path: Path) -> None:
    document = look(tmp_path, course(0.3, 0.05, 0.5), KINDS["goal"])
    assert document.decision.value == "hold"
    assert "there is harm among the users who came since 2026-01-0" in " ".join(document.reasons)


@pytest.mark.parametrize(
    ("a", "b", "of_late"), [(0.1, 0.1, 0.1), (0.1, 0.15, 0.15), (0.1, 0.3, 0.1), (0.1, 0.1, 0.18)]
)
def test_harm_that_is_the_same_or_less_or_within_the_margin_is_no_obstacle(
    tmp_path: Path, a: float, b: float, of_late: float
) -> None:
    since = 300 if of_late < b else 1500
    document = look(tmp_path, course(a, b, of_late, since), WIDE["proportion"])
    assert document.decision.value == "promote", document.reasons


def test_an_outcome_that_rises_for_both_is_no_harm(tmp_path: Path) -> None:
    rows = [row for row in complaints(0.1, 0.1) if row["user_id"] <= 1500]
    rows += [row for row in complaints(0.5, 0.5) if row["user_id"] > 1500]
    assert look(tmp_path, rows, {**METRIC, "margin": 0.15}).decision.value == "promote"
