"""Outcomes whose times are cut, of another zone, or lost by the hour hide no harm.

2,000 users come every 4 minutes and 11.337 seconds; 10 % of a and as many of b as asked complain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.formats.time import milliseconds_of
from flows.ingest.users.pull_users import pull_users
from flows.look.evaluate import score_experiment
from flows.look.verdict_document import VerdictDocument
from tests.builders.complaints import KINDS, METRIC, USERS, chance, spec_for
from tests.builders.user_formats import CSV
from tests.builders.user_specs import LOOK, day

Times = Callable[[datetime], datetime]
Lag = Callable[[int], float]


def exposed_at(user: int) -> datetime:
    return day(0) + timedelta(seconds=251.337 * user)


def at_once(user: int) -> float:
    """Three of ten within half a second, the others within 22 hours."""
    return 0.4 if chance(user, "at once") < 0.3 else 80_000 * chance(user, "lag")


def soon(user: int) -> float:
    """Half of them within an hour."""
    return 5000 * math.pow(chance(user, "lag"), 1.5) + 1


def at_any_time(user: int) -> float:
    return 80_000 * chance(user, "lag")


def cut_to(seconds: int) -> Times:
    return lambda at: at - (at - day(0)) % timedelta(seconds=seconds)


def same(at: datetime) -> datetime:
    return at


def earlier(**by: float) -> Times:
    return lambda at: at - timedelta(**by)


def look(
    folder: Path,
    lag: Lag,
    *,
    share_of_b: float = 0.1,
    share_of_a: float = 0.1,
    outcomes: Times = same,
    exposures: Times = same,
    is_lost: Callable[[int, datetime], bool] = lambda user, at: False,
    before: Lag | None = None,
    metric: dict[str, Any] = METRIC,
) -> VerdictDocument:
    """The verdict, and before: how long before their exposure a tenth of all had complained."""
    did = [u for u in USERS if chance(u, "complains") < (share_of_a if u % 2 else share_of_b)]
    times = [(user, exposed_at(user) + timedelta(seconds=lag(user))) for user in did]
    if before is not None:
        past = [user for user in USERS if chance(user, "before") < 0.1]
        times += [(user, exposed_at(user) - timedelta(seconds=before(user))) for user in past]
    rows = [
        {"user_id": user, "outcome": "complaint", "occurred_at": outcomes(at).isoformat()}
        for user, at in times
        if not is_lost(user, at)
    ]
    users = [
        {
            "user_id": user,
            "variant": "a" if user % 2 else "b",
            "exposed_at": exposures(exposed_at(user)).isoformat(),
        }
        for user in USERS
    ]
    CSV(folder, "exposures", users)
    CSV(folder, "outcomes", [row | {"value": 1} for row in rows])
    spec, warehouse = spec_for(metric), folder / "w.duckdb"
    pull_users(spec, warehouse, spec_dir=folder, until_ms=milliseconds_of(LOOK))
    document = score_experiment(spec, warehouse, at=LOOK)
    # What a pull has kept is what a look reads from the rows.
    afresh = score_experiment(spec, warehouse, at=LOOK + timedelta(days=1))
    assert afresh.decision == document.decision
    return document


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("lag", "seconds", "said"),
    [
        (at_once, 1, "less than a second before their user's exposure, at whole seconds"),
        (at_once, 60, "less than a minute before their user's exposure, at whole minutes"),
        (lambda user: 300 * chance(user, "lag"), 60, "less than a minute before"),
        (soon, 3600, "less than a hour before"),
    ],
)
def test_outcomes_that_are_cut_to_a_unit_hide_no_harm(
    tmp_path: Path, kind: str, lag: Lag, seconds: int, said: str
) -> None:
    document = look(tmp_path, lag, outcomes=cut_to(seconds), share_of_b=0.05, metric=KINDS[kind])
    assert document.decision.value == "hold", document.reasons
    assert said in " ".join(document.reasons)


@pytest.mark.parametrize("seconds", [1, 60])
def test_exposures_that_are_rounded_up_hide_no_harm(tmp_path: Path, seconds: int) -> None:
    """Sent at the end of each second or minute."""

    def up(at: datetime) -> datetime:
        return at + (day(0) - at) % timedelta(seconds=seconds)

    document = look(tmp_path, at_once, exposures=up, share_of_b=0.05)
    assert document.decision.value == "hold", document.reasons
    assert "before their user's exposure, at a whole" in document.reasons[0]


HEALTHY: dict[str, dict[str, Any]] = {
    "full times": {"lag": at_once},
    "both in whole seconds": {"lag": at_once, "outcomes": cut_to(1), "exposures": cut_to(1)},
    "both in whole minutes": {"lag": at_once, "outcomes": cut_to(60), "exposures": cut_to(60)},
    "exposures in whole minutes": {"lag": at_once, "exposures": cut_to(60)},
    "whole seconds at any time": {"lag": at_any_time, "outcomes": cut_to(1)},
    "a click that leads to the exposure": {"lag": soon, "before": lambda user: 0.2},
    "clicks in the session before exposures in whole minutes": {
        "lag": soon,
        "before": lambda user: -600 * math.log(chance(user, "past") + 1e-9),
        "exposures": cut_to(60),
    },
    "a habit": {"lag": at_any_time, "before": lambda user: 200_000 * chance(user, "past")},
    "in the session before": {
        "lag": soon,
        "before": lambda user: -1500 * math.log(chance(user, "past") + 1e-9),
    },
    "more and more before": {
        "lag": soon,
        "before": lambda user: 20_000 * chance(user, "past") ** 3,
    },
}


@pytest.mark.parametrize("name", HEALTHY)
def test_users_who_only_do_what_users_do_are_no_obstacle(tmp_path: Path, name: str) -> None:
    document = look(tmp_path, **HEALTHY[name])
    assert document.decision.value == "promote", document.reasons


@pytest.mark.parametrize("hours", [1, 1.25])
def test_a_zone_that_is_off_for_both_variants_hides_no_harm(tmp_path: Path, hours: float) -> None:
    document = look(tmp_path, soon, outcomes=earlier(hours=hours))
    assert document.decision.value == "hold", document.reasons
    said = " ".join(document.reasons)
    assert f"begin {hours:g} hours before their user's exposure and not with it" in said


@pytest.mark.parametrize("better", ["lower", "higher"])
@pytest.mark.parametrize("kind", ["proportion", "count", "mean"])
@pytest.mark.parametrize(
    ("is_there", "named"),
    [
        (lambda at: 10 <= at.hour < 22, "12 of 24 hours of the day, such as 1"),
        (lambda at: not 5 <= at.minute < 35, "30 of 60 minutes of the hour, such as :"),
    ],
)
def test_outcomes_of_one_variant_that_are_lost_at_some_hours_flatter_nobody(
    tmp_path: Path, is_there: Callable[[datetime], bool], named: str, kind: str, better: str
) -> None:
    flattering, shares = (0, (0.3, 0.4)) if better == "lower" else (1, (0.4, 0.3))
    document = look(
        tmp_path,
        at_any_time,
        share_of_a=shares[0],
        share_of_b=shares[1],
        is_lost=lambda user, at: user % 2 == flattering and is_there(at),
        metric={**KINDS[kind], "better": better, "margin": 0.08},
    )
    assert document.decision.value == "hold", document.reasons
    said = " ".join(document.reasons)
    assert f"are missing on {named}" in said
    assert "with these, harm may be beyond the margin" in said
