"""Where outcomes begin before the exposure, and how many are cut: by counts alone."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.evidence import UserEvidence
from analysis.judge.outcome_times import why_mistimed
from analysis.plan import Margin, MetricPlan, Role, Unit
from analysis.users.outcome_reach import OutcomeReach, PlaceCount, VariantReach

METRIC = MetricPlan("bought", Unit.USER, Role.GUARDRAIL, Margin(0.05))
QUARTER_S = 900


def why(each: VariantReach) -> str:
    reach = OutcomeReach("buy", 0, 0, {"a": each, "b": each})
    return why_mistimed(UserEvidence({}, frozenset(), {}, reach={"bought": (reach,)}), METRIC) or ""


def after(seconds: np.ndarray) -> VariantReach:
    """Rows so many seconds after the exposure, those within a day of it counted."""
    places, counts = np.unique(seconds // QUARTER_S, return_counts=True)
    near = [(int(p), int(c)) for p, c in zip(places, counts, strict=True) if -60 <= p < 60]
    counted = int(((seconds >= 0) & (seconds < 86_400)).sum())
    return VariantReach(sampled=counted, around=tuple(PlaceCount(*each) for each in near))


@pytest.mark.parametrize("rows", [300, 5000])
@pytest.mark.parametrize("hours", [1, 2, 3.5, 5.75, 8])
@pytest.mark.parametrize("scale_hours", [0.5, 3, 10])
def test_a_zone_that_is_off_is_seen(rows: int, hours: float, scale_hours: float) -> None:
    lags = np.random.default_rng(1).exponential(scale_hours * 3600, rows)
    shifted = lags - hours * 3600
    said = why(after(shifted))
    is_seen = f"begin {hours:g} hours before" in said
    # What happens at any time has a begin that chance hides, in few rows.
    assert is_seen or (rows == 300 and scale_hours > 0.5) or (shifted >= 0).mean() < 0.01
    assert "begin" not in why(after(lags))


@pytest.mark.parametrize("kind", ["habit", "session", "rising", "click", "long ago"])
def test_what_users_did_before_is_no_zone(kind: str) -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        past = {
            "habit": -rng.random(4000) * 5 * 86_400,
            "session": -rng.exponential(1500, 4000),
            "rising": -20_000 * rng.random(4000) ** 3,
            "click": -rng.random(4000),
            "long ago": -rng.normal(20_000, 6_000, 4000),
        }[kind]
        later = rng.exponential(7200, int(rng.choice([400, 4000])))
        assert why(after(np.concatenate([past, later]))) == "", seed


@pytest.mark.parametrize(
    ("cut", "said"),
    [
        ({}, ""),
        ({1: 4}, ""),
        ({1: 3, 60: 12}, "less than a minute before"),
        ({1: 12}, "24 outcomes 'buy' beside 1,000 that count lie less than a second before"),
        ({3600: 40}, "at whole hours"),
    ],
)
def test_what_is_cut_counts_where_it_is_some(cut: dict[int, int], said: str) -> None:
    found = why(VariantReach(sampled=500, cut=tuple(PlaceCount(*each) for each in cut.items())))
    assert said in found
    assert bool(found) is bool(said)
