"""Amounts of another unit are told from chance, heavy tails and real changes, by sizes alone."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.evidence import UserEvidence
from analysis.judge.outcome_sizes import why_other_unit
from analysis.plan import Margin, MetricPlan, Role, Unit
from analysis.users.outcome_reach import OutcomeReach, PlaceCount, VariantReach


def why(a: NDArray[np.float64], b: NDArray[np.float64], *, higher_is_better: bool) -> str | None:
    by_variant = {}
    for name, values in (("a", a), ("b", b)):
        places, counts = np.unique(np.floor(4 * np.log2(values)).astype(int), return_counts=True)
        sizes = tuple(map(PlaceCount, places.tolist(), counts.tolist()))
        by_variant[name] = VariantReach(sizes=sizes)
    reach = {"spend": (OutcomeReach("buy", 0, 0, by_variant),)}
    metric = MetricPlan(
        "spend", Unit.USER, Role.GUARDRAIL, Margin(1.0), higher_is_better=higher_is_better
    )
    return why_other_unit(UserEvidence({}, frozenset(), {}, reach=reach), metric, ("a", "b"))


@pytest.mark.parametrize("rows", [1, 5, 50, 3000])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_chance_and_heavy_tails_are_no_other_unit(rows: int, spread: float) -> None:
    rng = np.random.default_rng(rows)
    for _ in range(200):
        a, b = (rng.lognormal(0, spread, rows) for _ in "ab")
        assert why(a, b, higher_is_better=True) is None
        assert why(a, b, higher_is_better=False) is None
        assert why(a, 1.3 * b, higher_is_better=True) is None


@pytest.mark.parametrize(("factor", "higher_is_better"), [(0.01, False), (100.0, True)])
@pytest.mark.parametrize("part", [0.1, 1.0])
def test_only_what_flatters_a_candidate_is_said(
    factor: float, higher_is_better: bool, part: float
) -> None:
    rng = np.random.default_rng(1)
    a, b = (rng.lognormal(3, 1, 2000) for _ in "ab")
    other = np.where(rng.random(2000) < part, factor * b, b)
    said = why(a, other, higher_is_better=higher_is_better)
    assert said is not None
    assert "are they in another unit?" in said
    assert why(a, other, higher_is_better=not higher_is_better) is None


def test_without_amounts_nothing_is_said() -> None:
    assert why(np.array([]), np.array([1.0]), higher_is_better=True) is None
    assert why(np.array([1.0]), np.array([]), higher_is_better=True) is None
