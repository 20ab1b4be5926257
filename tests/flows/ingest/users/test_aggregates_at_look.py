"""What sums by day tell at a look: days that lack an outcome, or earlier ones, hide no harm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.builders.user_sums import PAID, SPENT, judge_sums, paid, sums_spec


def sums_of_day(variant: str, count: float, day: int, **more: Any) -> dict[str, Any]:
    """Of 1,000 users so many paid, half of them 2 and half of them 6."""
    squares = {"sum": 4 * count, "sum_squares": 20 * count}
    return paid(variant, count, day=f"2026-01-{day:02}") | {"type": "mean"} | squares | more


def share_of_day(variant: str, count: float, day: int) -> dict[str, Any]:
    return paid(variant, count, day=f"2026-01-{day:02}")


def ratio_of_day(variant: str, count: float, day: int) -> dict[str, Any]:
    """Per visit, of which each user has two."""
    visits = {"denominator_sum": 2000, "denominator_sum_squares": 4000}
    return sums_of_day(variant, count, day, type="ratio", denominator_product=8 * count, **visits)


KINDS_BY_DAY: dict[str, tuple[dict[str, Any], Callable[[str, float, int], dict[str, Any]]]] = {
    "proportion": (PAID | {"window": "1d", "margin": 0.1}, share_of_day),
    "mean": (SPENT | {"outcome": "paid", "window": "1d"}, sums_of_day),
    "ratio": (
        SPENT | {"kind": "ratio", "per": "visit", "outcome": "paid", "window": "1d"},
        ratio_of_day,
    ),
}


@pytest.mark.parametrize(("last", "decision"), [(6, "hold"), (11, "promote"), (12, "promote")])
def test_a_share_of_which_no_day_has_any_more_is_not_promoted(
    tmp_path: Path, last: int, decision: str
) -> None:
    """Days of users without it dilute whatever harm there was."""
    days = [
        paid(v, 500 * (d <= last), 1000, day=f"2026-01-{d:02}") for d in range(1, 13) for v in "ab"
    ]
    spec = sums_spec({"by_day": True}, metrics={"paid": PAID | {"window": "1d"}})
    document = judge_sums(tmp_path, days, spec)
    assert document.decision.value == decision
    stopped = "there is no outcome 'paid' after 2026-01-07 00:00 UTC, where 6,000 were expected of"
    assert (stopped in " ".join(document.reasons)) == (decision == "hold")


@pytest.mark.parametrize("share_kept", [0.0, 0.1])
@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize("kind", ["proportion", "mean", "ratio"])
def test_sums_of_one_variant_that_stop_flatter_nobody(
    tmp_path: Path, kind: str, better: str, share_kept: float
) -> None:
    """Half of one's users have some until the sixth of twelve days, a quarter of the other's."""
    metric, row = KINDS_BY_DAY[kind]
    stops, goes_on = ("a", "b") if better == "higher" else ("b", "a")
    days = [row(goes_on, 250, day) for day in range(1, 13)]
    days += [row(stops, 500 if day <= 6 else 500 * share_kept, day) for day in range(1, 13)]
    spec = sums_spec({"by_day": True}, metrics={"paid": {**metric, "better": better}})
    document = judge_sums(tmp_path, days, spec)
    assert document.decision.value == "hold"
    reason = " ".join(document.reasons)
    if share_kept:
        assert f"of {stops}'s 6,000 users who came since 2026-01-07" in reason
    else:
        assert f"no outcome 'paid' of {stops}'s users after 2026-01-07 00:00 UTC, where " in reason
    assert "were expected" in reason


@pytest.mark.parametrize("kind", ["proportion", "mean", "ratio"])
def test_harm_of_the_last_days_is_not_diluted_by_those_before(tmp_path: Path, kind: str) -> None:
    metric, row = KINDS_BY_DAY[kind]
    days = [row("a", 100, day) for day in range(1, 13)]
    days += [row("b", 100 if day <= 9 else 400, day) for day in range(1, 13)]
    spec = sums_spec({"by_day": True}, metrics={"paid": {**metric, "better": "lower"}})
    document = judge_sums(tmp_path, days, spec)
    assert document.decision.value == "hold"
    reason = " ".join(document.reasons)
    assert "harm is beyond the margin among the users who came since 2026-01-10: b has" in reason
