"""What a look sees of the users: who counts, with which value."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from tests.builders.user_specs import (
    Rows,
    numbers,
    sample_in,
    seen,
)


def test_values_by_kind(tmp_path: Path) -> None:
    outcomes: Rows = [(1, "purchase", 1, 10), (1, "purchase", 2, 5), (1, "visit", 1, 9)]
    found = seen(tmp_path, [(1, "a", 0), (2, "a", 0), (3, "b", 0)], outcomes).samples
    assert numbers(sample_in(found, "bought", "a"))[1:] == (0.5, 0.25)
    assert numbers(sample_in(found, "spend", "a"))[1:] == (7.5, 112.5)
    assert numbers(sample_in(found, "visits", "a"))[1:] == (0.5, 0.5)
    assert numbers(sample_in(found, "spend", "b"))[:2] == (1, 0.0)
    assert math.isnan(sample_in(found, "spend", "b").variance)


def test_agrees_with_a_loop_over_the_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    users = rng.integers(0, 400, 700)
    arms = np.where(rng.random(700) < 0.05, "b", "a")
    arms = np.where(users % 2 == 0, arms, "b")
    exposures: Rows = list(
        zip(users.tolist(), arms.tolist(), rng.uniform(0, 30, 700).tolist(), strict=True)
    )
    outcomes: Rows = list(
        zip(
            rng.integers(0, 450, 2000).tolist(),
            rng.choice(["purchase", "visit"], 2000).tolist(),
            rng.uniform(0, 40, 2000).tolist(),
            np.round(rng.gamma(2, 20, 2000), 2).tolist(),
            strict=True,
        )
    )
    found = seen(tmp_path, exposures, outcomes, at=25)

    arms_of, first = defaultdict[int, set[str]](set), dict[int, float]()
    for user, arm, at in exposures:
        if at <= 25:
            arms_of[user].add(arm)
            first[user] = min(at, first.get(user, 99))
    values = defaultdict[str, list[float]](list)
    for user, at in first.items():
        if len(arms_of[user]) == 1 and at + 7 <= 25:
            spent = [
                v for u, o, t, v in outcomes if (u, o) == (user, "purchase") and at <= t < at + 7
            ]
            values[min(arms_of[user])].append(sum(spent))
    assert found.mixed == sum(len(arms) > 1 for arms in arms_of.values()) > 0
    for arm in "ab":
        got = sample_in(found.samples, "spend", arm)
        assert got.n == len(values[arm]) > 20
        assert got.mean == pytest.approx(np.mean(values[arm]))
        assert got.variance == pytest.approx(np.var(values[arm], ddof=1))
        bought = float(np.mean(np.array(values[arm]) > 0))
        assert sample_in(found.samples, "bought", arm).mean == pytest.approx(bought)
