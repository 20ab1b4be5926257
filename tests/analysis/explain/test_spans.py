"""Durations as a person says them."""

from __future__ import annotations

import pytest

from analysis.explain.spans import span


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (89_000, "89 s"),
        (90_000, "2 min"),
        (5_399_000, "90 min"),
        (5_400_000, "1.5 h"),
        (172_799_000, "48.0 h"),
        (172_800_000, "2.0 days"),
    ],
)
def test_unit_grows_with_the_duration_and_time_left_is_never_rounded_down(
    ms: float, text: str
) -> None:
    assert span(ms) == text
