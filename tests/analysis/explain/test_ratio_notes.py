"""What a ratio is divided by, where it differs between the variants."""

from __future__ import annotations

import math

import pytest

from analysis.evidence import Denominator
from analysis.explain.ratio_notes import ratio_notes
from analysis.fixed.comparison import mean_sample


@pytest.mark.parametrize(
    ("users", "theirs", "own", "is_said"),
    [
        (3000, 2.0, 1.0, True),
        (3000, 1.0, 2.0, True),
        (3000, 2.0, 2.0, False),
        (100, 2.0, 1.7, False),
        # Surely another, but by less than a hundredth.
        (10_000_000, 2.0, 1.99, False),
        (3000, 2.0, math.nan, False),
        (0, math.nan, math.nan, False),
    ],
)
def test_a_denominator_that_differs_is_said(
    users: int, theirs: float, own: float, *, is_said: bool
) -> None:
    pair = mean_sample(users, theirs, 2.0), mean_sample(users, own, 2.0)
    notes = list(ratio_notes("clicks", Denominator("view", {"b": pair}), ("a", "b")))
    assert bool(notes) is is_said
    said = f"clicks: b has {own:.3g} 'view' per user, a {theirs:.3g} (p = "
    assert all(note.startswith(said) for note in notes)


def test_nothing_is_said_of_a_candidate_that_has_none() -> None:
    assert not list(ratio_notes("clicks", Denominator("view", {}), ("a", "b")))
