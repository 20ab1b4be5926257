"""Hours of which one variant's outcomes are lost are found, and chance is not taken for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.users.missing_hours import missing_hours
from analysis.users.outcome_reach import PlaceCount, VariantReach

FIRST = 480_000 + 7
HOURS = np.arange(14 * 24)
DAYLIGHT = 1 - 0.9 * np.cos(2 * np.pi * HOURS / 24)
Lost = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


def reach(counts: NDArray[np.int64]) -> VariantReach:
    hours = tuple(PlaceCount(FIRST + int(h), int(counts[h])) for h in HOURS if counts[h])
    return VariantReach(users=5000, hours=hours)


@pytest.mark.parametrize("ratio", [0.5, 1.0, 1.5])
@pytest.mark.parametrize(
    ("rate", "lost", "what"),
    [
        (100, lambda h: (h >= 50) & (h < 62), "hours"),
        (8, lambda h: (h >= 60) & (h < 72), "hours"),
        (8, lambda h: h // 24 % 7 == 5, "days"),
        (8, lambda h: h % 24 < 3, "hours of the day"),
        (100, lambda h: h % 37 == 5, "hours"),
        (3, lambda h: h % 24 >= 14, "hours of the day"),
    ],
)
def test_what_is_lost_is_found_and_its_share(
    rate: float, lost: Lost, what: str, ratio: float
) -> None:
    rng = np.random.default_rng(1)
    others, mine = rng.poisson(rate * DAYLIGHT), rng.poisson(ratio * rate * DAYLIGHT)
    there = np.where(lost(HOURS + FIRST % 24), 0, mine)
    found = missing_hours(reach(there), reach(others))
    assert found is not None
    assert f" {what}, such as" in found.what
    share = (mine.sum() - there.sum()) / there.sum()
    assert found.share == pytest.approx(share, rel=0.35)


def test_chance_is_rarely_taken_for_a_loss() -> None:
    """1,000 comparisons of one to 300 outcomes an hour, also with quiet nights."""
    rng = np.random.default_rng(2)
    alarms = 0
    for rate in np.exp(rng.uniform(0, np.log(300), 500)):
        course = DAYLIGHT if rng.random() < 0.5 else np.ones(len(HOURS))
        # Users come in crowds, and a candidate may have half or twice as many.
        crowd = rng.gamma(4, 0.25, len(HOURS))
        a = rng.poisson(rate * course * crowd)
        b = rng.poisson(rate * rng.choice([0.5, 1, 2]) * course * crowd)
        alarms += missing_hours(reach(a), reach(b)) is not None
        alarms += missing_hours(reach(b), reach(a)) is not None
    assert alarms <= 1


@pytest.mark.parametrize("kind", ["none", "one", "no others"])
def test_without_counts_nothing_is_missing(kind: str) -> None:
    none, some = VariantReach(), VariantReach(hours=(PlaceCount(FIRST, 3),))
    few, many = {"none": (none, none), "one": (some, some), "no others": (some, none)}[kind]
    assert missing_hours(few, many) is None


@pytest.mark.parametrize(("first", "minutes"), [(0, 20), (50, 20), (17, 40)])
def test_minutes_of_every_hour_that_are_lost_are_found(first: int, minutes: int) -> None:
    rng = np.random.default_rng(4)
    hours = reach(rng.poisson(5 * DAYLIGHT))
    others, mine = rng.poisson(30, 60), rng.poisson(40, 60)
    there = np.where((np.arange(60) - first) % 60 < minutes, 0, mine)
    few, many = (
        replace(hours, minutes=tuple(map(PlaceCount, range(60), counts.tolist())))
        for counts in (there, others)
    )
    found = missing_hours(few, many)
    assert found is not None
    assert f"{minutes} of 60 minutes of the hour, such as :" in found.what
    assert found.share == pytest.approx((mine.sum() - there.sum()) / there.sum(), rel=0.25)
    assert missing_hours(replace(few, minutes=many.minutes), many) is None
