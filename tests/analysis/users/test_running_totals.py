"""Days that hold the ones before are told from days of their own, however a service grows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from operator import add

import numpy as np
import pytest

from analysis.users.running_totals import are_running_totals
from analysis.users.sums import Sums

_RUNS = 100
# Users of each variant by day.
GROWTH: dict[str, Callable[[int], int]] = {
    "level": lambda day: 400,
    "linear": lambda day: 300 * (day + 1),
    "doubling": lambda day: 100 * 2**day,
    "a weekend": lambda day: 200 if day % 7 > 4 else 600,
}


def _days(rng: np.random.Generator, users: list[int], kind: str) -> list[Sums]:
    found = []
    for n in users:
        y = rng.random(n) < 0.1 if kind == "share" else rng.lognormal(0, 1.5, n)
        y = np.asarray(y, float)
        found.append(Sums(*map(np.array, (float(n), [0.0], [y.sum()], [[(y * y).sum()]]))))
    return found


def _share(name: str, kind: str, days: int, *, running: bool) -> float:
    rng = np.random.default_rng(7)
    users, found = [GROWTH[name](day) for day in range(days)], 0
    for _ in range(_RUNS):
        variants = [_days(rng, users, kind) for _ in range(2)]
        if running:
            variants = [list(accumulate(each, add)) for each in variants]
        found += are_running_totals(variants, 0)
    return found / _RUNS


@pytest.mark.parametrize("kind", ["share", "mean"])
@pytest.mark.parametrize("name", GROWTH)
def test_days_of_their_own_are_hardly_ever_taken_for_running_totals(name: str, kind: str) -> None:
    """Services that grow every day are the worst: in all others users fall on some day."""
    grows = name in ("linear", "doubling")
    for days in (4, 7):
        assert _share(name, kind, days, running=False) <= (0.02 if grows else 0)


@pytest.mark.parametrize("kind", ["share", "mean"])
@pytest.mark.parametrize(
    ("name", "week", "fortnight"),
    [("level", 0.85, 0.99), ("linear", 0.4, 0.97), ("a weekend", 0.9, 0.99)],
)
def test_running_totals_are_seen(name: str, week: float, fortnight: float, kind: str) -> None:
    assert _share(name, kind, 7, running=True) >= week
    assert _share(name, kind, 14, running=True) >= fortnight


def test_too_few_days_or_values_that_are_all_alike_tell_nothing() -> None:
    rng = np.random.default_rng(1)
    two = list(accumulate(_days(rng, [400] * 2, "share"), add))
    assert not are_running_totals([two, two], 0)
    nobody = [Sums(*map(np.array, (100.0 * d, [0.0], [0.0], [[0.0]]))) for d in range(1, 9)]
    assert not are_running_totals([nobody, nobody], 0)
    assert not are_running_totals([[], []], 0)
    assert not are_running_totals([], 0)
